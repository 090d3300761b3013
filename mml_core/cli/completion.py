"""What the shell may write next on a command line that begins with `mml`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO

from mml_core.errors import MMLError

_GROUPS = {"--mode": "mode", "--executor": "executor"}
"""Options of `mml run` that choose an option of a group."""


def candidates(line: str) -> list[str]:
    """Return what the last word of a command line can become: commands, actions, options, overrides.

    Args:
        line: As typed so far, ``mml`` included; a blank at its end begins a new word.
    """
    from mml_core.cli.main import COMMANDS, SUBCOMMANDS, plugin_commands
    from mml_core.cli.parsing import command_parser

    words = line.split()[1:]
    last = words.pop() if words and not line[-1].isspace() else ""
    if not words:
        return _beginning(last, [*COMMANDS, *plugin_commands(), "--help", "--version"])
    name, *words = words
    module = SUBCOMMANDS.get((name, words[0])) if words else None
    if module is not None:
        del words[0]
    elif name in COMMANDS:
        module = COMMANDS[name][0]
    else:
        return []
    parser = command_parser(name, import_module(module))
    return _after_run(parser, words, last) if name == "run" else _beginning(last, _offers(parser, words))


def _beginning(start: str, offers: Iterable[str]) -> list[str]:
    return [each for each in offers if each.startswith(start)]


def _offers(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return what the parser takes after some words: values of an option, else actions and options."""
    for word in words:
        inner = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = next((choices[word] for choices in inner if word in choices), parser)
    option = parser._option_string_actions.get(words[-1]) if words else None
    if option is not None and option.nargs != 0:
        return list(option.choices or ())
    positionals = (list(a.choices) for a in parser._actions if not a.option_strings and a.choices)
    left = [choice for choices in positionals if not set(choices) & set(words) for choice in choices]
    return [*left, *parser._option_string_actions]


def _after_run(parser: argparse.ArgumentParser, words: list[str], last: str) -> list[str]:
    option, equals, value = last.partition("=")
    if equals and option in _GROUPS:
        return [f"--{each}" for each in _overrides(parser, words, f"{_GROUPS[option]}={value}")]
    before = words[-1] if words else ""
    if before in _GROUPS:
        found = _overrides(parser, words[:-1], f"{_GROUPS[before]}={last}")
        return [each.partition("=")[2] for each in found]
    action = parser._option_string_actions.get(before)
    wants_value = action is not None and action.nargs != 0 and (action.choices or action.nargs is None)
    if last.startswith("-") or wants_value:
        return _beginning(last, _offers(parser, words))
    return _overrides(parser, words, last)


def _overrides(parser: argparse.ArgumentParser, words: Sequence[str], last: str) -> list[str]:
    """Let Hydra complete an override behind others; options are turned into those that they stand for."""
    from mml_core.cli import run

    said = StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(StringIO()):
            args = parser.parse_intermixed_args(words)
            sweep = ["--multirun"] if args.multirun else []
            os.environ["COMP_LINE"] = " ".join(["mml", *sweep, *run.job_overrides(args), last])
            query = ["--shell-completion", "query=bash"]
            blocked = [f"--without-plugin={name}" for name in args.without_plugin]
            run.run(parser.parse_intermixed_args([*query, *blocked, *["--no-plugins"] * args.no_plugins]))
    except MMLError:  # what stands before cannot be used: `mml run` will say so
        return []
    return said.getvalue().split()
