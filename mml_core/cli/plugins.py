"""List, inspect and switch the installed plugins, and read what each hook is for.

`mml plugins new NAME` writes a new plugin, `mml plugins check PATH|NAME` checks one, and
`mml plugins trace -- COMMAND` tells which hooks a command calls.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from mml_core.plugins import PluginInfo, PluginManager


class UnknownHookError(MMLError):
    """There is no hook of that name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mml plugins``."""
    actions = parser.add_subparsers(
        dest="action", metavar="list|info|doctor|enable|disable|hooks", required=True
    )
    listing = actions.add_parser("list", help="list the installed plugins")
    listing.add_argument("--all", action="store_true", help="mml itself and all disabled plugins too")
    listing.add_argument("--proj", help="as this project sees them (default: default)")
    listing.add_argument("--json", action="store_true", help="print JSON")
    info = actions.add_parser("info", help="show all that is known of a plugin")
    info.add_argument("name", help="its distribution's name, with or without 'mml-plugin-'")
    info.add_argument("--traceback", action="store_true", help="show the stored traceback")
    info.add_argument("--json", action="store_true", help="print JSON")
    doctor = actions.add_parser("doctor", help="say what is wrong with which plugin, and what to do")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    for word, what in (("disable", "do without a plugin from now on"), ("enable", "use it again")):
        action = actions.add_parser(word, help=what)
        action.add_argument("name", help="its distribution's name, with or without 'mml-plugin-'")
        action.add_argument("--proj", help="in this project only; otherwise for you, in all projects")
    hooks = actions.add_parser("hooks", help="print what a plugin can implement")
    hooks.add_argument("name", nargs="?", help="one hook")
    hooks.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run ``mml plugins``.

    Returns:
        0; ``doctor`` returns 1 when it has found something wrong.
    """
    if args.action == "hooks":
        return _hooks(args.name, as_json=args.json)
    if args.action in ("enable", "disable"):
        from mml_core.cli.plugins_switch import switch

        return switch(args, disabled=args.action == "disable")
    from mml_core.cli.environment import discover_plugins, inspect_plugins

    if args.action == "list":
        return _list(discover_plugins(args), every=args.all, as_json=args.json)
    plugins = inspect_plugins(args)
    if args.action == "info":
        return _info(plugins.plugin(args.name), traceback=args.traceback, as_json=args.json)
    return _doctor(plugins, as_json=args.json)


def _list(plugins: PluginManager, *, every: bool, as_json: bool) -> int:
    shown = [info for info in plugins.plugins.values() if every or not _quiet(info, plugins)]
    if as_json:
        _print_json([info.as_json() for info in shown])
        return 0
    if not shown:
        print("No plugins are installed: `pip install mml-plugin-tasks` brings tasks to begin with.")
        return 0
    rows = [(info.name, info.version, info.status.value, info.cause or _contents(info)) for info in shown]
    if not sys.stdout.isatty():
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for row in rows:
            print("  ".join([*(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)), row[3]]))
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("plugin", "version", "status", "contributes, or why not", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
    return 0


def _quiet(info: PluginInfo, plugins: PluginManager) -> bool:
    """Tell mml itself, and what this one command does without: what is disabled for good is shown."""
    for_good = info.cause in plugins.blocking.disabled.values()
    return info.builtin or (_is_off(info) and not for_good)


def _is_off(info: PluginInfo) -> bool:
    return info.status.value == "disabled"


def _contents(info: PluginInfo) -> str:
    kinds = (f"{len(names)} {_words(kind, len(names))}" for kind, names in info.contents().items())
    return ", ".join(kinds) or "nothing"


def _words(kind: str, count: int) -> str:
    words = kind.replace("_", " ")
    return words.removesuffix("s") if count == 1 else words


def _info(info: PluginInfo, *, traceback: bool, as_json: bool) -> int:
    if as_json:
        _print_json(info.as_json(traceback=traceback))
        return 0
    seconds = "" if info.import_seconds is None else f"{info.import_seconds * 1000:.1f} ms"
    rows = [
        ("plugin", f"{info.name} {info.version}"),
        ("summary", info.summary),
        ("module", info.entry_point),
        ("file", info.file or ""),
        ("status", f"{info.status.value} (stage: {info.stage.value})"),
        ("cause", info.cause),
        ("import time", seconds),
        ("hooks", ", ".join(info.hooks)),
    ]
    rows += [(kind.replace("_", " "), ", ".join(names)) for kind, names in info.contents().items()]
    rows += [("note", note) for note in info.notes]
    width = max(len(label) for label, _ in rows) + 2
    for label, value in rows:
        if value:
            print(f"{label:{width}}{value}")
    if traceback:
        print(f"\n{info.traceback.rstrip()}" if info.traceback else "\nNo traceback is stored.")
    elif info.traceback:
        print(f"\nThe traceback: mml plugins info {info.name} --traceback")
    return 0


def _doctor(plugins: PluginManager, *, as_json: bool) -> int:
    wrong = [*plugins.warnings(), *_wrong_references(plugins)]
    notes = [(info.name, note) for info in plugins.plugins.values() for note in info.notes]
    if as_json:
        _print_json({"wrong": wrong, "notes": [{"plugin": name, "note": note} for name, note in notes]})
        return 1 if wrong else 0
    for line in wrong:
        print(f"wrong  {line}")
    for name, note in notes:
        print(f"note   Plugin {name}: {note}.")
    usable = sum(not (info.broken or info.builtin or _is_off(info)) for info in plugins.plugins.values())
    print(f"{usable} plugins usable, {len(wrong)} things wrong, {len(notes)} notes.")
    return 1 if wrong else 0


def _wrong_references(plugins: PluginManager) -> Iterator[str]:
    """Import what each plugin names, which no other command does for what it does not use."""
    from itertools import chain

    from mml_core.plugins.errors import RefError
    from mml_core.plugins.kinds import REFERENCES

    for info in [each for each in plugins.plugins.values() if not (each.builtin or each.broken)]:
        for entry in chain.from_iterable(info.contributions.values()):
            if type(entry.record) in REFERENCES:
                try:
                    plugins.resolve(entry)
                except RefError as error:
                    yield str(error)


def _hooks(name: str | None, *, as_json: bool) -> int:
    import inspect

    from mml_core.plugins import hookspecs

    specs = {each: spec for each, spec in vars(hookspecs).items() if each.startswith("mml_")}
    if name is not None and name not in specs:
        wanted = name if name.startswith("mml_") else f"mml_{name}"
        if wanted not in specs:
            raise UnknownHookError(
                f"There is no hook {name!r}.{near_matches(wanted, specs)} Hooks: {', '.join(specs)}."
            )
        name = wanted
    shown = specs if name is None else {name: specs[name]}
    texts = {
        each: (f"{each}{inspect.signature(spec)}", inspect.getdoc(spec) or "") for each, spec in shown.items()
    }
    if as_json:
        _print_json([{"name": each, "signature": head, "doc": doc} for each, (head, doc) in texts.items()])
    elif name is None:
        width = max(map(len, texts)) + 2
        for each, (_, doc) in texts.items():
            print(f"{each:{width}}{doc.splitlines()[0]}")
        print("\n`mml plugins hooks NAME` prints when a hook is called, with what, and an example.")
    else:
        head, doc = texts[name]
        print(f"{head}\n\n{doc}")
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
