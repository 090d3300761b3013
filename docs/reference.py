"""Writes the pages that are made of the code: commands, config groups, hooks and records, the public names.

They lie in ``docs/reference`` and are not under version control; ``docs/conf.py`` writes them for the site.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any

import docstrings

import mml_core.api
from mml_core import plugins
from mml_core.cli.main import COMMANDS, SUBCOMMANDS
from mml_core.cli.parsing import Parser, command_parser
from mml_core.plugins import hookspecs

CONF = Path(mml_core.api.__file__).parent / "config" / "conf"


def write(folder: Path) -> None:
    """Write all pages; those that have not changed are left alone."""
    folder.mkdir(exist_ok=True)
    for name, lines in (("commands", commands()), ("config", config()), ("hooks", hooks()), ("api", names())):
        page, text = folder / f"{name}.md", "\n".join(lines) + "\n"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def commands() -> Iterator[str]:
    """The page of the command line, from the parsers that it is parsed with."""
    yield from ("# Commands", "", "Every command takes `--help`; what is below is made of the same parsers.")
    for name, module in _command_modules():
        parser = command_parser(name, import_module(module))
        yield from ("", f"## mml {name}", "", *_described(parser))
        for word, inner in _inner(parser):
            yield from ("", f"### mml {name} {word}", "", *_described(inner))


def _command_modules() -> Iterator[tuple[str, str]]:
    for name, (module, _) in COMMANDS.items():
        yield name, module
        for (outer, word), inner in SUBCOMMANDS.items():
            if outer == name:
                yield f"{name} {word}", inner


def _inner(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _described(parser: argparse.ArgumentParser | Parser) -> Iterator[str]:
    if parser.description:
        yield from (" ".join(parser.description.split()), "")
    yield from ("```text", parser.format_usage().removeprefix("usage: ").rstrip(), "```", "")
    rows = [
        (
            ", ".join(f"`{each}`" for each in action.option_strings) or f"`{action.metavar or action.dest}`",
            action.help,
        )
        for action in parser._actions
        if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
        and action.help != argparse.SUPPRESS
    ]
    if rows:
        yield from _table(("argument", "meaning"), rows)


def config() -> Iterator[str]:
    """The page of config groups, from their files."""
    yield from (
        "# Config groups",
        "",
        "The files as they are, each key with what it means. `GROUP=OPTION` chooses a file, `GROUP.KEY=…` "
        "sets a key; `mml config show GROUP` prints them, those of plugins among them.",
        "",
        "## config",
        "",
        *_file(CONF / "config.yaml"),
    )
    for group in sorted(each for each in CONF.iterdir() if each.is_dir() and each.name != "hydra"):
        yield from ("", f"## {group.name}")
        for file in sorted(group.glob("*.yaml")):
            yield from ("", f"### {group.name}={file.stem}", "", *_file(file))


def _file(file: Path) -> Iterator[str]:
    yield from ("```yaml", file.read_text(encoding="utf-8").strip(), "```")


def hooks() -> Iterator[str]:
    """The page of hooks and records, from their docstrings."""
    yield from (
        "# Hooks and records",
        "",
        "A plugin implements hooks, each marked with `hookimpl`, in the module that its entry point "
        "`mml.plugins` names. `mml plugins hooks NAME` prints the same.",
    )
    found = {name: each for name, each in vars(hookspecs).items() if name.startswith("mml_")}
    for name, hook in found.items():
        yield from (
            "",
            f"## {name}",
            "",
            "```text",
            f"{name}{_signature(hook)}",
            "```",
            "",
            *_doc(hook),
        )
    yield from ("", "## Records")
    for name in sorted(plugins.__all__):
        record = getattr(plugins, name)
        if isinstance(record, type) and is_dataclass(record):
            yield from ("", f"### {name}", "", *_doc(record), "")
            rows = [(f"`{field.name}`", f"`{_default(field)}`") for field in fields(record) if field.init]
            yield from _table(("field", "default"), rows)


def _default(field: Any) -> str:
    if field.default is not MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not MISSING else "to be given"


def names() -> Iterator[str]:
    """The page of the public names."""
    yield from ("# Public names", "", "What `mml_core.api` has; importing it imports nothing heavy.")
    for name in sorted(mml_core.api.__all__):
        found = getattr(mml_core.api, name)
        yield from ("", f"## {name}", "")
        if callable(found):
            yield from ("```text", f"{name}{_signature(found)}", "```", "")
        yield from _doc(found)
        for method, inner in _methods(found):
            yield from ("", f"### {name}.{method}", "", "```text", f"{method}{_signature(inner)}", "```", "")
            yield from _doc(inner)


def _methods(found: Any) -> Iterator[tuple[str, Any]]:
    """The documented methods and properties of a class, and those it has from bases that are not public."""
    if not isinstance(found, type):
        return
    public = {getattr(mml_core.api, name) for name in mml_core.api.__all__} - {found}
    own = (base for base in inspect.getmro(found) if base.__module__.startswith("mml_core."))
    for base in takewhile(lambda base: base not in public, own):
        for name, inner in vars(base).items():
            documented = inspect.isfunction(inner) or isinstance(inner, property)
            if not name.startswith("_") and documented and inner.__doc__:
                yield name, inner


def _signature(found: Any) -> str:
    if isinstance(found, property):
        return f": {found.fget.__annotations__['return']}" if found.fget else ""
    try:
        return str(inspect.signature(found)).replace("'", "")  # annotations are texts
    except (TypeError, ValueError):
        return "(…)"


def _doc(found: Any) -> Iterator[str]:
    yield from docstrings.markdown(inspect.getdoc(found) or "")


def _table(head: tuple[str, str], rows: list[tuple[str, str | None]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---|---|"
    for left, right in rows:
        yield f"| {left} | {' '.join((right or '').split()).replace('|', chr(92) + '|')} |"
