"""The loader of batches: a DataLoader whose place in an epoch can be stored and gone back to."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader

from mml_core.data.dataset import Batch, TaskDataset
from mml_core.data.errors import LoaderError
from mml_core.data.sampling import DROP_LAST, BatchIndex, EpochBatches
from mml_core.errors import near_matches

_OWN = ("dataset", "batch_sampler", "sampler", "shuffle", "collate_fn", "worker_init_fn", "generator")


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """The ``loader`` group of the configuration.

    Attributes:
        batch_size: Samples of a training batch.
        eval_batch_size: Samples of a batch in validation, test and prediction; None for ``batch_size``.
        drop_last: What becomes of a last, smaller training batch: ``single``, true or false.
        num_workers: Processes that load; 0 loads in the training process.
        pin_memory: Page-locked batches; None where there is an accelerator to copy them to.
        cache: ``ram`` reads the store into memory once, shared by all workers; None maps its file.
        extra: Any other argument of ``torch.utils.data.DataLoader``.
    """

    batch_size: int = 64
    eval_batch_size: int | None = None
    drop_last: bool | str = "single"
    num_workers: int = 0
    pin_memory: bool | None = None
    cache: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LoaderOptions:
        """Read the group.

        Raises:
            LoaderError: A key is no option of a loader, or a value impossible.
        """
        from inspect import signature

        own = [option.name for option in fields(cls) if option.name != "extra"]
        allowed = [*own, *(name for name in signature(DataLoader).parameters if name not in (*own, *_OWN))]
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, value in config.items():
            if key not in allowed:
                near = near_matches(str(key), allowed)
                raise LoaderError(f"loader has no key '{key}'; there are {', '.join(allowed)}.{near}")
            (values if key in own else extra)[str(key)] = value
        options = cls(**values, extra=extra)
        for key in ("batch_size", "eval_batch_size", "num_workers"):
            value, least = getattr(options, key), 0 if key == "num_workers" else 1
            if value is not None and (not isinstance(value, int) or value < least):
                raise LoaderError(f"loader.{key} is {value!r}; a whole number from {least} is needed.")
        if options.drop_last not in DROP_LAST:
            raise LoaderError(f"loader.drop_last is {options.drop_last!r}; it can be single, true or false.")
        if options.cache not in (None, "ram"):
            raise LoaderError(f"loader.cache is {options.cache!r}; it can be ram or null.")
        return options

    def arguments(self) -> dict[str, Any]:
        """What is passed on to ``DataLoader``, with what makes sense without workers only left out."""
        chosen = {key: value for key, value in self.extra.items() if value is not None}
        if self.num_workers == 0:
            for key in ("prefetch_factor", "persistent_workers", "multiprocessing_context", "timeout"):
                chosen.pop(key, None)
        pin = torch.cuda.is_available() if self.pin_memory is None else self.pin_memory
        return {**chosen, "num_workers": self.num_workers, "pin_memory": pin}


class EpochLoader:
    """Batches of a dataset, epoch by epoch.

    Iterating begins when the first batch is asked for, so that an epoch set after ``iter()``, as Lightning
    does on resuming, still counts with any number of workers. After a whole iteration the next epoch follows
    by itself. It is no DataLoader, so that Lightning leaves its sampler alone.

    Args:
        dataset: The samples.
        batches: The batches of each epoch.
        arguments: Passed on to ``torch.utils.data.DataLoader``.
    """

    def __init__(self, dataset: TaskDataset, batches: EpochBatches, arguments: Mapping[str, Any]) -> None:
        self.dataset = dataset
        self.batch_sampler = batches
        self.num_workers = int(arguments.get("num_workers", 0))
        self._loader: DataLoader[Batch] = DataLoader(
            dataset,
            batch_sampler=batches,  # type: ignore[arg-type]  # yields a BatchIndex, which the dataset takes
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # of a whole batch, not of a list of samples
            worker_init_fn=_start_loading,
            generator=torch.Generator(),  # so that starting workers draws nothing from the global one
            **arguments,
        )
        self._pin_memory = bool(arguments.get("pin_memory"))
        self._shown: int | None = None  # the epoch that is under way
        self._delivered = 0

    @property
    def sampler(self) -> EpochBatches:
        """Where Lightning sets the epoch."""
        return self.batch_sampler

    @property
    def batch_size(self) -> int:
        """Samples of a whole batch."""
        return self.batch_sampler.batch_size

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        batches = self.batch_sampler
        self._shown, self._delivered = batches.epoch, batches.start
        # Without workers a DataLoader would only add its cost per batch.
        iterator = iter(self._loader) if self.num_workers else map(self._gathered, iter(batches))
        batches.start = 0  # only the iteration after load_state_dict begins elsewhere
        yield from map(self._counted, iterator)  # keeps no batch alive that the caller has done with
        if batches.epoch == self._shown:
            batches.set_epoch(batches.epoch + 1)

    def _gathered(self, where: BatchIndex) -> Batch:
        batch = self.dataset.__getitems__(where)
        return pinned(batch) if self._pin_memory else batch

    def _counted(self, batch: Batch) -> Batch:
        self._delivered += 1
        return batch

    def state_dict(self) -> dict[str, int]:
        """The place: the epoch, and how many of its batches were handed out."""
        epoch = self.batch_sampler.epoch
        delivered = self._delivered if self._shown == epoch else self.batch_sampler.start
        whole = delivered >= len(self)
        return {"epoch": epoch + 1, "batch": 0} if whole else {"epoch": epoch, "batch": delivered}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go back to a place; the next iteration shows what would have followed there."""
        self.batch_sampler.epoch, self.batch_sampler.start = int(state["epoch"]), int(state["batch"])
        self._shown = None


def rank_and_world_size() -> tuple[int, int]:
    """Which of how many training processes this one is."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def pinned(value: Any) -> Any:
    """Return a batch, or one of each of several tasks, with its tensors in page-locked memory."""
    if isinstance(value, Mapping):
        return {key: pinned(each) for key, each in value.items()}
    return value.pin_memory() if isinstance(value, torch.Tensor) else value


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _start_loading(worker: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C and batch systems send to all processes; the parent needs its batch to stop without a loss.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _outlast)


def _outlast(signum: int, frame: FrameType | None) -> None:
    signal.signal(signum, signal.SIG_DFL)
