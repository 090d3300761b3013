"""Every hook, record field, config option and flag has a description, an example and a test."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from mml_core import plugins
from mml_core.cli.main import COMMANDS, SUBCOMMANDS
from mml_core.cli.parsing import command_parser
from mml_core.plugins import hookspecs
from mml_core.testing.contracts.config_files import bare_keys

ROOT = Path(__file__).parents[2]
CONF = ROOT / "mml_core/config/conf"
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/guides/*.md")]
HOOKS = {name: found for name, found in vars(hookspecs).items() if name.startswith("mml_")}
OF_THE_MANAGER = {"Contribution", "PluginInfo"}
"""What the plugin manager answers with: described, but neither written nor received by a plugin."""
TOGETHER = {"trainer": "test_learning_options compares its keys with the arguments of lightning.Trainer"}
"""Groups whose keys one test looks at without naming them."""
HYDRA = "hydra"
"""Settings that make Hydra keep its runs where mml has them, and are not to be changed."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that a user or author can name, and whether its places tell of it."""

    name: str
    described: bool
    shown: bool
    tested: bool

    @property
    def missing(self) -> list[str]:
        words = {"description": self.described, "example": self.shown, "test": self.tested}
        return [f"{self.name}: no {word}" for word, there in words.items() if not there]


@dataclass(frozen=True)
class Text:
    """A long text that is asked for many names.

    Attributes:
        words: Words, dotted names with each of their parts, and flags.
        uses: What stands as an argument, an attribute or a key.
    """

    words: frozenset[str]
    uses: frozenset[str]

    @classmethod
    def of(cls, *texts: str) -> Text:
        text = "\n".join(texts)
        words = set(re.findall(r"--[\w-]+|[\w.]*\w", text))
        parts = {part for word in words for part in (*word.split("."), *_beginnings(word))}
        uses = re.findall(r'(\w+)=|\.(\w+)|"(\w+)"', text)
        return cls(frozenset(words | parts), frozenset(word for found in uses for word in found))


@pytest.fixture(scope="module")
def tests() -> Text:
    folders = ("tests", "plugins/*/tests", "examples/*/tests")
    files = [file for folder in folders for file in ROOT.glob(f"{folder}/**/*.py")]
    return Text.of(*(file.read_text() for file in files if file != Path(__file__)))


@pytest.fixture(scope="module")
def examples() -> str:
    """The blocks of all pages, and the scripts in ``examples``."""
    text = "\n".join(page.read_text() for page in (*PAGES, *ROOT.glob("plugins/*/README.md")))
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *(script.read_text() for script in ROOT.glob("examples/*.sh"))])


def _beginnings(name: str) -> Iterator[str]:
    """The dotted names of what a name lies in."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def check(things: Iterator[Thing], at_least: int) -> None:
    found = list(things)
    assert len(found) >= at_least
    missing = [line for thing in found for line in thing.missing]
    assert not missing, "\n".join(["", *missing])


def flags() -> Iterator[tuple[str, str | None]]:
    """Flags and arguments of all commands, each with its description."""
    modules = {
        **{name: module for name, (module, _) in COMMANDS.items()},
        **{" ".join(words): module for words, module in SUBCOMMANDS.items()},
    }
    for name, module in modules.items():
        yield from _flags(command_parser(name, import_module(module)))


def _flags(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str | None]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _flags(inner)
        elif not isinstance(action, argparse._HelpAction):
            yield f"{parser.prog} {max(action.option_strings or [action.dest], key=len)}", action.help


def test_no_flag_lacks_its_description_example_or_test(examples: str, tests: Text) -> None:
    """What a page has its reader type, ``test_pages.py`` or ``test_readme.py`` runs."""
    shown = Text.of(examples).words
    run = Text.of(*(line for page in PAGES for line in re.findall(r"^\$ .*", page.read_text(), re.MULTILINE)))

    def things() -> Iterator[Thing]:
        for flag, meaning in flags():
            word = flag.rpartition(" ")[2]
            known = not word.startswith("--")  # an argument's place has no name that is typed
            yield Thing(
                name=flag,
                described=bool(meaning),
                shown=known or word in shown,
                tested=known or word in tests.words | run.words,
            )

    check(things(), at_least=150)


def test_no_hook_lacks_its_description_example_or_test(tests: Text) -> None:
    def things() -> Iterator[Thing]:
        for name, hook in HOOKS.items():
            text = inspect.getdoc(hook) or ""
            yield Thing(
                name=name, described=bool(text), shown="@hookimpl" in text, tested=name in tests.words
            )

    check(things(), at_least=16)


def test_no_field_of_a_record_lacks_its_description_example_or_test(examples: str, tests: Text) -> None:
    records = [found for name in plugins.__all__ if is_dataclass(found := getattr(plugins, name, None))]
    texts = [inspect.getdoc(found) or "" for found in (*HOOKS.values(), *records)]
    shown = Text.of(examples, *(text.partition("Example:")[2] for text in texts)).uses

    def things() -> Iterator[Thing]:
        for record in records:
            text = record.__doc__ or ""
            for field in filter(lambda field: field.init, fields(record)):
                seen = record.__name__ in OF_THE_MANAGER
                yield Thing(
                    name=f"{record.__name__}.{field.name}",
                    described=re.search(rf"^ +{field.name}( \(.*\))?:", text, re.MULTILINE) is not None,
                    shown=seen or field.name in shown,
                    tested=seen or field.name in tests.uses,
                )

    check(things(), at_least=40)


def options() -> dict[str, tuple[bool, bool]]:
    """Options by their dotted names: whether every file describes them, and one shows a value."""
    found: dict[str, tuple[bool, bool]] = {}
    for file in [CONF / "config.yaml", *sorted(CONF.glob("*/*.yaml"))]:
        text = file.read_text()
        bare = {line.partition(":")[0] for line in bare_keys(text)}
        group = "" if file.parent == CONF else f"{file.parent.name}."
        keys = {key: value for key, value in yaml.safe_load(text).items() if key != HYDRA}
        for name, value in _leaves(keys, group):
            described, shown = found.get(name, (True, False))
            known = value not in (None, [], {})
            found[name] = (described and name.rpartition(".")[2] not in bare, shown or known)
    return found


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if key == "defaults" or key.startswith(("_", "override ")):
            continue
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def given(examples: str) -> Text:
    """The dotted names of options in YAML blocks."""
    texts = re.findall(r"^```yaml\n(.*?)^```", examples, re.MULTILINE | re.DOTALL)
    return Text.of(*(name for text in texts for name, _ in _leaves(yaml.safe_load(text), "")))


def test_no_config_option_lacks_its_description_example_or_test(examples: str, tests: Text) -> None:
    """The file of an option is an example of it where it holds a value; where it holds none, a page has one.

    A test names an option by its dotted name or, in a nested config, by its last word.
    """
    words = Text.of(examples).words | given(examples).words

    def things() -> Iterator[Thing]:
        found = options()
        outer = {beginning for name in found for beginning in _beginnings(name)}
        for name, (described, shown) in found.items():
            group, _, key = name.partition(".")
            yield Thing(
                name=name,
                described=described,
                shown=shown or name in outer | words,
                tested=group in TOGETHER or name in tests.words or key.rpartition(".")[2] in tests.words,
            )

    check(things(), at_least=200)
