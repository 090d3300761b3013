"""The samples of a part of a task as batches of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from mml_core.data.draws import Draws
from mml_core.data.sampling import BatchIndex
from mml_core.data.sources import SampleSource
from mml_core.tasks.description import TaskType
from mml_core.tasks.samples import SampleTable

Batch = dict[str, Any]
"""``image`` (B, C, H, W), uint8, or float32 on 0 to 1 where images have 16 bit; ``target`` by task type;
``index`` (B,), the rows in the sample table; what `Draws.of` adds, if it was asked for."""

_TARGET_COLUMNS = {
    TaskType.CLASSIFICATION: "label",
    TaskType.MULTILABEL: "labels",
    TaskType.REGRESSION: "value",
}


class TaskDataset(Dataset[Batch]):
    """Samples of one task, a batch at a time.

    Args:
        samples: The sample table.
        task_type: Decides what a target is: (B,) int64 classes, (B, K) float32 labels or values, (B, H, W)
            class indices of a segmentation, as stored (int64 after the data module's transfer hook).
        source: Where images and masks come from.
        rows: Rows of the table that are this part.
        with_targets: Whether the samples have targets; unlabelled ones do not.
        draws: Random numbers for each sample, for augmentation; None for none.
    """

    def __init__(
        self,
        samples: SampleTable,
        task_type: TaskType,
        source: SampleSource,
        rows: NDArray[np.int64],
        *,
        with_targets: bool = True,
        draws: Draws | None = None,
    ) -> None:
        self.samples = samples
        self.task_type = task_type
        self.source = source
        self.rows = rows
        self.draws = draws
        self._with_targets = with_targets and task_type is not TaskType.UNLABELLED
        self._values: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}  # a worker maps the table again instead of getting a copy

    def __getitem__(self, position: int) -> Batch:
        """One sample: a batch of one without its first dimension."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"sample {position} of {len(self)}")
        return {key: value[0] for key, value in self.__getitems__([position]).items()}

    def __getitems__(self, positions: BatchIndex | Sequence[int]) -> Batch:
        """A batch, gathered in one go.

        Args:
            positions: Positions in this dataset; as a `BatchIndex` where random numbers are drawn.
        """
        where = positions if isinstance(positions, BatchIndex) else _first_epoch(positions)
        rows = self.rows[where.samples]
        memory = _Memory()
        batch: Batch = {"image": _image_tensor(self.source.images(rows, memory.allocate), memory)}
        if self._with_targets:
            batch["target"] = self._targets(rows)
        batch["index"] = torch.from_numpy(rows)
        if self.draws is not None:
            batch |= self.draws.of(where)
        return batch

    @property
    def labels(self) -> NDArray[Any] | None:
        """Class of each sample; None where the task is no classification."""
        return self._column()[self.rows] if self.task_type is TaskType.CLASSIFICATION else None

    def _column(self) -> NDArray[Any]:
        if self._values is None:
            self._values = self.samples.numpy(_TARGET_COLUMNS[self.task_type])
        return self._values

    def _targets(self, rows: NDArray[np.int64]) -> Tensor:
        if self.task_type is TaskType.SEGMENTATION:
            memory = _Memory()
            masks = self.source.masks(rows, memory.allocate)
            return memory.tensor(masks if masks.dtype == np.uint8 else masks.astype(np.int64))
        values = self._column()[rows]
        wanted = np.int64 if self.task_type is TaskType.CLASSIFICATION else np.float32
        return torch.from_numpy(values.astype(wanted, copy=False))


def _first_epoch(positions: Sequence[int]) -> BatchIndex:
    places = np.asarray(positions, dtype=np.int64)
    return BatchIndex(places, 0, places)


def _image_tensor(images: NDArray[Any], memory: _Memory) -> Tensor:
    if images.dtype == np.uint8:
        return memory.tensor(images)
    return torch.from_numpy(images.astype(np.float32) / np.float32(65535))


class _Memory:
    """Memory for a batch; in a worker of the kind that is handed to the training process without a copy."""

    def __init__(self) -> None:
        self._shared: Tensor | None = None

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        if get_worker_info() is None:
            return np.empty(shape, dtype)
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        # What torch's own collating does; there is no public call that allocates shared memory unfilled.
        storage = torch.UntypedStorage._new_shared(size)  # type: ignore[no-untyped-call]
        self._shared = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (size,), (1,))
        content: NDArray[Any] = self._shared.numpy().view(kind).reshape(shape)
        return content

    def tensor(self, content: NDArray[Any]) -> Tensor:
        """The tensor over an array, in the memory that was given for it."""
        if self._shared is None or content.dtype != np.uint8:
            return torch.from_numpy(content)
        return self._shared.reshape(content.shape)
