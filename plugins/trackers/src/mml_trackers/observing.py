"""Observing a run that is to be tracked: what its steps do goes to the journal, another process copies it."""

from __future__ import annotations

import inspect
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from mml_core.api import AbstractBaseScheduler
from mml_core.plugins import Outcome, RunView, StepView
from mml_trackers.journal import FOLDER, Journal, StepJournal, numbers_of
from mml_trackers.options import TrackerError, TrackerOptions, read_options

log = logging.getLogger(__name__)

_GRACE = 10.0
"""Seconds that a run which was asked to stop waits: who asks kills soon, and trackers can be told later."""

_LAST = "before_finishing_hook"
"""The step that returns what the run returns."""

_observed: WeakKeyDictionary[AbstractBaseScheduler, Observer] = WeakKeyDictionary()


def observe(scheduler: AbstractBaseScheduler) -> None:
    """Observe the run of a scheduler from now on; what only plans or reads has no run."""
    run_dir = scheduler.fm.project_path / "runs" / scheduler.fm.layout.run
    if run_dir.is_dir():
        _observed[scheduler] = Observer(scheduler, run_dir)


def observer_of(of: AbstractBaseScheduler | str) -> Observer | None:
    """Return the observer of a scheduler, or of the run of an id."""
    if not isinstance(of, str):
        return _observed.get(of)
    return next((found for found in _observed.values() if found.run_dir.name == of), None)


class Observer:
    """Notes what a run does, in any process that works on it.

    Args:
        scheduler: The run's scheduler in this process.
        run_dir: The run's directory.
    """

    def __init__(self, scheduler: AbstractBaseScheduler, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.journal = Journal(run_dir / FOLDER)
        with scheduler.choosing_steps():  # what is read here, no step rests on
            self._config: dict[str, Any] = _plain(scheduler.cfg)
        self._methods = type(scheduler)
        self._store = scheduler.fm.store
        self._step: StepJournal | None = None
        self._mirror: subprocess.Popen[bytes] | None = None
        self._options: list[TrackerOptions] = []

    def step_started(self, step: StepView) -> None:
        """Begin the journal of a step."""
        self._step = self.journal.step(step.id)
        self._step.note("step", name=step.name, **self._about(step, None))

    def callbacks(self) -> list[Any]:
        """Return what notes the epochs of a training in the running step."""
        if self._step is None:
            return []
        from mml_trackers.curves import Curves

        self._step.fits += 1
        return [Curves(self._step, self._step.fits)]

    def step_finished(self, step: StepView, outcome: Outcome) -> None:
        """Note how a step ended."""
        found, self._step = self._step or self.journal.step(step.id), None
        about = self._about(step, outcome.value)
        numbers = {
            name: number
            for name, number in numbers_of(outcome.value).items()
            if name not in ("fold", "outer") and step.name != _LAST
        }
        found.note("end", ok=outcome.ok, error=outcome.error or "", numbers=numbers, **about)

    def run_started(self, run: RunView) -> None:
        """Write what the run is, and start what copies it to the trackers."""
        if run.dir is None:
            return
        self._options = self._usable_options()
        project = self.run_dir.parent.parent
        self.journal.begin(
            {
                "id": run.id,
                "project": run.project,
                "mode": run.mode,
                "config": self._config,
                "project_path": str(project),
                "logging": self._config["logging"],
            }
        )
        if self._options:
            self._mirror = subprocess.Popen(
                [sys.executable, "-m", "mml_trackers.mirror", str(self.run_dir)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONSAFEPATH": "1"},  # no module of the working directory
                start_new_session=True,  # Ctrl-C is for the run, which tells how it ended
            )

    def run_finished(self, run: RunView, outcome: Outcome) -> None:
        """Write how the run ended, and wait until the trackers have it."""
        if run.dir is None:
            return
        state = "done" if outcome.ok else "interrupted" if outcome.interrupted else "failed"
        made = [record.artefact for record in self._store.records() if record.run == run.id]
        self.journal.end(
            {
                "state": state,
                "error": outcome.error or "",
                "numbers": numbers_of(outcome.value),
                "seconds": outcome.seconds,
                "artefacts": [
                    {
                        "key": each.key,
                        "task": each.task,
                        "path": each.path,
                        "size": each.size,
                        "sha256": each.sha256,
                    }
                    for each in made
                ],
            }
        )
        if self._mirror is not None:
            seconds = sum(each.wait for each in self._options)
            self._finish(self._mirror, min(seconds, _GRACE) if outcome.interrupted else seconds)

    def _finish(self, mirror: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            mirror.communicate(timeout=seconds)
            problems = dict(self.journal.read("problems") or {})
            if mirror.returncode and not problems:
                problems = {"the copying process": f"it ended with exit code {mirror.returncode}"}
        except subprocess.TimeoutExpired:
            mirror.kill()
            mirror.wait()
            problems = {"logging": f"not all was told within {seconds:g} s"}
        if problems:
            causes = "; ".join(f"{name}: {cause}" for name, cause in problems.items())
            self._warn(causes)

    def _usable_options(self) -> list[TrackerOptions]:
        """Return the options of the trackers that can be used; warn of the others."""
        try:
            asked = read_options(self._config["logging"])
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

    def _warn(self, cause: str) -> None:
        log.warning(
            "This run is not tracked as asked for: %s Its journal has all;"
            " `mml trackers sync %s --proj %s` tells the trackers later.",
            cause if cause.endswith(".") else f"{cause}.",
            self.run_dir.name,
            self.run_dir.parent.parent.name,
        )

    def _about(self, step: StepView, value: Any) -> dict[str, str | None]:
        """Return the task and the fold that a step is about, by what it returned or by its parameters."""
        told: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        asked = self._arguments(step)
        task, fold = told.get("task", asked.get("task")), told.get("fold", asked.get("fold"))
        outer = told.get("outer", asked.get("outer"))
        if not isinstance(task, str):
            return {"task": None, "fold": None}
        if not isinstance(fold, int):
            return {"task": task, "fold": None}
        return {"task": task, "fold": f"{fold}" if outer is None else f"{fold}-outer{outer}"}

    def _arguments(self, step: StepView) -> Mapping[str, Any]:
        method = getattr(self._methods, step.name, None)
        try:
            return inspect.signature(method).bind(None, *step.params).arguments if method else {}
        except (TypeError, ValueError):  # a method that takes something else by name
            return {}


def _plain(cfg: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    found = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
