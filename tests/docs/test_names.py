"""Links, files, modules and commands that the documentation names are there."""

from __future__ import annotations

import pkgutil
import re
import shlex
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pytest

from mml_core.cli.main import COMMANDS, SUBCOMMANDS, plugin_commands
from mml_core.cli.parsing import Parser, add_common

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/guides/*.md")]),
    *sorted(ROOT.glob("plugins/*/README.md")),
    ROOT / "examples/minimal_plugin/README.md",
]
PLACES = {path.name for path in ROOT.iterdir()} | {"src"}
PACKAGES = {path.name for path in (ROOT / "mml_core").iterdir()} | {"mml_core", "mml_monai", "mml_tasks"}
CODE_BLOCK = re.compile(r"^```.*?^```|^    .*?$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"[\w./-]+/[\w.-]*|[\w-]+\.(md|toml|sh|txt)")
SHELL = re.compile(r"\$\(|…|\b(NAME|GROUP|PATH)\b.*=")
"""Commands with words that the shell fills in, or the reader: they cannot be parsed as they stand."""
NAME = re.compile(r"(?!.*\.(json|yaml|arrow)$)(\w+)(\.\w+)+")
OPTIONS = ("--help", "-h", "--version", "-V", "--debug")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def words(page: Path) -> list[str]:
    """What stands as code inside of a page's sentences."""
    return [" ".join(word.split()) for word in re.findall(r"`([^`]+)`", CODE_BLOCK.sub("", text_of(page)))]


def commands(page: Path) -> list[str]:
    """The commands of mml in a page's sentences and blocks."""
    blocks = "\n".join(CODE_BLOCK.findall(text_of(page)))
    typed = re.findall(r"^ *(?:\$ )?(mml .*)$", blocks, re.MULTILINE)
    found = [*typed, *(word for word in words(page) if word.startswith("mml "))]
    return [re.split(r" [>|&]", line)[0] for line in found if not SHELL.search(line)]


def cases(found: Iterable[tuple[Path, str]]) -> list[object]:
    """Make a test of each page and word, once."""
    return [
        pytest.param(page, word, id=f"{page.relative_to(ROOT).as_posix()}-{word}")
        for page, word in dict.fromkeys(found)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text_of(page))
    made = [link for link in links if "reference/" in link]  # of the code, when the site is built
    assert [link for link in links if link not in made and not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("page", "word"),
    cases(
        (page, word)
        for page in PAGES
        for word in words(page)
        if PATH.fullmatch(word) and word.partition("/")[0] in PLACES
    ),
)
def test_files_are_there(page: Path, word: str) -> None:
    assert (ROOT / word).exists() or (page.parent / word).exists()


@pytest.mark.parametrize(
    ("page", "word"),
    cases(
        (page, word)
        for page in PAGES
        for word in words(page)
        if NAME.fullmatch(word) and word.partition(".")[0] in PACKAGES
    ),
)
def test_modules_and_what_is_in_them_are_there(page: Path, word: str) -> None:
    pkgutil.resolve_name(word if word.startswith("mml_") else f"mml_core.{word}")


@pytest.mark.parametrize(("page", "line"), cases((page, line) for page in PAGES for line in commands(page)))
def test_commands_parse(page: Path, line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    if name in OPTIONS or "--help" in arguments:
        return
    if (name, *arguments[:1]) in SUBCOMMANDS:
        imported = import_module(SUBCOMMANDS[name, arguments.pop(0)])
    elif name in COMMANDS:
        imported = import_module(COMMANDS[name][0])
    else:
        imported = plugin_commands()[name].load()
    parser = Parser(prog=line, allow_abbrev=False)
    imported.add_arguments(parser)
    add_common(parser)
    if arguments:  # the bare name of a command is no misuse in a sentence
        parse = parser.parse_intermixed_args if getattr(imported, "INTERMIXED", False) else parser.parse_args
        parse(arguments)
