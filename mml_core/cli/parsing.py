"""Argument parsing that answers misuse with one line and near matches."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from mml_core.errors import MMLError, near_matches

_CHOICE = re.compile(r"(?P<option>.*): invalid choice: '?(?P<found>.*?)'? \(choose from (?P<choices>.*)\)")
_MISSING = "the following arguments are required: "


class UsageError(MMLError):
    """The command line is not one that the command understands."""


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that raises ``UsageError`` instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise for what argparse found wrong."""
        raise UsageError(f"{self._explain(message)} See `{self.prog} --help`.")

    def _explain(self, message: str) -> str:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            word = unknown.split()[0]
            near = near_matches(word.partition("=")[0], self._option_string_actions)
            kind = "option" if word.startswith("-") else "argument"
            return f"There is no {kind} '{word}'.{near}"
        choice = _CHOICE.fullmatch(message)
        if choice:
            choices = [each.strip(" '") for each in choice["choices"].split(",")]
            found = choice["found"]
            what = choice["option"].removeprefix("argument ")
            return f"'{found}' is no {what}.{near_matches(found, choices)} Choose from: {', '.join(choices)}."
        if message.startswith(_MISSING):
            return f"Missing: {message.removeprefix(_MISSING)}."
        return f"{message[:1].upper()}{message[1:]}."


def command_parser(name: str, module: ModuleType) -> Parser:
    """Return the parser of the command that a module is, with what every command understands."""
    parser = Parser(prog=f"mml {name}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    add_common(parser)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command understands, before and behind the name of an action."""
    _add_common(parser, [], below=False)


def _add_common(parser: argparse.ArgumentParser, names: list[str], *, below: bool) -> None:
    flag = argparse.SUPPRESS if below else False  # an action must not undo what was said before its name
    common = parser.add_argument_group("common options")
    common.add_argument("--debug", action="store_true", default=flag, help="show the traceback of an error")
    common.add_argument(
        "--no-plugins", action="store_true", default=flag, help="use no plugin but what mml itself brings"
    )
    common.add_argument(
        "--without-plugin",
        action=_Collect,
        const=names,
        default=argparse.SUPPRESS if below else names,
        metavar="NAME",
        help="do not load this plugin",
    )
    for action in list(parser._actions):
        if isinstance(action, argparse._SubParsersAction):
            for inner in dict.fromkeys(action.choices.values()):
                _add_common(inner, names, below=True)


def parse_common(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what every command understands of arguments whose other options are not known yet."""
    parser = Parser(add_help=False, allow_abbrev=False)
    add_common(parser)
    return parser.parse_known_args(arguments)[0]


class _Collect(argparse.Action):
    """Collects values in one list, whether they stand before or behind the name of an action."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        self.const.append(values)
        setattr(namespace, self.dest, self.const)
