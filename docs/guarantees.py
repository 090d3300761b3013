"""Writes ``docs/guarantees.md``: each guarantee of mml with the tests that are named after it.

A test that shows guarantee 7 is called ``test_g07_…``; one that shows several names them all:
``test_g01_g02_…``. Sources are read, not imported. ``python docs/guarantees.py`` writes the page.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guarantees.md"
PLACES = ("tests", "plugins/*/tests", "examples/*/tests")
NAME = re.compile(r"test((?:_g\d\d)+)_(\w+)")

GUARANTEES = {
    1: "A committed step never runs again; an uncommitted one does",
    2: "A resumed run equals an uninterrupted one: return value, step results, metrics, weights",
    3: "No half-written file is ever visible under its final name",
    4: "Power loss after a commit loses nothing",
    5: "A damaged commit record or artefact is found, named, never used",
    6: "Checkpoints are written atomically whatever `TMPDIR` is, and a failed write raises",
    7: "A broken newest checkpoint falls back to the one before",
    8: "A dead owner's run is taken over at once, without anything to delete by hand",
    9: "Of many starters on one run exactly one wins; the others learn who owns it",
    10: "A writer that lost its lease cannot commit; a step is committed once, whoever runs it twice",
    11: "Locks are released on errors in `__init__`, SIGTERM, Ctrl-C",
    12: "SIGTERM and SIGUSR1 checkpoint and exit resumable in every kind of step",
    13: "Clean-up happens after success only, is repeatable, never leaves the project, never touches a "
    "reused file",
    14: "Disk full, quota, I/O error: a clear error, and the run resumes",
    15: "Read-only data works for train and info; read-only results fail before work starts",
    16: "Datasets are published whole or not at all",
    17: "A changed config on continue is named key by key; it is refused where it changes results",
    18: "Parallel runs in one project never share a number, never delete each other's files",
    19: "Every index and cache is disposable",
    20: "A broken plugin never stops `mml` from starting",
    21: "Nothing from another run or project is unpickled or instantiated unless it is a registered, "
    "installed class",
}

HEAD = """\
# What mml guarantees, and the tests that show it

A guarantee holds when its tests run against real processes and real files: a kill is a `SIGKILL` to a
process, not a mock. `make test` kills a small scheduler before, inside and after each of its steps, and
others at a sample of their writes, whose seed is told at the end; `make test-long` runs the tests marked
*long*, too. Both tell how many points were run.

This page is written by `python docs/guarantees.py` from the tests; a test fails while it is out of date.
"""


@dataclass(frozen=True, order=True)
class Shown:
    """A test that shows a guarantee.

    Attributes:
        file: Where it is, relative to the repository.
        line: The line it begins at, for the order alone.
        what: What it shows: the first line of its docstring, else its name in words.
        long: Whether only ``make test-long`` runs it.
    """

    file: str
    line: int
    what: str
    long: bool


def collect(root: Path = ROOT) -> dict[int, list[Shown]]:
    """Return the tests by the number of the guarantee they show."""
    found: defaultdict[int, list[Shown]] = defaultdict(list)
    for place in PLACES:
        for folder in sorted(root.glob(place)):
            for path in sorted(folder.rglob("test_*.py")):
                for number, shown in _shown_in(path, root):
                    found[number].append(shown)
    return {number: sorted(tests) for number, tests in sorted(found.items())}


def _shown_in(path: Path, root: Path) -> Iterator[tuple[int, Shown]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match = NAME.fullmatch(node.name) if isinstance(node, ast.FunctionDef) else None
        if match is None or not isinstance(node, ast.FunctionDef):
            continue
        told = (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".")
        long = any(ast.unparse(each).endswith("mark.long") for each in node.decorator_list)
        words = told or match[2].replace("_", " ")
        shown = Shown(path.relative_to(root).as_posix(), node.lineno, words[0].upper() + words[1:], long)
        for number in re.findall(r"\d\d", match[1]):
            yield int(number), shown


def page(found: dict[int, list[Shown]]) -> str:
    """Return the text of the page."""
    lines = [HEAD, "| G | guarantee | tests | of these long |", "|---|---|---|---|"]
    for number, guarantee in GUARANTEES.items():
        tests = found.get(number, [])
        lines.append(
            f"| [{number}](#g{number}) | {guarantee} | {len(tests)} | {sum(t.long for t in tests)} |"
        )
    for number, guarantee in GUARANTEES.items():
        lines += ["", f"## G{number}", "", f"{guarantee}.", ""]
        file = ""
        for test in found.get(number, []):
            if test.file != file:
                file = test.file
                lines.append(f"- `{file}`")
            lines.append(f"  - {test.what}{' *(long)*' if test.long else ''}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(collect()), encoding="utf-8")
