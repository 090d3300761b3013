"""What lifecycle hooks are shown of a run, a step and an outcome: frozen views."""

from __future__ import annotations

from dataclasses import dataclass, field
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
        config: The composed config as plain values, with what this session overrides. An interpolation of the
            environment by which a secret comes in stays one, as in ``config.yaml`` of the run.
    """

    id: str
    project: str
    mode: str
    dir: Path | None
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepView:
    """A step as hooks see it.

    Attributes:
        id: The step's identity, safe as a file name.
        name: The scheduler's method.
        params: What the method is called with (JSON values).
        arguments: The same by the names of the method's parameters; empty where these cannot be told.
    """

    id: str
    name: str
    params: tuple[Any, ...]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricsView:
    """What a training logged, as hooks see it.

    Attributes:
        fit: Which training of the step it is, from 1.
        epoch: The epoch, from 0. A training that goes on after a kill may show an epoch once more, with the
            same values; what it showed of later ones holds no longer.
        values: Name such as ``val/loss`` → value. What a validation after the training says of an average of
            weights stands under ``stored/val/…``.
    """

    fit: int
    epoch: int
    values: dict[str, float]


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
