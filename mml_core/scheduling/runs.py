"""The runs of a project and the state each is in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mml_core.config.run_directory import RUNS
from mml_core.errors import MMLError, near_matches
from mml_core.files.cleanup import inside
from mml_core.files.folders import remove_folder
from mml_core.files.layout import Layout
from mml_core.scheduling.claims import StepClaims
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_directory import RunDirectory, RunDirectoryError, run_directories
from mml_core.scheduling.sealed import DamagedRecordError
from mml_core.storage.leases import Lease, read_owner


class UnknownRunError(MMLError):
    """A project has no run of that name."""


@dataclass(frozen=True)
class RunSummary:
    """A run as ``mml runs`` shows it.

    Attributes:
        id: Name of its directory.
        mode: Its mode; empty where its description is damaged.
        status: ``running``, ``resumable``, ``failed``, ``done`` or ``damaged``.
        state: The status in words: who runs it, at which step it goes on, what failed.
        steps_done: How many steps are committed.
        steps: How many steps it has.
        created: Unix time.
        finished: Unix time; None while it is not done.
        seconds: From its beginning to its end, to now while it runs, else to its last commit.
        command: What to type to go on; empty where there is nothing to go on with.
        path: Its directory.
    """

    id: str
    mode: str
    status: str
    state: str
    steps_done: int
    steps: int
    created: float
    finished: float | None
    seconds: float
    command: str
    path: Path


def list_runs(project_path: Path) -> list[RunSummary]:
    """Return the runs of a project, oldest first."""
    summaries = []
    for run in run_directories(project_path):
        with suppress(RunDirectoryError):  # made, and killed before it was described: it never began
            summaries.append(summarise(run))
    return summaries


def summarise(run: RunDirectory) -> RunSummary:
    """Return what can be said of a run; raise RunDirectoryError where it is none."""
    info, done, plan, damage = None, None, None, ""
    try:
        info = run.info()
        done = run.done()
        plan = run.load_plan()
    except RunDirectoryError as error:
        if not run.plan_path.exists():
            raise
        damage = str(error)
    except DamagedRecordError as error:
        damage = str(error)
    steps_done = _committed(run)
    steps = max(steps_done, _planned(run)) if plan is None else len(plan)
    failures = run.failures()
    go_on = run.continue_command
    if damage:
        status, state, go_on = "damaged", damage, ""
    elif done is not None:
        status, state, go_on = "done", "done", ""
    elif (held := run.held()) is not None:
        owner = read_owner(held)
        status, state = "running", f"running: {owner.describe()}" if owner is not None else "running"
    elif failures:
        status, state = "failed", f"failed: {failures[0].name}: {failures[0].error}"
    else:
        status, state = "resumable", f"resumable at step {min(steps_done + 1, steps)} of {steps}"
    created = info.created if info is not None else run.plan_path.stat().st_mtime
    finished = done.finished if done is not None else None
    end = finished if finished is not None else time.time() if status == "running" else _last_commit(run)
    return RunSummary(
        id=run.id,
        mode=info.mode if info is not None else "",
        status=status,
        state=state,
        steps_done=steps_done,
        steps=steps,
        created=created,
        finished=finished,
        seconds=max(0.0, end - created),
        command=go_on,
        path=run.path,
    )


def newest_to_continue(runs: Sequence[RunSummary]) -> RunSummary:
    """Return the newest of some runs that is not finished, else the newest; there is at least one."""
    unfinished = [run for run in runs if run.status != "done"]
    return max(unfinished or runs, key=lambda run: run.created)


def find_run(project_path: Path, name: str) -> Path:
    """Return the directory of the run of a name.

    Raises:
        UnknownRunError: There is none; near matches are named.
    """
    known = [summary.id for summary in list_runs(project_path)]
    if name not in known:
        raise UnknownRunError(
            f"Project '{project_path.name}' has no run '{name}'.{near_matches(name, known)} `mml runs` "
            "lists them."
        )
    return project_path / RUNS / name


def remove_run(run: RunDirectory) -> None:
    """Remove a run's directory and what its attempts left; the files it committed stay, with their records.

    Raises:
        LeaseHeldError: A live process works on it (exit 3).
    """
    with run.claim():
        for step in StepClaims(run.claims_path).live():
            Lease.acquire(run.claims_path / step).release()  # one elsewhere may be silent for good
        layout = Layout(run.project_path, run.id)
        for folder in (layout.attempts, layout.temp):
            remove_folder(inside(layout.project, folder.relative_to(layout.project).as_posix()))
        gone = run.path.with_name(f".{run.id}.removed")
        run.path.rename(gone)
    shutil.rmtree(gone)


def _planned(run: RunDirectory) -> int:
    """Return how many steps the plan of a run has whose other files are damaged; 0 where that is, too."""
    try:
        return len(Plan.load(run.plan_path))
    except (DamagedRecordError, OSError):
        return 0


def _last_commit(run: RunDirectory) -> float:
    try:
        return run.steps_path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _committed(run: RunDirectory) -> int:
    try:
        return sum(entry.suffix == ".json" for entry in run.steps_path.iterdir())
    except FileNotFoundError:
        return 0
