"""Do steps of a run beside whoever drives it, on this or another machine, until none is left to begin."""

from __future__ import annotations

import argparse
from pathlib import Path

from mml_core.cli.environment import DEFAULT_PROJECT, project_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("run", metavar="RUN", help="the run's name, or its directory")
    parser.add_argument("--step", metavar="ID", help="this one step only, as an executor does")
    parser.add_argument("--proj", default=DEFAULT_PROJECT, help="the project (default: default)")


def run(args: argparse.Namespace) -> int:
    """Join a run."""
    from mml_core.cli.job import report
    from mml_core.config.locations import resolve_locations
    from mml_core.config.logs import logging_on_console, logging_to
    from mml_core.scheduling.runner import work_on
    from mml_core.scheduling.runs import find_run
    from mml_core.scheduling.workers import do_step

    run_dir = Path(args.run)
    if len(run_dir.parts) == 1:
        run_dir = find_run(project_folder(resolve_locations().results, args.proj), args.run)
    if args.step:
        return do_step(run_dir.resolve(), args.step)
    with logging_on_console(), logging_to(run_dir):
        return report(work_on(run_dir), debug=args.debug)
