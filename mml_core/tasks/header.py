"""The header of a task: a small JSON document, read strictly."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import msgspec

from mml_core.plugins.file_names import file_name_problem
from mml_core.tasks.errors import DamagedTaskError, NewerSchemaError

SCHEMA_VERSION = 1
HEADER_FILE = "task.json"
SAMPLES_FILE = "samples.arrow"
RAW = "none"
"""The preprocessing id of a task whose images are read from its dataset as they are."""


class TaskType(str, Enum):
    """What a network has to put out for an image."""

    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"
    SEGMENTATION = "semantic_segmentation"
    UNLABELLED = "unlabelled"

    def __str__(self) -> str:
        return self.value


class Sizes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The smallest and largest height and width of a task's images, in pixels."""

    min_height: int
    min_width: int
    max_height: int
    max_width: int


class TaskHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """All that is known of a task without reading its samples.

    Attributes:
        name: The task's name, with its tags where it has some.
        task_type: What a network has to put out.
        dataset: The dataset whose images the samples name.
        idx_to_class: Class index (``"0"``, ``"1"``, …) to class name; empty for regression.
        channels: Channels of an image as it is given to a network.
        sizes: The extent of the images, in pixels.
        means: Mean of each channel over the training pixels, on the scale 0 to 1.
        stds: Standard deviation of each channel, on the same scale.
        num_samples: Split (``train``, ``test``, ``unlabelled``) to number of samples.
        num_folds: Number of folds the training split is divided into.
        class_counts: Class index to training samples (segmentation: training pixels) of it.
        target_names: Names of the values of a regression.
        target_means: Mean of each of these over the training samples.
        target_stds: Standard deviation of each of these.
        bit_depth: Bits per channel of the images, 8 or 16.
        ignore_index: A number in the masks of a segmentation that is no class: its pixels count nowhere. None
            where each pixel has a class, and in headers of before there was such a field.
        keywords: Words to find the task by.
        license: Under which terms the images may be used.
        reference: What to cite.
        summary: One sentence on what the task is.
        preprocessing: Id of the preprocessing the folder holds, ``"none"`` for the raw images.
        dataset_sha256: Digest of the dataset's manifest when the task was made.
        samples_sha256: SHA-256 of the sample table.
        created: When the task was made, ISO 8601 in UTC.
        schema_version: Version of this very layout.
    """

    name: str
    task_type: TaskType
    dataset: str
    idx_to_class: dict[str, str] = {}
    channels: int
    sizes: Sizes
    means: list[float]
    stds: list[float]
    num_samples: dict[str, int]
    num_folds: int
    class_counts: dict[str, int] = {}
    target_names: list[str] = []
    target_means: list[float] = []
    target_stds: list[float] = []
    bit_depth: int = 8
    ignore_index: int | None = None
    keywords: list[str] = []
    license: str = ""
    reference: str = ""
    summary: str = ""
    preprocessing: str = RAW
    dataset_sha256: str = ""
    samples_sha256: str = ""
    created: str = ""
    schema_version: int = SCHEMA_VERSION


_decoder = msgspec.json.Decoder(TaskHeader)


def decode_header(data: bytes, origin: Path | str) -> TaskHeader:
    """Read a header from the bytes of its file.

    Args:
        data: What the file holds.
        origin: The file, named in errors.

    Raises:
        NewerSchemaError: The header was written by a newer mml.
        DamagedTaskError: It is no valid header.
    """
    try:
        header = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        _refuse_newer(_loose_version(data), origin)
        raise DamagedTaskError(
            f"The task header {origin} is damaged: {error}. Create the task again or remove its folder."
        ) from error
    _refuse_newer(header.schema_version, origin)
    if header.schema_version < 1:
        raise DamagedTaskError(
            f"The task header {origin} has schema_version {header.schema_version}, which no mml has written."
            " Create the task again or remove its folder."
        )
    if problem := file_name_problem(header.dataset):
        raise DamagedTaskError(
            f"The task header {origin} names the dataset {header.dataset!r}, which {problem}. Create the "
            "task again or remove its folder."
        )
    return header


def encode_header(header: TaskHeader) -> bytes:
    """Return the header as indented JSON, as its file holds it."""
    return msgspec.json.format(msgspec.json.encode(header), indent=2) + b"\n"


def _loose_version(data: bytes) -> object:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found.get("schema_version") if isinstance(found, dict) else None


def _refuse_newer(version: object, origin: Path | str) -> None:
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"The task header {origin} has schema_version {version}, this mml reads up to {SCHEMA_VERSION}: "
            "it was written by a newer mml; install a newer mml-core."
        )
