"""What a scheduler reads of its config and takes of tasks: before the steps for all, then step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mml_core.config.reads import Reads
from mml_core.scheduling.fingerprints import counted
from mml_core.scheduling.inputs import KnownFiles

if TYPE_CHECKING:
    from mml_core.scheduling.environments import Environment
    from mml_core.scheduling.take_over import Library


class Notes:
    """Keeps account of what the steps of a scheduler rest on, in one process.

    Attributes:
        files: What files are that were looked at.
        environment: What steps run with; None until that is asked for.
        library: Where steps may be taken over from; None until that is asked for.
        notices: What a reader of the run has to know, one line each.
    """

    def __init__(self) -> None:
        self.files: KnownFiles = {}
        self.environment: Environment | None = None
        self.library: Library | None = None
        self.notices: list[str] = []
        self._reads = Reads()
        self._tasks: set[str] = set()
        self._common: list[str] = []
        self._kept_for_later: set[str] = set()
        self._attributes: dict[str, Any] | None = None

    def track(self, cfg: DictConfig) -> None:
        """Note from now on what is read of a config."""
        self._reads.track(cfg)

    def read(self, *keys: str) -> None:
        """Note keys that are read in another way than of a tracked config."""
        self._reads.note(*keys)

    def take(self, task: str) -> None:
        """Note a task whose struct is taken outside of steps."""
        self._tasks.add(task)

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Forget in the end what was read and taken in this block."""
        read, tasks = self._reads.take(), set(self._tasks)
        try:
            yield
        finally:
            self._reads.take()
            self._reads.note(*read)
            self._tasks = tasks

    def end_preparation(self) -> None:
        """Note that what was read so far, all steps rest on."""
        self._common = self._reads.take()

    def begin_planning(self) -> None:
        """Note that what is read from here on, all steps rest on, too."""
        self._reads.take()

    def end_planning(self) -> tuple[list[str], list[str]]:
        """Return the keys and the tasks that all steps rest on."""
        return counted({*self._common, *self._reads.take()}), sorted(self._tasks)

    def begin_step(self, attributes: dict[str, Any]) -> None:
        """Begin with a step.

        Args:
            attributes: What the scheduler object keeps, its own and the step's affairs left out.
        """
        self._reads.take()
        self._attributes = attributes

    def of_step(self) -> list[str]:
        """Return the keys that the running step rests on, beside those of all steps."""
        return counted({*self._reads.noted(), *self._kept_for_later})

    def end_step(self, attributes: dict[str, Any]) -> None:
        """End the step, if it was begun; what it kept on the object later ones may use without reading."""
        before, self._attributes = self._attributes, None
        if before is not None and (
            attributes.keys() != before.keys() or any(attributes[name] is not before[name] for name in before)
        ):
            self._kept_for_later.update(self._reads.noted())
