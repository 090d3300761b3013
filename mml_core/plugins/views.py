"""What lifecycle hooks are shown of a run, a step and an outcome: frozen views."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunView:
    """A run as hooks see it.

    Attributes:
        id: The run's name, that of its directory.
        project: The project it belongs to.
        mode: The name of the mode.
        dir: The run directory; ``None`` for a mode that only reads.
    """

    id: str
    project: str
    mode: str
    dir: Path | None


@dataclass(frozen=True)
class StepView:
    """A step as hooks see it.

    Attributes:
        id: The step's identity, safe as a file name.
        name: The scheduler's method.
        params: What the method is called with (JSON values).
    """

    id: str
    name: str
    params: tuple[Any, ...]


@dataclass(frozen=True)
class Outcome:
    """How a run or a step ended.

    Attributes:
        ok: Whether it succeeded.
        value: What it returned (JSON); ``None`` if it failed.
        error: What it raised, in one line; ``None`` if it succeeded.
        seconds: Wall time.
        taken_from: The run, as ``project/run``, that had done the step and from which it was taken over;
            ``None`` where it was run.
        interrupted: Whether it was asked to stop, and can be continued.
    """

    ok: bool
    value: Any
    error: str | None
    seconds: float
    taken_from: str | None = None
    interrupted: bool = False
