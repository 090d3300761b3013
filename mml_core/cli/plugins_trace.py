"""Run a command and tell which hooks it called, by whom each is implemented, and how long that took.

`mml plugins trace -- run --mode=train --tasks digits`. What worker processes call is not seen: trace a run
with the executor `sequential`, which is the default.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.cli.parsing import UsageError
from mml_core.errors import near_matches

if TYPE_CHECKING:
    from mml_core.plugins.tracing import HookCalls


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what follows `mml`, behind `--`")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the table to this file, too")


def run(args: argparse.Namespace) -> int:
    """Run the command, print the table on standard error, and return the command's exit code.

    Raises:
        UsageError: It is no command of mml itself.
    """
    from mml_core.cli.main import COMMANDS, run_command
    from mml_core.plugins.tracing import Tracer

    name, *rest = args.command
    if name not in COMMANDS:
        raise UsageError(
            f"`mml {name}` is no command of mml itself, which could be traced.{near_matches(name, COMMANDS)}"
        )
    given = ["--no-plugins"] if args.no_plugins else []
    given += [word for each in args.without_plugin for word in ("--without-plugin", each)]
    tracer = Tracer()
    try:
        return run_command(name, import_module(COMMANDS[name][0]), [*rest, *given], tracer=tracer)
    finally:
        sys.stdout.flush()
        _show(tracer.calls(), args.json)


def _show(calls: list[HookCalls], path: Path | None) -> None:
    rows = [(each.hook, each.plugin, str(each.calls), f"{each.seconds * 1000:.2f}") for each in calls]
    table = [("hook", "plugin", "calls", "ms"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for hook, plugin, count, milliseconds in table:
        left = f"{hook:{widths[0]}}  {plugin:{widths[1]}}"
        print(f"{left}  {count:>{widths[2]}}  {milliseconds:>{widths[3]}}", file=sys.stderr)
    for each in calls:
        if each.errors:
            print(f"{each.plugin}: {each.hook} raised {each.errors} of {each.calls} times.", file=sys.stderr)
    if path is not None:
        from mml_core.storage.atomic import write_json

        write_json(path, calls)
