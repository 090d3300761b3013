"""List the runs of a project with the state each is in, and show one."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mml_core.cli.environment import DEFAULT_PROJECT, project_folder
from mml_core.cli.parsing import UsageError

if TYPE_CHECKING:
    from mml_core.scheduling.runs import RunSummary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions."""
    parser.add_argument(
        "action", nargs="?", default="list", choices=("list", "show"), help="list (default), show"
    )
    parser.add_argument("name", nargs="?", metavar="RUN", help="with show: the run")
    parser.add_argument("--proj", default=None, help="the project (default: default)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table of runs, or one run with its steps."""
    from mml_core.config.locations import resolve_locations
    from mml_core.schedulers.tables import show
    from mml_core.scheduling.runs import list_runs

    if (args.action == "show") != bool(args.name):
        raise UsageError("Write `mml runs`, or `mml runs show RUN`.")
    results = resolve_locations().results
    if args.proj is None and not args.name and not (results / DEFAULT_PROJECT).is_dir():
        show([], (), as_json=args.json, empty="No run has been started yet.")
        return 0
    project = project_folder(results, args.proj or DEFAULT_PROJECT)
    if args.name:
        return _show(project, args.name, as_json=args.json, debug=args.debug)
    rows = [_row(summary) for summary in sorted(list_runs(project), key=lambda each: each.created)]
    empty = f"The project '{project.name}' has no runs."
    show(rows, ("run", "mode", "steps", "state", "created"), as_json=args.json, empty=empty)
    return 0


def _show(project: Any, name: str, *, as_json: bool, debug: bool) -> int:
    import json

    from mml_core.schedulers.tables import show
    from mml_core.scheduling.planning import plan_of_run
    from mml_core.scheduling.run_directory import RunDirectory
    from mml_core.scheduling.runs import find_run, summarise

    path = find_run(project, name)
    run = RunDirectory(path)
    row, steps, failures = _row(summarise(run)), plan_of_run(path), run.failures()
    row |= {"started_by": run.info().command, "versions": run.info().versions}
    failed = [{"step": each.name, "error": each.error} for each in failures]
    if as_json:
        print(json.dumps({**row, "plan": steps, "failures": failed}, indent=2, default=str))
        return 0
    show([{"what": what, "value": value} for what, value in row.items()], ("what", "value"), title=name)
    print()
    show(steps, ("step", "waits_for", "state"), title="steps", empty="not planned yet")
    if failed:
        print()
        show(failed, ("step", "error"), title="failed")
    if debug:
        for each in failures:
            print(each.traceback)
    return 0


def _row(summary: RunSummary) -> dict[str, Any]:
    return {
        "run": summary.id,
        "mode": summary.mode,
        "status": summary.status,
        "state": summary.state,
        "steps": f"{summary.steps_done}/{summary.steps}",
        "created": datetime.fromtimestamp(summary.created).isoformat(" ", "seconds"),
        "continue_with": summary.command,
        "path": str(summary.path),
    }
