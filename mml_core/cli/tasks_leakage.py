"""Find images and subjects that tasks, their splits or their folds share: `mml tasks leakage [TASK …]`.

Compared are the training and test samples of all tasks, or of those that are named, and the folds of each:
equal files, images that look the same, and subjects. Images are hashed once; the hashes are kept in the cache
of the data folder. The exit code is 1 where something is shared.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mml_core.tasks.description import TaskDescription
    from mml_core.tasks.image_hashes import HashCache, Hashes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "tasks", nargs="*", metavar="TASK", help="tasks, tags included (all that are installed)"
    )
    parser.add_argument(
        "--exact", action="store_true", help="compare files and subjects only, without looking at images"
    )
    parser.add_argument(
        "--distance",
        type=int,
        default=4,
        metavar="BITS",
        help="bits of 64 by which the hashes of similar images may differ, 0 to 8 (4)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what is shared."""
    from mml_core.cli.environment import discover_plugins
    from mml_core.cli.parsing import UsageError
    from mml_core.config.locations import resolve_locations
    from mml_core.schedulers.tables import show
    from mml_core.tasks.image_hashes import HashCache
    from mml_core.tasks.index import TaskIndex
    from mml_core.tasks.near_duplicates import MOST_DISTANT
    from mml_core.tasks.overlaps import find_overlaps

    if not 0 <= args.distance <= MOST_DISTANT:
        raise UsageError(f"--distance {args.distance} has to be from 0 to {MOST_DISTANT}.")
    data = resolve_locations().data
    index = TaskIndex(data)
    names = list(dict.fromkeys(args.tasks)) or index.names()
    plugins = discover_plugins(args)
    tasks = [index.get(name, plugins=plugins) for name in names]
    hashes = {} if args.exact else _hash(tasks, HashCache(data))
    found = find_overlaps(tasks, hashes, distance=args.distance)
    rows = [
        {
            "found": overlap.kind,
            "left": " ".join(overlap.left),
            "right": "another fold" if overlap.left == overlap.right else " ".join(overlap.right),
            "count": overlap.count,
            "examples": [" = ".join(dict.fromkeys(pair)) for pair in overlap.examples],
        }
        for overlap in found
    ]
    show(
        rows,
        ("found", "left", "right", "count", "examples"),
        as_json=args.json,
        empty=f"Nothing is shared by the splits and folds of {', '.join(names) or 'no task'}.",
    )
    return 1 if rows else 0


def _hash(tasks: Sequence[TaskDescription], cache: HashCache) -> dict[str, Hashes]:
    from mml_core.data.progress import progress

    return {
        task.name: cache.get(task, partial(progress, f"hashing the images of {task.name}")) for task in tasks
    }
