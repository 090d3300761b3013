"""List the runs of a project with the state each is in, show one, go on with one, or remove some."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from mml_core.cli.environment import DEFAULT_PROJECT, project_folder
from mml_core.cli.parsing import UsageError

if TYPE_CHECKING:
    from pathlib import Path

ACTIONS = ("list", "show", "continue", "rm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions."""
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=ACTIONS,
        help="list (default); show [RUN], without a name the newest; continue [RUN], same as "
        "`mml run --continue`; rm RUN…",
    )
    parser.add_argument("names", nargs="*", metavar="RUN", help="runs by name")
    parser.add_argument("--proj", default=None, help="the project (default: default)")
    parser.add_argument("--json", action="store_true", help="with list and show: print JSON")
    parser.add_argument("--yes", action="store_true", help="with rm: do not ask")
    parser.add_argument(
        "--accept-changes", action="store_true", help="with continue: go on though versions have changed"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table of runs, or one run with its steps; continue or remove runs."""
    from mml_core.config.locations import resolve_locations

    most = {"list": 0, "show": 1, "continue": 1}.get(args.action, len(args.names))
    least = {"rm": 1}.get(args.action, 0)
    if not least <= len(args.names) <= most:
        raise UsageError(
            "Write `mml runs`, `mml runs show [RUN]`, `mml runs continue [RUN]` or `mml runs rm RUN…`."
        )
    results = resolve_locations().results
    if args.action == "continue":
        return _continue(args)
    if args.action == "list" and args.proj is None and not (results / DEFAULT_PROJECT).is_dir():
        from mml_core.schedulers.tables import show

        show([], (), as_json=args.json, empty="No run has been started yet.")
        return 0
    project = project_folder(results, args.proj or DEFAULT_PROJECT)
    if args.action == "show":
        name = args.names[0] if args.names else _newest(project)
        return _show(project, name, as_json=args.json, debug=args.debug)
    if args.action == "rm":
        return _remove(project, args.names, ask=not args.yes)
    return _list(project, as_json=args.json)


def _list(project: Path, *, as_json: bool) -> int:
    from mml_core.schedulers.tables import show
    from mml_core.scheduling.describing import run_row
    from mml_core.scheduling.runs import list_runs

    rows = [run_row(summary) for summary in sorted(list_runs(project), key=lambda each: each.created)]
    empty = f"The project '{project.name}' has no runs."
    show(rows, ("run", "mode", "steps", "duration", "state"), as_json=as_json, empty=empty)
    if not as_json:
        for row in rows:
            if row["continue_with"] and row["status"] != "running":
                print(f"go on with {row['run']}: {row['continue_with']}")
    return 0


def _newest(project: Path) -> str:
    from mml_core.scheduling.runs import UnknownRunError, list_runs

    runs = list_runs(project)
    if not runs:
        raise UnknownRunError(f"The project '{project.name}' has no runs; start one by `mml run`.")
    return max(runs, key=lambda each: each.created).id


def _show(project: Path, name: str, *, as_json: bool, debug: bool) -> int:
    import json

    from mml_core.schedulers.tables import show
    from mml_core.scheduling.describing import describe_run
    from mml_core.scheduling.run_directory import RunDirectory
    from mml_core.scheduling.runs import find_run

    told = describe_run(project, name)
    if as_json:
        print(json.dumps(told, indent=2, default=str))
        return 0
    sessions, steps, failed = (told.pop(key) for key in ("sessions", "plan", "failures"))
    notices = told.pop("notices", [])
    for key in ("return_value", "commits", "git"):  # values of any length, for programs
        told.pop(key)
    show([{"what": what, "value": value} for what, value in told.items()], ("what", "value"), title=name)
    for line in notices:
        print(f"notice: {line}")
    print()
    show(sessions, ("session", "by", "overrides", "accepted"), title="sessions", empty="not known")
    print()
    show(steps, ("step", "waits_for", "needs", "state"), title="steps", empty="not known")
    if failed:
        print()
        show(failed, ("step", "error"), title="failed")
    if debug:
        for each in RunDirectory(find_run(project, name)).failures():
            print(each.traceback)
    return 0


def _continue(args: argparse.Namespace) -> int:
    from mml_core.cli.main import main

    words = ["run", "--continue", *args.names]
    words += ["--proj", args.proj] if args.proj else []
    words += ["--debug"] if args.debug else []
    words += ["--no-plugins"] if args.no_plugins else []
    words += ["--accept-changes"] if args.accept_changes else []
    return main([*words, *(f"--without-plugin={name}" for name in args.without_plugin)])


def _remove(project: Path, names: list[str], *, ask: bool) -> int:
    from mml_core.scheduling.run_directory import RunDirectory
    from mml_core.scheduling.runs import find_run, remove_run, summarise

    runs = [RunDirectory(find_run(project, name)) for name in names]
    for run in runs:
        print(f"{run.id}: {summarise(run).state}; the files it committed stay")
    if ask:
        if not sys.stdin.isatty():
            raise UsageError("Nothing was removed: nobody can be asked here; add --yes.")
        if input(f"Remove {len(runs)} run{'s' if len(runs) > 1 else ''}? [y/N] ").strip().lower() != "y":
            return 1
    for run in runs:
        remove_run(run)
        print(f"{run.id}: removed")
    return 0
