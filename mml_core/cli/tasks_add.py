"""Make a task of images of your own: `mml tasks add folder|csv|pairs …`.

The images are copied into a dataset of the task's name; every sample is checked before anything is published.
What can be read is what plugins bring as importers; `mml tasks add IMPORTER --help` explains one.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

from mml_core.cli.parsing import Parser, UsageError, add_common, parse_common
from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from mml_core.plugins.blocking import Blocking

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


class NoImporterError(MMLError):
    """No installed plugin brings the importer that was asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the importer; what follows it is the importer's own."""
    parser.add_argument(
        "importer", help="folder, csv, pairs, medmnist, coco, torch, or what another plugin brings"
    )
    parser.add_argument(
        "rest", nargs=argparse.REMAINDER, metavar="…", help="see `mml tasks add IMPORTER --help`"
    )


def run(args: argparse.Namespace) -> int:
    """Import the images and make the task."""
    from mml_core.plugins.blocking import Blocking

    inner = parse_common(args.rest)
    no_plugins, without = args.no_plugins or inner.no_plugins, [*args.without_plugin, *inner.without_plugin]
    module = _importer(args.importer, Blocking.from_environment(no_plugins=no_plugins, without=without))
    parser = Parser(prog=f"mml tasks add {args.importer}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    _add_task_arguments(parser)
    add_common(parser)
    wanted = parser.parse_args(args.rest)
    wanted.no_plugins, wanted.without_plugin = no_plugins, without
    return _add(module, wanted)


def _importer(name: str, blocking: Blocking) -> Any:
    from mml_core.cli.entry_points import entry_points
    from mml_core.plugins.discovery import IMPORTER_GROUP

    importers = entry_points(IMPORTER_GROUP, blocking)
    found = importers.find(name)
    if found is None:
        names = importers.names()
        have = f"There are: {', '.join(names)}." if names else "No plugin brings any."
        advice = "" if names else " folder, csv and others come with `pip install mml-plugin-tasks`."
        raise NoImporterError(f"There is no importer '{name}'.{near_matches(name, names)} {have}{advice}")
    return found.load()


def _add_task_arguments(parser: argparse.ArgumentParser) -> None:
    task = parser.add_argument_group("the task")
    task.add_argument("--name", required=True, help="name of the task, and of the dataset the images go to")
    task.add_argument("--folds", type=int, default=5, help="folds to divide the training samples into (5)")
    task.add_argument("--seed", type=int, default=42, help="decides which sample goes to which fold (42)")
    task.add_argument("--license", default="", help="under which terms the images may be used")
    task.add_argument("--reference", default="", help="what to cite")
    task.add_argument("--keywords", default="", help="words to find the task by, separated by commas")
    task.add_argument("--force", action="store_true", help="replace a task of that name")
    task.add_argument(
        "--on-leakage",
        choices=("refuse", "warn"),
        default="refuse",
        help="what to do where an image or subject is in training and test, or in two given folds (refuse)",
    )


def _add(module: Any, args: argparse.Namespace) -> int:
    from mml_core.cli.environment import discover_plugins
    from mml_core.config.locations import resolve_locations
    from mml_core.schedulers.task_progress import checking
    from mml_core.tasks.creation import import_task
    from mml_core.tasks.finishing import CreationOptions
    from mml_core.tasks.index import TaskIndex

    if not _NAME.fullmatch(args.name):
        raise UsageError(
            f"--name '{args.name[:60]}' has to be at most 100 lower-case letters, digits, '_', '.' and '-'."
        )
    plugins = discover_plugins(args)
    if args.name in plugins.datasets or plugins.find_task(args.name) is not None:
        raise UsageError(f"--name '{args.name}' is that of a task or dataset of a plugin: choose another.")
    data = resolve_locations().data
    options = CreationOptions(
        num_folds=args.folds, seed=args.seed, force=args.force, on_leakage=args.on_leakage
    )
    with checking(args.name) as report:
        made = import_task(module.read(args), args.name, data, options, report)
    if not made.created:
        raise UsageError(f"There is a task '{args.name}' in {data} already: choose another name, or --force.")
    for warning in made.warnings:
        print(f"mml: warning: {warning}", file=sys.stderr)
    task = TaskIndex(data).get(args.name)
    counts = ", ".join(f"{count} {split}" for split, count in task.num_samples.items())
    print(f"Task '{args.name}' ({task.task_type}): {counts} samples, {task.num_folds} folds, in {made.path}")
    return 0
