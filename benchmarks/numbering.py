"""Saving a numbered file (path, write, seal, publish) in a project of few and of many such files.

Run: `python benchmarks/numbering.py [--repeats 101]`. The aim is constant time: saving beside many files
takes the time and the system calls of saving beside few, and reads no folder that holds them.
"""

from __future__ import annotations

import argparse
import collections
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from _common import Figure, Pairs, bare_sequence, interleaved, report, spread

from mml_core.files.manager import MMLFileManager
from mml_core.files.numbering import Numbers, Slot
from mml_core.plugins.records import PathAssignment
from mml_core.storage.links import commit_record

RECORD = PathAssignment(key="parameters", path="PROJ_PATH/PARAMETERS/TASK_NAME/model.bin", reusable=True)
SCANS = {"os.listdir", "os.scandir"}
AUDITED = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", *SCANS}
SCANNED = "scans of the files there"
FEW, MANY = 10, 10_000
AIM = 1.25
"""How many times the time beside few files saving beside many may take, and still be the same."""


@dataclass
class Contribution:
    """A record and who contributed it."""

    provider: str = "benchmark"
    record: PathAssignment = RECORD


@dataclass
class Registry:
    """The one path assignment of the benchmark."""

    contributions: list[Contribution] = field(default_factory=lambda: [Contribution()])

    def items(self) -> list[Contribution]:
        """Return all contributions."""
        return self.contributions


@dataclass
class Plugins:
    """What the file manager needs of a plugin manager."""

    path_assignments: Registry = field(default_factory=Registry)


def folders_of(manager: MMLFileManager) -> tuple[Path, Path]:
    """Return where the numbers are kept and where the files are."""
    return manager.layout.numbers / "parameters" / "t", manager.project_path / "PARAMETERS" / "t"


def fill(manager: MMLFileManager, files_there: int) -> None:
    """Make a project that holds so many numbered files, without the fsyncs of as many commits."""
    numbers, files = folders_of(manager)
    for folder in (numbers, files):
        folder.mkdir(parents=True)
    for number in range(1, files_there + 1):
        (numbers / f"{number:04d}").write_text('{"identity":"earlier"}')
        (files / f"model_{number:04d}.bin").write_bytes(b"x")
    Numbers(manager.layout.numbers).advance([Slot("parameters", "t")], [files_there], 1)


def save(manager: MMLFileManager, name: str) -> None:
    """Save one numbered file as a step does."""
    folder = manager.layout.attempts / name
    with manager.attempt(folder, f"r/{name}") as attempt:
        manager.construct_saving_path(b"", "parameters", task_name="t").write_bytes(b"x")
        artefacts = attempt.seal()
    manager.publish(artefacts, folder, step=name)


def empty(manager: MMLFileManager, name: str) -> None:
    """Commit a step that saves nothing."""
    folder = manager.layout.attempts / name
    with manager.attempt(folder, f"r/{name}") as attempt:
        artefacts = attempt.seal()
        commit_record(b'{"value":null}' * 20, folder / "record.json", manager.project_path / f"{name}.json")
    manager.publish(artefacts, folder, step=name)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=101)
    parser.add_argument("--folder", type=Path, default=None, help="where; by default the temp folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        return report(measure(Path(folder), arguments.repeats))


def measure(folder: Path, repeats: int) -> Iterator[Figure]:
    """Yield time and system calls beside few files and beside many, and an empty commit beside its least."""
    few, many = (project(folder, files_there) for files_there in (FEW, MANY))
    names = map(str, count())

    def timed(first: partial[None], second: partial[None]) -> Pairs:
        return interleaved(lambda: first(next(names)), lambda: second(next(names)), repeats)

    saved = timed(partial(save, few), partial(save, many))
    yield Figure(name=f"a numbered file beside {FEW}", value=1000 * saved.first, unit="ms")
    yield Figure(name=f"a numbered file beside {MANY}", value=1000 * saved.second, unit="ms")
    ratio = statistics.median(saved.ratios)
    yield Figure(name="many over few", value=ratio, at_most=AIM, note=f"{spread(saved.ratios)} pairs")
    calls = [calls_of_saving(manager) for manager in (few, many)]
    yield Figure(
        name="system calls more beside many than beside few",
        value=calls[1].total() - calls[0].total(),
        at_most=0,
        note=", ".join(f"{name} {number}" for name, number in sorted(calls[1].items()) if number),
    )
    yield Figure(name=SCANNED, value=calls[1][SCANNED], at_most=0)
    (folder / "bare" / "linked").mkdir(parents=True)
    committed = timed(partial(bare_sequence, folder / "bare"), partial(empty, few))
    yield Figure(
        name="commit of an empty step over write, fsync, link, unlink, fsync of the folder",
        value=statistics.median(committed.ratios),
        note=f"{spread(committed.ratios)} pairs",
    )


def project(folder: Path, files_there: int) -> MMLFileManager:
    """Open a project of so many files."""
    manager = MMLFileManager(
        data=folder, results=folder, project=f"p{files_there}", plugins=Plugins(), run="r"
    )
    fill(manager, files_there)
    return manager


def calls_of_saving(manager: MMLFileManager) -> collections.Counter[str]:
    """Count the system calls of saving one file, as Python's audit events tell them."""
    counted: collections.Counter[str] = collections.Counter()
    counting = True
    full = {str(folder) for folder in folders_of(manager)}

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if counting and event in AUDITED:
            counted[event] += 1
            counted[SCANNED] += event in SCANS and str(arguments[0]) in full

    sys.addaudithook(audit)  # stays, as every audit hook
    save(manager, "counted")
    counting = False
    return counted


if __name__ == "__main__":
    sys.exit(main())
