"""When a fit writes a checkpoint, and when it stops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from mml_core.errors import MMLError
from mml_core.learning.checkpoints import AtomicCheckpointIO, CheckpointError, FitCheckpoints
from mml_core.learning.options import OptionError, require_known

log = logging.getLogger(__name__)

_LEAST_SHARE = 20  # so many times as long as writing a checkpoint takes goes by before the next one


class Interruptions(Protocol):
    """Requests to stop that a fit asks for where it can stop."""

    @property
    def requested(self) -> bool:
        """Whether there is one."""

    def polled(self) -> AbstractContextManager[None]:
        """Let requests wait within the block until they are asked for."""

    def check(self) -> None:
        """Raise if there is one."""


@dataclass(frozen=True, kw_only=True)
class CheckpointRule:
    """When a fit writes a checkpoint: the node ``callbacks.checkpoint`` of the config.

    Attributes:
        every_minutes: After a batch that ends so long after the last checkpoint; 0: for no such reason.
        epoch_end_seconds: After the last batch of an epoch, if it ends so long after the last checkpoint;
            None: for no such reason.
        every_n_batches: After every so many batches; 0: for no such reason.
        keep: How many of the newest are kept; 0: none is written.
    """

    every_minutes: float = 10.0
    epoch_end_seconds: float | None = 60.0
    every_n_batches: int = 0
    keep: int = 2

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> CheckpointRule | None:
        """Read the node; None where it is missing, empty, or keeps nothing.

        Raises:
            OptionError: An option is unknown or impossible.
        """
        given = dict(options or {})
        require_known("callbacks.checkpoint", given, [field.name for field in fields(cls)])
        rule = cls(**given)
        for name, kinds in (
            ("every_minutes", int | float),
            ("epoch_end_seconds", int | float | None),
            ("every_n_batches", int),
            ("keep", int),
        ):
            value = getattr(rule, name)
            if isinstance(value, bool) or not isinstance(value, kinds) or (value or 0) < 0:
                raise OptionError(
                    f"callbacks.checkpoint.{name} is {value!r}; see `mml config show callbacks`."
                )
        return rule if given and rule.keep else None

    def is_due(self, batches: int, seconds: float, *, epoch_ends: bool, cost: float = 0.0) -> bool:
        """Tell whether a checkpoint is to be written now.

        Args:
            batches: Batches of the fit so far.
            seconds: Since the last checkpoint, or the beginning of the fit.
            epoch_ends: Whether this is the last batch of the epoch.
            cost: Seconds that writing the last one took.
        """
        if self.every_n_batches and batches % self.every_n_batches == 0:
            return True
        waits = [60 * self.every_minutes] if self.every_minutes else []
        if epoch_ends and self.epoch_end_seconds is not None:
            waits.append(self.epoch_end_seconds)
        return bool(waits) and seconds >= max(min(waits), _LEAST_SHARE * cost)


class Saving:
    """Writes the checkpoints of one fit.

    Args:
        checkpoints: Where they go.
        rule: When one is written.
        interruptions: What asks to stop; None: nothing does.

    Attributes:
        earlier_seconds: How long the fit took in the attempts that this one goes on from.
    """

    def __init__(
        self, checkpoints: FitCheckpoints, rule: CheckpointRule, interruptions: Interruptions | None
    ) -> None:
        self._checkpoints = checkpoints
        self._rule = rule
        self._interruptions = interruptions
        self._began = self._last = time.monotonic()
        self._cost = 0.0
        self._tried: Path | None = None
        self.earlier_seconds = 0.0

    @property
    def seconds(self) -> float:
        """How long the fit has taken, all attempts that it builds upon included."""
        return self.earlier_seconds + time.monotonic() - self._began

    def wanted(self, batches: int, *, epoch_ends: bool) -> bool:
        """Tell whether a checkpoint is due after so many batches, or the fit has to stop."""
        seconds = time.monotonic() - self._last
        return self._rule.is_due(batches, seconds, epoch_ends=epoch_ends, cost=self._cost) or self._asked

    def write(self, batches: int, write: Callable[[Path], None]) -> None:
        """Write the checkpoint after so many batches, which ``write`` does to a path.

        Raises:
            WriteFailedError: The disk is full or broken; a fit that has to stop stops all the same.
        """
        try:
            self._write(batches, write)
        except (MMLError, OSError) as error:
            if not self._asked:
                raise
            log.warning("%s; the training will go on from an earlier checkpoint, if there is one", error)

    def stop_if_asked(self) -> None:
        """End the fit where something asks it to stop."""
        if self._interruptions is not None:
            self._interruptions.check()

    @property
    def _asked(self) -> bool:
        return self._interruptions is not None and self._interruptions.requested

    def _write(self, batches: int, write: Callable[[Path], None]) -> None:
        began = time.monotonic()
        path = self._checkpoints.path_after(batches)
        write(path)
        self._checkpoints.note(path)
        if self._tried is None:
            self._tried = path
            self._try(path)
        self._last = time.monotonic()
        self._cost = self._last - began

    def _try(self, path: Path) -> None:
        """Say so if a checkpoint holds what cannot be read again; those that follow are of its kind."""
        try:
            AtomicCheckpointIO().load_checkpoint(path, map_location="meta")
        except CheckpointError as error:
            log.warning(
                "%s. A killed training would start over: the state of callbacks and models has to be tensors"
                " and plain values.",
                error,
            )
