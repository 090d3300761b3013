"""The description of a task: a small header, and the table of its samples beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mml_core.tasks.errors import DamagedTaskError
from mml_core.tasks.header import (
    HEADER_FILE,
    RAW,
    SAMPLES_FILE,
    SCHEMA_VERSION,
    Sizes,
    TaskHeader,
    TaskType,
    decode_header,
    encode_header,
)
from mml_core.tasks.view import HeaderView

if TYPE_CHECKING:
    from mml_core.tasks.samples import SampleTable

__all__ = [
    "HEADER_FILE",
    "RAW",
    "SAMPLES_FILE",
    "SCHEMA_VERSION",
    "HeaderView",
    "Sizes",
    "TaskDescription",
    "TaskHeader",
    "TaskType",
    "decode_header",
    "encode_header",
]


class TaskDescription(HeaderView):
    """A task as it is installed: its header, and its samples once they are asked for.

    Args:
        header: The header.
        folder: Where ``task.json`` and ``samples.arrow`` lie.
        data: The data folder, below which the images of the dataset lie.
        samples: The samples, where they are not those of the folder: a tag's work.
        stored_sha256: Of the sample table in the folder; the header's by default.
    """

    def __init__(
        self,
        header: TaskHeader,
        folder: Path,
        data: Path,
        samples: SampleTable | None = None,
        *,
        stored_sha256: str | None = None,
    ) -> None:
        self.header = header
        self.folder = folder
        self.data = data
        self._samples = samples
        self._stored_sha256 = header.samples_sha256 if stored_sha256 is None else stored_sha256

    def __repr__(self) -> str:
        return f"TaskDescription({self.name!r}, {self.task_type.value}, folder={str(self.folder)!r})"

    @property
    def stored_sha256(self) -> str:
        """SHA-256 of the sample table in the folder, which a tag does not change."""
        return self._stored_sha256

    @property
    def dataset_root(self) -> Path:
        """The folder that image and mask paths of the samples are relative to."""
        return self.data / "datasets" / self.header.dataset

    @property
    def samples(self) -> SampleTable:
        """The samples, memory-mapped on first use.

        Raises:
            DamagedTaskError: The table is missing, unreadable, or not the one the header was made for.
        """
        if self._samples is None:
            from mml_core.tasks.samples import SampleTable

            table = SampleTable.open(self.folder / SAMPLES_FILE)
            expected = sum(self.header.num_samples.values())
            if len(table) != expected:
                raise DamagedTaskError(
                    f"The sample table {table.path} has {len(table)} samples, its header says {expected}: "
                    "create the task again."
                )
            self._samples = table
        return self._samples

    def verify(self) -> None:
        """Compare the sample table on disk, which a tag does not change, with the hash in its header.

        Raises:
            DamagedTaskError: They differ, or the table cannot be read.
        """
        from mml_core.storage.hashing import sha256_file

        path = self.folder / SAMPLES_FILE
        try:
            found = sha256_file(path)
        except OSError as error:
            raise DamagedTaskError(f"The sample table {path} cannot be read: {error.strerror}.") from error
        if found != self._stored_sha256:
            raise DamagedTaskError(
                f"The sample table {path} is damaged: its sha256 is {found}, the header says "
                f"{self._stored_sha256}. Create the task again."
            )

    def replace(self, **header_changes: Any) -> TaskDescription:
        """Return the same task with other header fields."""
        return self._changed(header_changes, self._samples)

    def with_samples(self, table: SampleTable, **header_changes: Any) -> TaskDescription:
        """Return the task over other samples, with the header's counts made to match.

        Class counts of a segmentation are of pixels and are kept. Image statistics are kept.
        """
        changes: dict[str, Any] = {"num_samples": table.count_splits(), "samples_sha256": ""}
        counts = table.count_classes(self.header.task_type, len(self.header.idx_to_class))
        if counts is not None:
            changes["class_counts"] = counts
        return self._changed({**changes, **header_changes}, table)

    def _changed(self, header_changes: dict[str, Any], samples: SampleTable | None) -> TaskDescription:
        header = msgspec.structs.replace(self.header, **header_changes)
        return TaskDescription(header, self.folder, self.data, samples, stored_sha256=self._stored_sha256)
