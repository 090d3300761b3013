"""Which samples an epoch shows, and how they are cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mml_core.data.errors import LoaderError
from mml_core.data.orders import Balanced, BySubject, EpochOrder, Sequential, Shuffled, Weighted
from mml_core.errors import near_matches
from mml_core.tasks.description import TaskDescription, TaskType

SAMPLERS = ("shuffle", "balanced", "weighted", "subjects", "sequential")
DROP_LAST = ("single", True, False)
BALANCED = "balanced"


class BatchIndex(NamedTuple):
    """The samples of one batch, and where in the epoch they stand.

    Attributes:
        samples: Positions in the dataset, (B,).
        epoch: The epoch.
        positions: Places in the epoch's order, (B,): what a sample's random numbers depend on.
    """

    samples: NDArray[np.int64]
    epoch: int
    positions: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The ``sampling`` group of the configuration.

    Attributes:
        name: ``shuffle``, ``balanced``, ``weighted``, ``subjects`` or ``sequential``.
        num_samples: Samples of an epoch; None for as many as there are, or as there are subjects.
        column: Of ``weighted``: the column of the sample table that decides; None for the class.
        weights: Of ``weighted``: a weight for each class or value of the column; ``balanced`` for the inverse
            of how often it occurs; None where the column holds the weights themselves.
    """

    name: str = "shuffle"
    num_samples: int | None = None
    column: str | None = None
    weights: Mapping[str, float] | str | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SamplingOptions:
        """Read the group.

        Raises:
            LoaderError: A key is unknown or a value impossible.
        """
        known = [field.name for field in fields(cls)]
        for key in config:
            if key not in known:
                near = near_matches(str(key), known)
                raise LoaderError(f"sampling has no key '{key}'; there are {', '.join(known)}.{near}")
        options = cls(**{str(key): value for key, value in config.items()})
        if options.name not in SAMPLERS:
            near = near_matches(str(options.name), SAMPLERS)
            raise LoaderError(f"sampling.name is {options.name!r}; it can be {', '.join(SAMPLERS)}.{near}")
        wanted = options.num_samples
        if wanted is not None and (not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1):
            raise LoaderError(f"sampling.num_samples is {wanted!r}; at least 1 is needed, or null.")
        options._check_weights()
        return options

    def order(self, task: TaskDescription, rows: NDArray[np.int64], seed: int) -> EpochOrder:
        """The order of a dataset's epochs.

        Args:
            task: The task.
            rows: Which rows of its sample table the dataset has.
            seed: Seed of the step.

        Raises:
            LoaderError: The task or its size does not allow this way of sampling.
        """
        samples = len(rows)
        wanted = samples if self.num_samples is None else self.num_samples
        if not samples:
            return Sequential(0)
        if self.name == "balanced":
            return Balanced(_labels(task, "sampling=balanced")[rows], seed, wanted)
        if self.name == "weighted":
            return Weighted(self._weights_of(task, rows), seed, wanted)
        if self.name == "subjects":
            subjects = _subjects(task, rows)
            return BySubject(subjects, seed, self.num_samples or int(subjects.max()) + 1)
        if wanted > samples:
            raise LoaderError(
                f"sampling.num_samples is {wanted}, there are {samples}: lower it, or choose "
                "sampling=balanced, which draws with replacement."
            )
        return Sequential(wanted) if self.name == "sequential" else Shuffled(samples, seed, wanted)

    def _check_weights(self) -> None:
        if self.name != "weighted":
            if self.weights is not None or self.column is not None:
                key = "weights" if self.weights is not None else "column"
                raise LoaderError(
                    f"sampling.{key} is for sampling=weighted, found sampling.name={self.name}."
                )
            return
        if self.weights is None and self.column is None:
            raise LoaderError(
                "sampling=weighted needs sampling.weights, as {benign: 1, malignant: 5} or balanced, or "
                "sampling.column, the column of the sample table that holds the weights."
            )
        if isinstance(self.weights, Mapping):
            for key, weight in self.weights.items():
                if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not weight >= 0:
                    raise LoaderError(f"sampling.weights.{key} is {weight!r}; a number from 0 is needed.")
        elif self.weights not in (None, BALANCED):
            raise LoaderError(
                f"sampling.weights is {self.weights!r}; it can be balanced, null, or a weight for each value."
            )

    def _weights_of(self, task: TaskDescription, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        values = self._values(task, rows)
        if self.weights is None:
            weights = np.array([self._number(value) for value in values], dtype=np.float64)
        else:
            names, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
            if isinstance(self.weights, Mapping):
                given = {str(key): float(weight) for key, weight in self.weights.items()}
                weights = np.array([self._chosen(given, str(name)) for name in names])[codes]
            else:
                weights = (1 / counts)[codes]
        if not weights.sum() > 0:
            raise LoaderError(
                f"sampling=weighted gives all training samples of task '{task.name}' the weight 0: raise one."
            )
        return weights

    def _values(self, task: TaskDescription, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        """What decides over the weight of each sample, as text; a class by its name."""
        if self.column is None:
            classes = [task.idx_to_class.get(str(label), str(label)) for label in range(task.num_classes)]
            labels = _labels(task, "sampling.weights without sampling.column")[rows]
            named: NDArray[np.str_] = np.array([*classes, ""])[labels]
            return named
        if self.column not in task.samples.column_names:
            near = near_matches(self.column, task.samples.column_names)
            known = ", ".join(task.samples.column_names)
            raise LoaderError(
                f"sampling.column is '{self.column}', but task '{task.name}' has the columns {known}.{near}"
            )
        return np.array([str(value) for value in task.samples.take(rows).column(self.column).to_pylist()])

    def _chosen(self, given: Mapping[str, float], name: str) -> float:
        if name not in given:
            near = near_matches(name, list(given))
            raise LoaderError(f"sampling.weights has no weight for '{name}', which samples are of.{near}")
        return given[name]

    def _number(self, value: str) -> float:
        try:
            weight = float(value)
        except ValueError:
            weight = -1.0
        if not 0 <= weight < np.inf:
            raise LoaderError(
                f"sampling.column '{self.column}' has the value '{value}': numbers from 0 "
                "are needed, or sampling.weights with a weight for each value."
            )
        return weight


class EpochBatches:
    """Cuts the order of an epoch into batches; a batch sampler whose place can be stored.

    Args:
        order: The samples of each epoch.
        batch_size: Samples of a batch.
        drop_last: What becomes of a last, smaller batch: True drops it, ``"single"`` only where it is one
            sample (batch normalisation cannot train on that), False keeps it.
        rank: This process among ``world_size``, each of which gets every ``world_size``-th sample.
        world_size: Number of processes that share the batches.
    """

    def __init__(
        self,
        order: EpochOrder,
        batch_size: int,
        *,
        drop_last: bool | str = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.order = order
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.epoch = 0
        self.start = 0
        self._rank = rank
        self._world_size = world_size

    @property
    def sampler(self) -> EpochBatches:
        """Itself: where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch the next iteration shows; another one begins with its first batch."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def __len__(self) -> int:
        samples = self._own_samples()
        full, rest = divmod(samples, self.batch_size)
        keep = rest and not (self.drop_last is True or (self.drop_last == "single" and rest == 1 and full))
        return full + bool(keep)

    def __iter__(self) -> Iterator[BatchIndex]:
        return self._batches(self.epoch, self.start)  # bound now, though the first is cut later

    def _batches(self, epoch: int, first: int) -> Iterator[BatchIndex]:
        shown = self.order.order(epoch)
        places = np.arange(self._rank, len(shown), self._world_size, dtype=np.int64)[: self._own_samples()]
        for batch in range(first, len(self)):
            positions = places[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield BatchIndex(shown[positions], epoch, positions)

    def _own_samples(self) -> int:
        whole, rest = divmod(len(self.order), self._world_size)
        shared = (
            self.drop_last is False and self._rank < rest
        )  # when training, all ranks need as many batches
        return whole + bool(shared)


def _labels(task: TaskDescription, what: str) -> NDArray[Any]:
    if task.task_type is not TaskType.CLASSIFICATION:
        raise LoaderError(f"{what} needs a classification task: choose sampling=default.")
    return task.samples.numpy("label")


def _subjects(task: TaskDescription, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each sample's subject; a sample of none is one of its own."""
    names = task.samples.take(rows).column("group").to_pylist()
    if not any(name is not None for name in names):
        raise LoaderError(
            f"sampling=subjects: task '{task.name}' does not say of which subject its samples are; create it "
            "with a group for each sample, or choose sampling=default."
        )
    numbers: dict[Any, int] = {}
    keys = [(row, None) if name is None else name for row, name in enumerate(names)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
