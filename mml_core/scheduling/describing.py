"""All that is known of one run, in JSON values."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mml_core.scheduling.planning import plan_of_run
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
        steps: ``step``, ``waits_for``, ``needs``, ``state``) and ``failures`` (``step``, ``error``).

    Raises:
        RunDirectoryError: There is no such run.
    """
    path = find_run(project, name)
    run = RunDirectory(path)
    told: dict[str, Any] = run_row(summarise(run))
    steps: list[dict[str, Any]] = []
    sessions: list[dict[str, Any]] = []
    with suppress(DamagedRecordError):  # the state says so
        steps = plan_of_run(path)
        plan = run.load_plan()
        if plan is not None and plan.notices:
            told["notices"] = plan.notices
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
    return {**told, "sessions": sessions, "plan": steps, "failures": failures}


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
