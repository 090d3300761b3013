"""`mml run --continue`: which run to go on with, or none."""

from __future__ import annotations

import argparse
import gc
from typing import TYPE_CHECKING

from mml_core.cli.environment import DEFAULT_PROJECT, project_folder
from mml_core.cli.parsing import UsageError

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager
    from mml_core.scheduling.runs import RunSummary


def go_on(args: argparse.Namespace, plugins: PluginManager) -> int | None:
    """Continue a run, or show its plan.

    Where no run is named, only runs of the mode that is given are looked at: the newest unfinished one is
    taken up; if all are finished that is said; if there is none, a run is to be started.

    Returns:
        The exit code; None where a run is to be started.
    """
    from mml_core.cli.job import report
    from mml_core.cli.run import job_overrides, value_of
    from mml_core.config.locations import resolve_locations
    from mml_core.config.logs import logging_on_console, logging_to
    from mml_core.scheduling.run_directory import RunDirectory
    from mml_core.scheduling.runner import continue_run
    from mml_core.scheduling.runs import find_run, list_runs, newest_to_continue, summarise

    overrides = job_overrides(args)
    given = {key: value_of(key, overrides) for key in ("proj", "mode", "paths.results")}
    results = resolve_locations({"results": given["paths.results"]}).results
    project, mode = given["proj"] or DEFAULT_PROJECT, given["mode"]
    if mode is not None and not args.continue_run and not (results / project).is_dir():
        return None
    folder = project_folder(results, project)
    if args.continue_run:
        run = summarise(RunDirectory(find_run(folder, args.continue_run)))
    else:
        runs = [each for each in list_runs(folder) if mode in (None, each.mode) or _may_be_any(each)]
        if not runs and mode is None:
            raise UsageError(f"The project '{project}' has no run to continue; start one with --mode=NAME.")
        if not runs:
            return None
        run = newest_to_continue(runs)
    if mode not in (None, run.mode) and not _may_be_any(run):
        raise UsageError(f"The run {run.id} is of the mode '{run.mode}', not '{mode}'; leave --mode out.")
    if args.plan:
        from mml_core.cli.planning import show_stored_plan

        return show_stored_plan(run.path, as_json=args.json, reasons=args.debug)
    if run.status == "done":
        print(f"The run {run.id} is finished; there is nothing to continue.")
        return 0
    rest = [each for each in overrides if each.partition("=")[0] not in given]
    gc.freeze()  # what a start makes stays: looking through it again and again takes a fifth of a second
    gc.enable()  # see mml_core.cli.run
    with logging_on_console(), logging_to(run.path):
        outcome = continue_run(run.path, rest, plugins, accept_changes=args.accept_changes)
    return report(outcome, debug=args.debug)


def _may_be_any(run: RunSummary) -> bool:
    """Tell a run whose description is damaged: it may be of any mode, so it is named and not passed over."""
    return run.status == "damaged" and not run.mode
