"""The orders in which epochs show samples: functions of seed and epoch alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mml_core.data.randomness import bits


class EpochOrder(Protocol):
    """The samples of an epoch, as positions in a dataset."""

    def __len__(self) -> int:
        """How many samples an epoch has."""
        ...

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The samples of one epoch, in the order they are shown."""
        ...


@dataclass(frozen=True)
class Sequential:
    """Every sample once, in the order of the sample table."""

    samples: int

    def __len__(self) -> int:
        return self.samples

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The same in every epoch."""
        return np.arange(self.samples, dtype=np.int64)


@dataclass(frozen=True)
class Shuffled:
    """Every sample at most once, in an order that seed and epoch decide."""

    samples: int
    seed: int
    num_samples: int

    def __len__(self) -> int:
        return self.num_samples

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The order of one epoch; the first ``num_samples`` of a permutation."""
        words = bits("order", self.seed, epoch, self.samples)
        return np.argsort(words, kind="stable").astype(np.int64, copy=False)[: self.num_samples]


@dataclass(frozen=True)
class Balanced:
    """Every class equally often on average, samples drawn with replacement.

    Args:
        labels: Class of each sample of the dataset.
    """

    labels: NDArray[np.integer[Any]]
    seed: int
    num_samples: int

    def __len__(self) -> int:
        return self.num_samples

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The draws of one epoch."""
        by_class = np.argsort(self.labels, kind="stable").astype(np.int64, copy=False)
        _, starts, counts = np.unique(self.labels[by_class], return_index=True, return_counts=True)
        words = bits("balanced", self.seed, epoch, 2 * self.num_samples).reshape(2, -1)
        chosen = words[0] % np.uint64(len(counts))
        within = words[1] % counts[chosen].astype(np.uint64)
        drawn: NDArray[np.int64] = by_class[starts[chosen] + within.astype(np.int64)]
        return drawn


@dataclass(frozen=True)
class Weighted:
    """Samples drawn with replacement, each as often as its weight says on average.

    Args:
        weights: Weight of each sample of the dataset, none negative, some positive.
    """

    weights: NDArray[np.float64]
    seed: int
    num_samples: int

    def __len__(self) -> int:
        return self.num_samples

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The draws of one epoch."""
        limits = np.cumsum(self.weights)
        words = bits("weighted", self.seed, epoch, self.num_samples)
        drawn = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53 * limits[-1]
        last = int(np.flatnonzero(self.weights)[-1])  # rounding may draw the very end
        chosen: NDArray[np.int64] = np.searchsorted(limits, drawn, side="right").astype(np.int64)
        return np.minimum(chosen, last)


@dataclass(frozen=True)
class BySubject:
    """Every subject equally often: rounds that show one sample of each, until the epoch is full.

    A subject shows another of its samples in each round, until it has shown all.

    Args:
        subjects: Number of the subject of each sample of the dataset, from 0 on without gaps.
    """

    subjects: NDArray[np.int64]
    seed: int
    num_samples: int

    def __len__(self) -> int:
        return self.num_samples

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The samples of one epoch."""
        counts = np.bincount(self.subjects)
        shuffled = np.argsort(bits("samples", self.seed, epoch, len(self.subjects)), kind="stable")
        by_subject = shuffled[np.argsort(self.subjects[shuffled], kind="stable")]
        starts = np.cumsum(counts) - counts
        rounds = -(-self.num_samples // len(counts))
        words = bits("subjects", self.seed, epoch, rounds * len(counts)).reshape(rounds, -1)
        shown = np.argsort(words, axis=1, kind="stable")
        places = starts[shown] + np.arange(rounds)[:, None] % counts[shown]
        drawn: NDArray[np.int64] = by_subject[places.reshape(-1)[: self.num_samples]]
        return drawn.astype(np.int64, copy=False)
