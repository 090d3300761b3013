"""What trackers have in common: a run is a parent, each task and fold of it a child."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mml_trackers.journal import Journal, StepTrack

_NAME = re.compile(r"[^A-Za-z0-9_\-./: ]")


@dataclass(frozen=True, kw_only=True)
class End:
    """How a run ended.

    Attributes:
        state: ``done``, ``failed``, ``interrupted``, or ``killed`` where it could not say so itself.
        error: In one line; empty where there is none.
        numbers: What it returned, as `numbers_of` gives it.
        seconds: Wall time of the session.
        artefacts: The files it made: key, task, path in the project, size in bytes, sha256.
    """

    state: str = "killed"
    error: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    artefacts: list[dict[str, Any]] = field(default_factory=list)


class Tracker(Protocol):
    """Copies the journal of one run; whatever is called again adds what is new and nothing twice."""

    def update(self, steps: list[StepTrack]) -> None:
        """Copy what there is while the run goes on."""

    def finish(self, steps: list[StepTrack], end: End) -> None:
        """Copy what there is, and how the run ended."""


@dataclass(kw_only=True)
class Unit:
    """What a tracker shows as one run: all of mml's run, or what it did about one task and fold.

    Attributes:
        task: The task; None for the whole run.
        fold: The fold; None where there is none.
        steps: The steps about it, by id.
    """

    task: str | None
    fold: str | None
    steps: list[StepTrack] = field(default_factory=list)

    @property
    def label(self) -> str:
        """How it is named."""
        return f"{self.task}" if self.fold is None else f"{self.task} fold {self.fold}"

    @property
    def state(self) -> str:
        """``failed``, ``running`` or ``done``: the first of these that one of the steps is."""
        states = {step.state for step in self.steps}
        return next((each for each in ("failed", "running") if each in states), "done")

    def points(self) -> list[Point]:
        """Return the values of each epoch, and what the steps returned, under their names."""
        found = []
        for step in self.steps:
            for name, curve in sorted(step.curves.items()):
                found += [
                    Point(clean(name), epoch, value, at) for epoch, (value, at) in sorted(curve.items())
                ]
            found += [
                Point(clean(f"{step.name}/{name}"), 0, value, step.ended)
                for name, value in sorted(step.numbers.items())
            ]
        return found


@dataclass(frozen=True)
class Point:
    """One value of a metric.

    Attributes:
        name: The metric.
        step: The epoch; 0 for what has none.
        value: The value.
        time: Unix time.
    """

    name: str
    step: int
    value: float
    time: float


def units_of(steps: list[StepTrack]) -> tuple[Unit, list[Unit]]:
    """Return the run itself, with the steps about no task, and a unit for each task and fold."""
    whole = Unit(task=None, fold=None)
    units: dict[tuple[str, str | None], Unit] = {}
    for step in steps:
        if step.task is None:
            whole.steps.append(step)
        else:
            key = (step.task, step.fold)
            units.setdefault(key, Unit(task=step.task, fold=step.fold)).steps.append(step)
    return whole, [units[key] for key in sorted(units, key=str)]


def flatten(config: Any, prefix: str = "") -> dict[str, str]:
    """Return the values of a config by dotted keys, as text; lists as JSON."""
    if isinstance(config, Mapping) and config:
        found: dict[str, str] = {}
        for name, value in config.items():
            found |= flatten(value, f"{prefix}.{name}" if prefix else str(name))
        return found
    return {prefix: config if isinstance(config, str) else json.dumps(config, default=str)}


def clean(name: str) -> str:
    """Return a name that trackers take: other characters than letters, digits and ``_-./: `` become ``_``."""
    return _NAME.sub("_", name)[:250]


def end_of(journal: Journal) -> End:
    """Return how the journal says that the run ended."""
    found = journal.read("end")
    return End() if found is None else End(**found)
