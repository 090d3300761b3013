"""Which samples an epoch shows, in which order: functions of seed and epoch alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mml_core.data.errors import LoaderError
from mml_core.errors import near_matches

SAMPLERS = ("shuffle", "balanced", "sequential")
DROP_LAST = ("single", True, False)


class EpochOrder(Protocol):
    """The samples of an epoch, as positions in a dataset."""

    def __len__(self) -> int:
        """How many samples an epoch has."""
        ...

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The samples of one epoch, in the order they are shown."""
        ...


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


def bits(purpose: str, seed: int, epoch: int, count: int, skip: int = 0) -> NDArray[np.uint64]:
    """Random 64-bit words: a function of the arguments alone, on every machine and NumPy version.

    Args:
        purpose: Keeps apart what is drawn for different ends.
        seed: The seed of the step.
        epoch: The epoch.
        count: How many words.
        skip: So many blocks of four words are left out at the beginning.
    """
    key = int.from_bytes(hashlib.sha256(f"{purpose}:{seed}".encode()).digest()[:8], "little")
    stream = np.random.Philox(key=np.array([key, epoch], dtype=np.uint64))
    stream.advance(skip)
    return np.asarray(stream.random_raw(count), dtype=np.uint64)


def uniforms(
    purpose: str, seed: int, epoch: int, positions: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """Random numbers in [0, 1), (B, ``count``), of which each row depends on its own position alone."""
    if not len(positions):
        return np.zeros((0, count), dtype=np.float32)
    blocks = -(-count // 4)
    first = int(positions.min())
    span = int(positions.max()) - first + 1
    words = bits(purpose, seed, epoch, span * blocks * 4, skip=first * blocks)
    rows = words.reshape(span, blocks * 4)[positions - first, :count]
    drawn: NDArray[np.float32] = (rows >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return drawn


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


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The ``sampling`` group of the configuration.

    Attributes:
        name: ``shuffle``, ``balanced`` or ``sequential``.
        num_samples: Samples of an epoch; None for as many as there are.
    """

    name: str = "shuffle"
    num_samples: int | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SamplingOptions:
        """Read the group.

        Raises:
            LoaderError: A key is unknown or a value impossible.
        """
        for key in config:
            if key not in ("name", "num_samples"):
                near = near_matches(str(key), ("name", "num_samples"))
                raise LoaderError(f"sampling has no key '{key}'; there are name and num_samples.{near}")
        options = cls(**{str(key): value for key, value in config.items()})
        if options.name not in SAMPLERS:
            near = near_matches(str(options.name), SAMPLERS)
            raise LoaderError(f"sampling.name is {options.name!r}; it can be {', '.join(SAMPLERS)}.{near}")
        if options.num_samples is not None and options.num_samples < 1:
            raise LoaderError(
                f"sampling.num_samples is {options.num_samples}; at least 1 is needed, or null."
            )
        return options

    def order(self, samples: int, labels: NDArray[Any] | None, seed: int) -> EpochOrder:
        """The order of a dataset's epochs.

        Args:
            samples: Length of the dataset.
            labels: Class of each sample; None where a sample is not of one class.
            seed: Seed of the step.

        Raises:
            LoaderError: The task or its size does not allow this way of sampling.
        """
        wanted = samples if self.num_samples is None else self.num_samples
        if self.name == "balanced":
            if labels is None:
                raise LoaderError("sampling=balanced needs a classification task: choose sampling=default.")
            return Balanced(labels, seed, wanted if samples else 0)
        if wanted > samples:
            raise LoaderError(
                f"sampling.num_samples is {wanted}, there are {samples}: lower it, or choose "
                "sampling=balanced, which draws with replacement."
            )
        return Sequential(wanted) if self.name == "sequential" else Shuffled(samples, seed, wanted)


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
