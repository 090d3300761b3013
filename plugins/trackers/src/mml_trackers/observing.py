"""Observing a run that is to be tracked: what its steps do goes to the journal, another process copies it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml_core.api import ArtefactStore
from mml_core.plugins import MetricsView, Outcome, RunView, StepView
from mml_trackers.journal import FOLDER, Journal, numbers_of
from mml_trackers.options import (
    TrackerError,
    TrackerOptions,
    logging_of,
    read_options,
    refuse_stored_password,
)

log = logging.getLogger(__name__)

_GRACE = 10.0
"""Seconds that a run which was asked to stop waits: who asks kills soon, and trackers can be told later."""

_LAST = "before_finishing_hook"
"""The step that returns what the run returns."""


@dataclass(frozen=True)
class _Mirror:
    """The process that copies the journal of a run which this process leads.

    Attributes:
        process: It.
        seconds: How long the end of the run waits for it.
    """

    process: subprocess.Popen[bytes]
    seconds: float


_mirrors: dict[str, _Mirror] = {}
_warned: set[str] = set()
"""Runs whose journal this process could not write."""


class Observer:
    """Notes what a run does, in any process that works on it.

    Args:
        run: The run.
        run_dir: Its directory.
    """

    def __init__(self, run: RunView, run_dir: Path) -> None:
        self._run = run
        self._run_dir = run_dir
        self._journal = Journal(run_dir / FOLDER)

    def run_started(self) -> None:
        """Write what the run is, and start what copies it to the trackers."""
        options = self._usable_options()
        project = self._run_dir.parent.parent
        with self._noting():
            self._journal.begin(
                {
                    "id": self._run.id,
                    "project": self._run.project,
                    "mode": self._run.mode,
                    "config": self._run.config,
                    "project_path": str(project),
                }
            )
            if options:
                seconds = sum(each.wait for each in options)
                _mirrors[self._run.id] = _Mirror(_start_mirror(self._run_dir), seconds)

    def step_started(self, step: StepView) -> None:
        """Begin the journal of a step."""
        with self._noting():
            self._journal.step(step.id).note("step", name=step.name, **_about(step, None))

    def metrics_logged(self, step: StepView, metrics: MetricsView) -> None:
        """Note what a training logged."""
        with self._noting():
            self._journal.step(step.id).note(
                "epoch", fit=metrics.fit, epoch=metrics.epoch, metrics=metrics.values
            )

    def step_finished(self, step: StepView, outcome: Outcome) -> None:
        """Note how a step ended."""
        numbers = {
            name: number
            for name, number in numbers_of(outcome.value).items()
            if name not in ("fold", "outer") and step.name != _LAST
        }
        with self._noting():
            self._journal.step(step.id).note(
                "end",
                ok=outcome.ok,
                error=outcome.error or "",
                numbers=numbers,
                **_about(step, outcome.value),
            )

    def run_finished(self, outcome: Outcome) -> None:
        """Write how the run ended, and wait until the trackers have it."""
        state = "done" if outcome.ok else "interrupted" if outcome.interrupted else "failed"
        with self._noting():
            self._journal.end(
                {
                    "state": state,
                    "error": outcome.error or "",
                    "numbers": numbers_of(outcome.value),
                    "seconds": outcome.seconds,
                    "artefacts": self._artefacts(),
                }
            )
        mirror = _mirrors.pop(self._run.id, None)
        if mirror is not None:
            self._finish(
                mirror.process, min(mirror.seconds, _GRACE) if outcome.interrupted else mirror.seconds
            )

    def _artefacts(self) -> list[dict[str, Any]]:
        records = ArtefactStore(self._run_dir.parent.parent).records()
        made = [record.artefact for record in records if record.run == self._run.id]
        names = ("key", "task", "path", "size", "sha256")
        return [{name: getattr(each, name) for name in names} for each in made]

    def _finish(self, mirror: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            mirror.communicate(timeout=seconds)
            problems = dict(self._journal.read("problems") or {})
            if mirror.returncode and not problems:
                problems = {"the copying process": f"it ended with exit code {mirror.returncode}"}
        except subprocess.TimeoutExpired:
            mirror.kill()
            mirror.wait()
            problems = {"logging": f"not all was told within {seconds:g} s"}
        if problems:
            self._warn("; ".join(f"{name}: {cause}" for name, cause in problems.items()))

    def _usable_options(self) -> list[TrackerOptions]:
        """Return the options of the trackers that can be used; warn of the others."""
        try:
            refuse_stored_password(self._run.config["logging"])
            asked = read_options(logging_of(self._run.config))
        except TrackerError as error:
            self._warn(str(error))
            return []
        usable = []
        for options in asked:
            try:
                options.require_installed()
                usable.append(options)
            except TrackerError as error:
                self._warn(str(error))
        return usable

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Say once where the journal cannot be written, as on a full disk; the run is none the worse."""
        try:
            yield
        except OSError as error:
            if self._run.id not in _warned:
                _warned.add(self._run.id)
                log.warning("This run is not tracked as asked for: %s.", error)

    def _warn(self, cause: str) -> None:
        log.warning(
            "This run is not tracked as asked for: %s Its journal has all;"
            " `mml trackers sync %s --proj %s` tells the trackers later.",
            cause if cause.endswith(".") else f"{cause}.",
            self._run_dir.name,
            self._run_dir.parent.parent.name,
        )


def _start_mirror(run_dir: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "mml_trackers.mirror", str(run_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # no module of the working directory
        start_new_session=True,  # Ctrl-C is for the run, which tells how it ended
    )


def _about(step: StepView, value: Any) -> dict[str, str | None]:
    """Return the task and the fold that a step is about, by what it returned or by its parameters."""
    told: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    task, fold, outer = (told.get(name, step.arguments.get(name)) for name in ("task", "fold", "outer"))
    if not isinstance(task, str):
        return {"task": None, "fold": None}
    if not isinstance(fold, int):
        return {"task": task, "fold": None}
    return {"task": task, "fold": f"{fold}" if outer is None else f"{fold}-outer{outer}"}
