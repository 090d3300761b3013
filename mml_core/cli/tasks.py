"""List the tasks that are installed and those that can be created, and show one.

`mml tasks add folder|csv|pairs …` makes a task of images of your own; `mml tasks leakage` finds images and
subjects that tasks, their splits or their folds share.
"""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions."""
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=("list", "show", "add", "leakage"),
        help="list (default), show, add, leakage",
    )
    parser.add_argument("name", nargs="?", help="with show: the task, tags included")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table, or one task."""
    from mml_core.cli.environment import discover_plugins
    from mml_core.cli.parsing import UsageError
    from mml_core.config.locations import resolve_locations
    from mml_core.schedulers.inventory import task_rows
    from mml_core.schedulers.tables import show

    if (args.action == "show") != bool(args.name):
        raise UsageError(
            "Write `mml tasks`, `mml tasks show NAME`, `mml tasks add …` or `mml tasks leakage …`."
        )
    plugins = discover_plugins(args)
    data = resolve_locations().data
    if args.name:
        return _show(args.name, data, plugins, as_json=args.json)
    show(
        task_rows(data, plugins),
        ("task", "type", "samples", "folds", "classes", "state"),
        as_json=args.json,
        empty=f"No task is installed in {data}, and no plugin can create one.",
    )
    return 0


def _show(name: str, data: Any, plugins: Any, *, as_json: bool) -> int:
    import json

    import msgspec

    from mml_core.schedulers.tables import show
    from mml_core.tasks.index import TaskIndex

    index = TaskIndex(data)
    description = index.get(name, plugins=plugins)
    content = msgspec.to_builtins(description.header)
    content["folder"] = str(description.folder)
    content["preprocessed"] = index.variants(name)
    if as_json:
        print(json.dumps(content, indent=2, default=str))
    else:
        show(
            [{"field": key, "value": value} for key, value in content.items()], ("field", "value"), title=name
        )
    return 0
