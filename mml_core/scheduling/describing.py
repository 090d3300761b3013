"""All that is known of one run, in JSON values."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from mml_core.scheduling.environments import Environment
from mml_core.scheduling.ledger import Ledger, StepRecord
from mml_core.scheduling.planning import plan_rows
from mml_core.scheduling.run_directory import RunDirectory, RunDirectoryError
from mml_core.scheduling.runs import RunSummary, find_run, summarise
from mml_core.scheduling.sealed import DamagedRecordError


def describe_run(project: Path, name: str) -> dict[str, Any]:
    """Tell what a run is, how far it is, who drove it, and what it does.

    Args:
        project: The project's folder.
        name: The run.

    Returns:
        What `run_row` tells; where known ``started_by`` (what was typed) and ``versions``; ``notices``
        of the plan; ``sessions`` (``session``, ``by``, ``overrides``, ``accepted``), ``plan`` (the
        steps: ``step``, ``waits_for``, ``needs``, ``state``), ``commits`` (those that are done: ``step``,
        ``attempt``, ``host``, ``started``, ``seconds``, ``files`` made, ``value`` returned, ``taken_from``
        another run), ``git`` (of what is installed to be edited: ``of``, ``commit``, ``dirty``),
        ``return_value`` (None while the run is not done) and ``failures`` (``step``, ``error``).

    Raises:
        RunDirectoryError: There is no such run.
    """
    path = find_run(project, name)
    run = RunDirectory(path)
    told: dict[str, Any] = run_row(summarise(run))
    steps: list[dict[str, Any]] = []
    commits: list[dict[str, Any]] = []
    git: list[dict[str, Any]] = []
    returned = None
    sessions: list[dict[str, Any]] = []
    with suppress(DamagedRecordError):  # the state says so
        plan = run.load_plan()
        if plan is not None:
            ledger = Ledger(plan, run.steps_path)
            ledger.refresh()
            steps = plan_rows(run, plan, ledger)
            if plan.notices:
                told["notices"] = plan.notices
            commits = [
                _commit_row(plan.steps[position].name, record) for position, record in ledger.records()
            ]
            git = _git_rows(run.environments_path, {record.environment for _, record in ledger.records()})
        done = run.done()
        returned = None if done is None else msgspec.json.decode(done.return_value)
    with suppress(RunDirectoryError):
        info = run.info()
        told |= {"started_by": info.command, "versions": info.versions}
        sessions = [
            {
                "session": datetime.fromtimestamp(each.started).isoformat(" ", "seconds"),
                "by": each.owner,
                "overrides": each.overrides,
                "accepted": each.accepted,
            }
            for each in info.sessions
        ]
    failures = [{"step": each.name, "error": each.error} for each in run.failures()]
    return {
        **told,
        "return_value": returned,
        "sessions": sessions,
        "plan": steps,
        "commits": commits,
        "git": git,
        "failures": failures,
    }


def _commit_row(name: str, record: StepRecord) -> dict[str, Any]:
    return {
        "step": name,
        "attempt": record.attempt,
        "host": record.host,
        "started": datetime.fromtimestamp(record.started).isoformat(" ", "seconds"),
        "seconds": record.seconds,
        "files": sorted(record.files()),
        "value": msgspec.json.decode(record.value),
        "taken_from": None if record.taken is None else record.taken.origin,
    }


def _git_rows(folder: Path, environments: set[str]) -> list[dict[str, Any]]:
    found: set[tuple[str, str, bool]] = set()
    for name in environments - {""}:
        with suppress(DamagedRecordError, FileNotFoundError):
            states = Environment.load(folder, name).git
            found |= {(of, state.commit, state.dirty) for of, state in states.items()}
    return [{"of": of, "commit": commit, "dirty": dirty} for of, commit, dirty in sorted(found)]


def run_row(summary: RunSummary) -> dict[str, Any]:
    """Return a run as a row of ``mml runs``; times are those of this machine's zone."""
    return {
        "run": summary.id,
        "mode": summary.mode,
        "status": summary.status,
        "state": summary.state,
        "steps": f"{summary.steps_done}/{summary.steps}",
        "created": datetime.fromtimestamp(summary.created).isoformat(" ", "seconds"),
        "duration": str(timedelta(seconds=round(summary.seconds))),
        "continue_with": summary.command,
        "path": str(summary.path),
    }
