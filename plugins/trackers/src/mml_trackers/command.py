"""Tell trackers what the journal of a run holds: one that was down, or has been installed since."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    sync = actions.add_parser("sync", help="copy the journal of a run to the trackers that its config names")
    sync.add_argument("run", nargs="?", help="the run; by default the newest one that was tracked")
    sync.add_argument("--proj", default="default", help="its project")


def run(args: argparse.Namespace) -> int:
    """Copy a journal, and say so."""
    from mml_trackers.mirror import copy_once
    from mml_trackers.options import TrackerError

    run_dir = _tracked_run(args.proj, args.run)
    names, problems = copy_once(run_dir)
    if problems:
        causes = "; ".join(f"{name}: {cause}" for name, cause in problems.items())
        raise TrackerError(f"Run {run_dir.name} could not be told: {causes}")
    print(f"Run {run_dir.name} is told to {' and '.join(names)}.")
    return 0


def _tracked_run(project: str, name: str | None) -> Path:
    from mml_core.api import near_matches, resolve_locations
    from mml_trackers.journal import FOLDER
    from mml_trackers.options import TrackerError

    runs = resolve_locations().results / project / "runs"
    tracked = sorted(path.parents[len(FOLDER.parts)] for path in runs.glob(f"*/{FOLDER}/run.json"))
    found = [run for run in tracked if name in (None, run.name)]
    if found:
        return found[-1]
    if name is None:
        raise TrackerError(f"No run of project '{project}' was tracked; add logging=mlflow to `mml run`.")
    raise TrackerError(
        f"Project '{project}' has no tracked run '{name}'.{near_matches(name, [run.name for run in tracked])}"
    )
