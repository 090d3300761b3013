"""The documentation site: it builds without a warning, its guides work, and nothing lacks its description."""

from __future__ import annotations

import argparse
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path

import pytest

from mml_core import plugins
from mml_core.cli.main import COMMANDS, SUBCOMMANDS
from mml_core.cli.parsing import command_parser
from mml_core.plugins import hookspecs

DOCS = Path(__file__).parents[2] / "docs"
SLOW = {"parallel", "resume"}
GUIDES = sorted((DOCS / "guides").glob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="the site is built by sphinx: pip install 'mml-core[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "-b",
        "html",
        "-d",
        folder / "trees",
        DOCS,
        folder / "html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    written = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert written <= pages


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("commands", ["mml tasks leakage", "--accept-changes"]),
        ("config", ["lr_scheduler=cosine", "samples of a training batch"]),
        ("hooks", ["mml_schedulers", "SchedulerSpec", "mml_step_finished"]),
        ("api", ["AbstractBaseScheduler.add_step", "open_project"]),
    ],
)
def test_reference_pages_are_made_of_the_code(site: Path, page: str, words: list[str]) -> None:
    text = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.long if page.stem in SLOW else (), id=page.stem)
        for page in GUIDES
    ],
)
def test_a_guide_works_from_top_to_bottom(page: Path, follow: Callable[[Path], list[str]]) -> None:
    assert len(follow(page)) >= 3


def _arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str | None]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _arguments(inner)
        else:
            yield f"{parser.prog} {'/'.join(action.option_strings) or action.dest}", action.help


def test_every_argument_of_every_command_says_what_it_means() -> None:
    modules = {
        **{name: module for name, (module, _) in COMMANDS.items()},
        **{" ".join(words): module for words, module in SUBCOMMANDS.items()},
    }
    found = [
        each
        for name, module in modules.items()
        for each in _arguments(command_parser(name, import_module(module)))
    ]
    assert len(found) > 100
    assert [name for name, meaning in found if not meaning] == []


def test_every_hook_says_when_it_is_called_and_shows_an_example() -> None:
    hooks = {name: found for name, found in vars(hookspecs).items() if name.startswith("mml_")}
    assert len(hooks) >= 16
    assert [name for name, hook in hooks.items() if "@hookimpl" not in (inspect.getdoc(hook) or "")] == []


def test_every_field_of_every_record_is_described() -> None:
    records = [
        getattr(plugins, name) for name in plugins.__all__ if is_dataclass(getattr(plugins, name, None))
    ]
    assert len(records) >= 9
    missing = [
        f"{record.__name__}.{field.name}"
        for record in records
        for field in fields(record)
        if field.init and not re.search(rf"^ +{field.name}( \(.*\))?:", record.__doc__ or "", re.MULTILINE)
    ]
    assert missing == []
