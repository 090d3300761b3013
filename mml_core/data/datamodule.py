"""The data module: loaders for one fold of a task, and what is done to a batch on its device."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray

from mml_core.data.dataset import Batch, TaskDataset
from mml_core.data.draws import Draws
from mml_core.data.errors import LoaderError
from mml_core.data.loader import EpochLoader, rank_and_world_size
from mml_core.data.normalisation import Normaliser
from mml_core.data.options import DataOptions
from mml_core.data.orders import Sequential
from mml_core.data.prepared import check_sizes, created_header, find_store
from mml_core.data.sampling import EpochBatches
from mml_core.data.sources import FileSource, StoreSource, source_of
from mml_core.data.statistics import cached_statistics, statistics_of
from mml_core.tasks.description import TaskDescription, TaskHeader

Part = Literal["train", "val", "outer", "test", "unlabelled"]
Statistics = tuple[list[float], list[float]]
"""Mean and standard deviation of each channel, on 0 to 1."""


class MMLDataModule(LightningDataModule):
    """Batches of one task, with one of its folds held out for validation.

    Loaders yield what is stored: ``image`` (B, C, H, W) of grey values, uint8, or float32 on 0 to 1 where
    images have 16 bit. A trainer's transfer makes of that, by `on_after_batch_transfer`, the batches that a
    step of the network gets: ``image`` (B, C, H, W) float32, normalised by the means and standard deviations
    of the training split; ``target`` (B,) int64, (B, K) float32, or (B, H, W) int64; ``index`` (B,) int64,
    rows of the sample table. A loop over a loader gets what is stored.

    Args:
        description: The task, with its tags applied.
        options: What the configuration says about data.
        data_root: The data folder.
        fold: The fold that validates; None trains on all of the training split.
        outer: Of nested validation: a further fold that is neither trained nor validated on.
        seed: The seed of the step; with epoch and position it decides all that is random.
        normalisation: Means and standard deviations that images are normalised by, where they are not the
            task's own: those a model was trained with.

    Attributes:
        batch_size: Samples of a training batch; may be changed before a loader is made.
        predict_part: The part that `predict_dataloader` shows.
    """

    def __init__(
        self,
        description: TaskDescription,
        options: DataOptions,
        *,
        data_root: Path,
        fold: int | None,
        seed: int,
        outer: int | None = None,
        normalisation: Statistics | None = None,
    ) -> None:
        super().__init__()
        for held_out in (fold, outer):
            if held_out is not None and not 0 <= held_out < description.num_folds:
                raise LoaderError(
                    f"Task '{description.name}' has the folds 0 to {description.num_folds - 1}, not"
                    f" {held_out}."
                )
        if outer is not None and outer == fold:
            raise LoaderError(
                f"Fold {fold} of task '{description.name}' cannot both validate and be held out."
            )
        self.description = description
        self.options = options
        self.data_root = data_root
        self.fold = fold
        self.outer = outer
        self.seed = seed
        self.batch_size = options.loader.batch_size
        self.predict_part: Part = "test"
        self._normalisation = normalisation

    @property
    def channels(self) -> int:
        """Channels of an image of a batch."""
        return self.options.preprocessing.channels_of(self._created.channels)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image of a batch, of the largest where they differ."""
        return self.options.preprocessing.extent(self._created.sizes)

    @property
    def provenance(self) -> dict[str, str]:
        """Digests of the sample table and the dataset of the task as it was created, tags aside."""
        created = self._created
        return {"samples_sha256": created.samples_sha256, "dataset_sha256": created.dataset_sha256}

    @property
    def from_store(self) -> bool:
        """Whether samples come from a preprocessed store, not from decoding them on the fly."""
        return isinstance(self._stored[0], StoreSource)

    @cached_property
    def statistics(self) -> Statistics:
        """What images are normalised by.

        Where nothing else was given: mean and standard deviation of the preprocessed training split of the
        task as it was created, whatever its tags; the same with a store as without. With an outer fold, which
        must not be seen, those of the samples that are trained on.
        """
        if self._normalisation is not None:
            return self._normalisation
        if self.outer is not None:
            found = statistics_of(self._source, self.rows("train"), self.channels)
            return found.means, found.stds
        if self._stored_header is not None:
            return self._stored_header.means, self._stored_header.stds
        return cached_statistics(self.data_root, self._created, self.options.preprocessing)

    def check_training(self) -> None:
        """Refuse a task that cannot be trained on in this way, without opening any image.

        Raises:
            UnequalSizesError: Images of different sizes would have to form a batch.
            LoaderError: Sampling asks for what is not there, or there is no training batch.
        """
        self._check_sizes()
        if self.options.loader.cache == "ram":
            _ = self._stored  # refuses where there is no store
        task_type = self.description.task_type
        self.options.augmentation.check(task_type, self.channels, self.image_size)
        rows = self.rows("train")
        if not len(self._training_batches(rows)):
            held_out = f"{self.fold}" if self.outer is None else f"{self.fold} and {self.outer}"
            raise LoaderError(
                f"Task '{self.description.name}' has {len(rows)} training samples outside of fold "
                f"{held_out}, too few for a batch: create it with more folds, or lower loader.batch_size."
            )

    def setup(self, stage: str | None = None) -> None:
        """Open what the loaders read from; loaders do it themselves where this was not called.

        Raises:
            DamagedStoreError: The preprocessed store is not as it was written.
            UnequalSizesError: Images of different sizes would have to form a batch.
        """
        self._check_sizes()
        _ = self._source, self.statistics

    def dataset(self, part: Part, *, draws: Draws | None = None) -> TaskDataset:
        """The samples of a part.

        Args:
            part: ``train`` (without the folds that are held out), ``val`` (the fold), ``outer``, ``test`` or
                ``unlabelled``.
            draws: Random numbers each sample is given.
        """
        labelled = part != "unlabelled"
        return TaskDataset(
            self.description.samples,
            self.description.task_type,
            self._source,
            self.rows(part),
            with_targets=labelled,
            draws=draws,
        )

    def rows(self, part: Part) -> NDArray[np.int64]:
        """The rows of the sample table that are a part."""
        samples = self.description.samples
        if part == "outer":
            if self.outer is None:
                return np.empty(0, dtype=np.int64)
            return samples.indices("train", fold=self.outer, part="val")
        if part == "val" and self.fold is None:
            return np.empty(0, dtype=np.int64)
        if part not in ("train", "val"):
            return samples.indices(part)
        rows = samples.indices("train", fold=self.fold, part=part)
        return rows if self.outer is None else rows[samples.numpy("fold")[rows] != self.outer]

    def train_dataloader(self) -> EpochLoader:
        """Training batches, in an order that seed and epoch decide."""
        dataset = self.dataset("train", draws=self.options.augmentation.draws(self.seed))
        batches = self._training_batches(dataset.rows)
        return EpochLoader(dataset, batches, self.options.loader.arguments())

    def val_dataloader(self) -> EpochLoader | list[EpochLoader]:
        """The samples of the fold; no loader where none is held out."""
        return [] if self.fold is None else self.eval_dataloader("val")

    def test_dataloader(self) -> EpochLoader:
        """The samples of the test split."""
        return self.eval_dataloader("test")

    def predict_dataloader(self) -> EpochLoader:
        """The samples of `predict_part`."""
        return self.eval_dataloader(self.predict_part)

    def eval_dataloader(self, part: Part) -> EpochLoader:
        """The samples of a part in the order of the table, whole and without augmentation."""
        dataset = self.dataset(part)
        rank, world_size = rank_and_world_size()
        batch_size = self.options.loader.eval_batch_size or self.batch_size
        batches = EpochBatches(Sequential(len(dataset)), batch_size, rank=rank, world_size=world_size)
        return EpochLoader(dataset, batches, self.options.loader.arguments())

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Bring a batch to floating point, augment it if it is one to train on, and normalise it.

        A trainer calls it; in a loop over a loader, call it where normalised images are needed.
        """
        image = batch["image"]
        image = image.to(torch.float32).div_(255) if image.dtype == torch.uint8 else image
        classes, ignored = self.description.num_classes, self.description.ignore_index
        batch = self.options.augmentation.apply({**batch, "image": image}, classes, outside=ignored)
        target = batch.get("target")
        if target is not None and target.ndim == 3:
            batch["target"] = target.to(torch.int64)
        batch["image"] = self._normaliser(batch["image"])
        return batch

    def _check_sizes(self) -> None:
        self.options.augmentation.check_views(self.image_size)
        largest = max(self.batch_size, self.options.loader.eval_batch_size or 1)
        check_sizes(self._created, self.options.preprocessing, largest)

    def _training_batches(self, rows: NDArray[np.int64]) -> EpochBatches:
        order = self.options.sampling.order(self.description, rows, self.seed)
        rank, world_size = rank_and_world_size()
        drop_last = self.options.loader.drop_last
        return EpochBatches(order, self.batch_size, drop_last=drop_last, rank=rank, world_size=world_size)

    @cached_property
    def _created(self) -> TaskHeader:
        return created_header(self.data_root, self.description.name)

    @cached_property
    def _stored(self) -> tuple[StoreSource | FileSource, TaskHeader | None]:
        preprocessing = self.options.preprocessing
        store, header = find_store(self.data_root, self._created, preprocessing)
        if store is None and self.options.loader.cache == "ram":
            raise LoaderError(
                f"loader.cache=ram needs a preprocessed store, and task '{self._created.name}' has none "
                f"in preprocessing {preprocessing.prep_id}: run 'mml run --mode=preprocess' first."
            )
        root = self.data_root / "datasets" / self._created.dataset
        return source_of(self.description, self._created, root, preprocessing, store), header

    @cached_property
    def _source(self) -> StoreSource | FileSource:
        source = self._stored[0]
        if isinstance(source, StoreSource) and self.options.loader.cache == "ram":
            source.store.load()
        return source

    @property
    def _stored_header(self) -> TaskHeader | None:
        return self._stored[1]

    @cached_property
    def _normaliser(self) -> Normaliser:
        return Normaliser(*self.statistics)


def create_datamodule(
    cfg: Mapping[str, Any],
    description: TaskDescription,
    *,
    data_root: Path,
    fold: int | None,
    seed: int,
    outer: int | None = None,
    normalisation: Statistics | None = None,
) -> MMLDataModule:
    """Make the data module of a task.

    Args:
        cfg: A composed configuration; its groups ``preprocessing``, ``sampling``, ``loader`` and
            ``augmentations`` are read.
        description: The task.
        data_root: The data folder.
        fold: The fold that validates; None trains on all of the training split.
        seed: The seed of the step.
        outer: Of nested validation: a further fold that is neither trained nor validated on.
        normalisation: What images are normalised by, where it is not the task's own.

    Raises:
        PreprocessingError: The preprocessing is impossible.
        LoaderError: Another group is, or the task has no such fold.
    """
    return MMLDataModule(
        description,
        DataOptions.from_config(cfg),
        data_root=data_root,
        fold=fold,
        seed=seed,
        outer=outer,
        normalisation=normalisation,
    )
