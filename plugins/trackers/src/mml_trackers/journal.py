"""The journal of a tracked run: all that trackers are told, in plain files of the run's directory.

Steps append to a file of their own, one JSON object a line, in whatever process they run; trackers copy
from there. So a tracker that is slow, fails, or is not there, costs a training nothing and loses nothing, and
a run that goes on after a kill has noted each epoch once, whatever the tracker saw before.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mml_core.api import writing

FOLDER = Path("logs", "trackers")
"""In the run's directory."""

Curve = dict[int, tuple[float, float]]
"""Epoch → value, Unix time."""


@dataclass(kw_only=True)
class StepTrack:
    """What the journal holds of a step.

    Attributes:
        id: The step's id.
        name: The scheduler's method.
        task: What it is about; None where that is no task.
        fold: Its validation fold, as in names of files; None where there is none.
        state: ``running``, ``done`` or ``failed``.
        error: How it failed, one line.
        curves: Name such as ``val/loss`` → values of each epoch.
        numbers: What it returned: path in the value, with ``/`` → number.
        ended: Unix time; 0 while it runs.
    """

    id: str
    name: str = ""
    task: str | None = None
    fold: str | None = None
    state: str = "running"
    error: str = ""
    curves: dict[str, Curve] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    ended: float = 0.0

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "step":
            self.name, self.task, self.fold = event["name"], event["task"], event["fold"]
            self.state, self.error, self.ended = "running", "", 0.0
        elif kind == "epoch":
            prefix, now = _prefix(event["fit"]), event["epoch"]
            for (
                name,
                curve,
            ) in self.curves.items():  # a fit that is at this epoch again has not reached later ones
                if name.startswith("fit") == bool(prefix) and name.startswith(prefix):
                    for epoch in [each for each in curve if each > now]:
                        del curve[epoch]
            for name, value in event["metrics"].items():
                self.curves.setdefault(prefix + name, {})[now] = (value, event["time"])
        elif kind == "end":
            self.state, self.error = ("done", "") if event["ok"] else ("failed", event["error"])
            self.numbers, self.ended = event["numbers"], event["time"]
            self.task, self.fold = event["task"], event["fold"]


class StepJournal:
    """Writes what happens in one step.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, event: str, **fields: Any) -> None:
        """Append an event; a line that an earlier process was killed in is left behind."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"event": event, "time": time.time(), **fields})
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, f"\n{line}\n".encode())
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class Journal:
    """The journal of a run.

    Attributes:
        folder: ``FOLDER`` of the run's directory.
    """

    folder: Path

    def step(self, step_id: str) -> StepJournal:
        """Return the journal of a step."""
        return StepJournal(self.folder / "steps" / f"{step_id}.jsonl")

    def steps(self) -> list[StepTrack]:
        """Read what steps have noted so far, by their ids."""
        return [_read(path) for path in sorted((self.folder / "steps").glob("*.jsonl"))]

    def begin(self, run: dict[str, Any]) -> None:
        """Write what the run is; what is said of its end no longer holds."""
        _write(self.folder / "run.json", run)
        (self.folder / "end.json").unlink(missing_ok=True)
        (self.folder / "problems.json").unlink(missing_ok=True)

    def end(self, end: dict[str, Any]) -> None:
        """Write how the run ended."""
        _write(self.folder / "end.json", end)

    def read(self, name: str) -> dict[str, Any] | None:
        """Read ``run``, ``end`` or ``problems``; None where it is not there."""
        try:
            found = json.loads((self.folder / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        return found if isinstance(found, dict) else None

    def note_problems(self, problems: dict[str, str]) -> None:
        """Write which trackers have not got all of the run: name → cause in one line."""
        _write(self.folder / "problems.json", problems)


def numbers_of(value: Any) -> dict[str, float]:
    """Return the numbers in a JSON value by their path in it, with ``/``; lists and truths are left out."""
    return dict(_numbers(value, ""))


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{path}/{name}" if path else str(name))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path or "value", float(value)


def _read(path: Path) -> StepTrack:
    track = StepTrack(id=path.name.removesuffix(".jsonl"))
    for line in path.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # a blank line, or one whose writer was killed in it
            continue
        track._take(event)
    return track


def _write(path: Path, value: dict[str, Any]) -> None:
    with writing(path) as temp:
        temp.write_text(json.dumps(value))


def _prefix(fit: int) -> str:
    return "" if fit == 1 else f"fit{fit}/"
