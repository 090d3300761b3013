"""Batches of several tasks for one model: which tasks a step shows, and the data module that does so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule
from torch.utils.data import Dataset

from mml_core.data.datamodule import MMLDataModule
from mml_core.data.dataset import Batch, TaskDataset
from mml_core.data.errors import LoaderError
from mml_core.data.loader import EpochLoader
from mml_core.data.randomness import bits
from mml_core.data.sampling import BatchIndex, EpochBatches
from mml_core.errors import near_matches

STRATEGIES = ("longest", "shortest", "round_robin", "proportional")
"""``longest``: a batch of every task in each step; an epoch is as long as that of the task with most batches,
and the others begin again, in a new order. ``shortest``: the same, as long as that of the task with fewest.
``round_robin``: one task in each step, in turn; every batch once, so that the longest go on alone.
``proportional``: one task in each step, every batch once, in turns that seed and epoch decide."""
_TOGETHER = {"longest": max, "shortest": min}
_ONE_AFTER_THE_OTHER = "one_after_the_other"
JointBatch = dict[str, Batch]


class JointBatches:
    """The steps of an epoch, each a batch of one or more tasks; a batch sampler whose place can be stored.

    What a step shows is a function of seed, epoch and its place in the epoch, as it is for one task.

    Args:
        tasks: Task → its batches.
        strategy: One of `STRATEGIES`.
        seed: What the order of turns depends on.
    """

    def __init__(self, tasks: Mapping[str, EpochBatches], strategy: str, seed: int = 0) -> None:
        self.epoch = 0
        self.start = 0
        self._names = list(tasks)
        self._batches = list(tasks.values())
        self._strategy = strategy
        self._seed = seed

    @property
    def sampler(self) -> JointBatches:
        """Itself: where Lightning looks for ``set_epoch``."""
        return self

    @property
    def batch_size(self) -> int:
        """Samples of one task in a whole step."""
        return self._batches[0].batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch the next iteration shows; another one begins with its first step."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def __len__(self) -> int:
        lengths = [len(batches) for batches in self._batches]
        if 0 in lengths:
            return 0
        return _TOGETHER.get(self._strategy, sum)(lengths)

    def __iter__(self) -> Iterator[dict[str, BatchIndex]]:
        return self._steps(self.epoch, self.start)  # bound now, though the first is made later

    def _steps(self, epoch: int, first: int) -> Iterator[dict[str, BatchIndex]]:
        turns = self._turns(epoch)
        shown = Counter(task for turn in turns[:first] for task in turn)
        streams = [self._stream(task, epoch, shown[task]) for task in range(len(self._names))]
        for turn in turns[first:]:
            yield {self._names[task]: next(streams[task]) for task in turn}

    def _turns(self, epoch: int) -> Sequence[tuple[int, ...]]:
        """Which tasks each step of an epoch shows."""
        tasks = range(len(self._names))
        if self._strategy in _TOGETHER:
            return [tuple(tasks)] * len(self)
        turns = np.repeat(tasks, [len(batches) for batches in self._batches])
        if self._strategy == "round_robin":
            rounds = np.concatenate([np.arange(len(batches)) for batches in self._batches])
            turns = turns[np.argsort(rounds, kind="stable")]
        elif self._strategy == "proportional":
            turns = turns[np.argsort(bits("turns", self._seed, epoch, len(turns)), kind="stable")]
        return [(int(task),) for task in turns]

    def _stream(self, task: int, epoch: int, first: int) -> Iterator[BatchIndex]:
        """The batches of one task from some place on; one that begins again has more epochs of its own."""
        batches = self._batches[task]
        rounds = -(-len(self) // len(batches)) if self._strategy == "longest" else 1
        for again in range(first // len(batches), rounds):
            batches.epoch, batches.start = epoch * rounds + again, first % len(batches)
            first = 0
            yield from batches


class JointDataset(Dataset[JointBatch]):
    """The samples of several tasks, a step at a time.

    Args:
        tasks: Task → its samples.
    """

    def __init__(self, tasks: Mapping[str, TaskDataset]) -> None:
        self.tasks = dict(tasks)

    def __len__(self) -> int:
        return sum(map(len, self.tasks.values()))

    def __getitems__(self, step: Mapping[str, BatchIndex]) -> JointBatch:
        """Gather the batches of a step."""
        return {task: self.tasks[task].__getitems__(where) for task, where in step.items()}


class JointDataModule(LightningDataModule):
    """Batches of several tasks, each with its own fold held out, augmentation and normalisation.

    A batch is ``{task: batch}``; validation shows one task after the other.

    Args:
        modules: Task → its data module.
        strategy: One of `STRATEGIES`.
        seed: What the order of turns depends on.

    Raises:
        LoaderError: There is no such strategy.
    """

    def __init__(self, modules: Mapping[str, MMLDataModule], *, strategy: str, seed: int) -> None:
        super().__init__()
        if strategy not in STRATEGIES:
            near = near_matches(str(strategy), STRATEGIES)
            raise LoaderError(f"mode.joint is {strategy!r}; it can be {', '.join(STRATEGIES)}.{near}")
        self.modules = dict(modules)
        self.strategy = strategy
        self.seed = seed

    @property
    def batch_size(self) -> int:
        """Samples of one task in a training step."""
        return next(iter(self.modules.values())).batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        for module in self.modules.values():
            module.batch_size = size

    def check_training(self) -> None:
        """Refuse tasks that cannot be trained on in this way, without opening any image.

        Raises:
            UnequalSizesError: Images of different sizes would have to form a batch.
            LoaderError: Sampling asks for what is not there, or a task has no training batch.
        """
        for module in self.modules.values():
            module.check_training()

    def setup(self, stage: str | None = None) -> None:
        """Open what the loaders read from."""
        for module in self.modules.values():
            module.setup(stage)

    def train_dataloader(self) -> EpochLoader:
        """Training steps, in an order that seed and epoch decide."""
        loaders = {task: module.train_dataloader() for task, module in self.modules.items()}
        return self._join(loaders, self.strategy)

    def val_dataloader(self) -> EpochLoader | list[EpochLoader]:
        """The samples of the folds, one task after the other; tasks without any are left out."""
        loaders = {
            task: module.eval_dataloader("val")
            for task, module in self.modules.items()
            if len(module.rows("val"))
        }
        return self._join(loaders, _ONE_AFTER_THE_OTHER) if loaders else []

    def on_after_batch_transfer(self, batch: JointBatch, dataloader_idx: int) -> JointBatch:
        """Augment and normalise the batch of each task as its data module does."""
        return {
            task: self.modules[task].on_after_batch_transfer(part, dataloader_idx)
            for task, part in batch.items()
        }

    def _join(self, loaders: Mapping[str, EpochLoader], strategy: str) -> EpochLoader:
        dataset: Any = JointDataset({task: loader.dataset for task, loader in loaders.items()})
        batches: Any = JointBatches(
            {task: loader.batch_sampler for task, loader in loaders.items()}, strategy, self.seed
        )
        options = next(iter(self.modules.values())).options.loader
        return EpochLoader(dataset, batches, options.arguments())
