"""Times saving a numbered file (path, write, seal, publish) in a project of few and of many such files.

Run ``python benchmarks/numbering.py``. It prints the median time and the system calls per file, which must
not grow with the number of files that are there.
"""

from __future__ import annotations

import argparse
import collections
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mml_core.files.manager import MMLFileManager
from mml_core.files.numbering import Numbers, Slot
from mml_core.plugins.records import PathAssignment
from mml_core.storage.links import commit_record

RECORD = PathAssignment(key="parameters", path="PROJ_PATH/PARAMETERS/TASK_NAME/model.bin", reusable=True)
AUDITED = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir"}


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


def fill(manager: MMLFileManager, count: int) -> None:
    """Make a project that holds ``count`` numbered files, without the fsyncs of as many commits."""
    numbers, files = manager.layout.numbers / "parameters" / "t", manager.project_path / "PARAMETERS" / "t"
    for folder in (numbers, files):
        folder.mkdir(parents=True)
    for number in range(1, count + 1):
        (numbers / f"{number:04d}").write_text('{"identity":"earlier"}')
        (files / f"model_{number:04d}.bin").write_bytes(b"x")
    Numbers(manager.layout.numbers).advance([Slot("parameters", "t")], [count], 1)


def save(manager: MMLFileManager, name: str) -> None:
    """Save one numbered file as a step does."""
    folder = manager.attempts_path / name
    with manager.attempt(folder, f"r/{name}") as attempt:
        manager.construct_saving_path(b"", "parameters", task_name="t").write_bytes(b"x")
        artefacts = attempt.seal()
    manager.publish(artefacts, folder, step=name)


def empty(manager: MMLFileManager, name: str) -> None:
    """Commit a step that saves nothing."""
    folder = manager.attempts_path / name
    with manager.attempt(folder, f"r/{name}") as attempt:
        artefacts = attempt.seal()
        commit_record(b'{"value":null}' * 20, folder / "record.json", manager.project_path / f"{name}.json")
    manager.publish(artefacts, folder, step=name)


def bare(manager: MMLFileManager, name: str) -> None:
    """Write, fsync, link, unlink, fsync the folder: the least a commit can cost."""
    private, final = manager.project_path / f".{name}", manager.project_path / f"{name}.bare"
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, b'{"value":null}' * 20)
    os.fsync(descriptor)
    os.close(descriptor)
    os.link(private, final)
    private.unlink()
    descriptor = os.open(manager.project_path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def timed(work: Callable[[MMLFileManager, str], None], manager: MMLFileManager, name: str) -> float:
    """Return the seconds one call takes."""
    start = time.perf_counter()
    work(manager, name)
    return time.perf_counter() - start


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=101)
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 10_000])
    parser.add_argument("--folder", type=Path, default=None, help="where; by default the temp folder")
    arguments = parser.parse_args()
    counted: collections.Counter[str] = collections.Counter()
    counting = False

    def audit(event: str, _: tuple[Any, ...]) -> None:
        if counting and event in AUDITED:
            counted[event] += 1

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        managers = []
        for count in arguments.counts:
            manager = MMLFileManager(
                data=Path(folder), results=Path(folder), project=f"p{count}", plugins=Plugins(), run="r"
            )
            fill(manager, count)
            save(manager, "warm")
            managers.append(manager)
        times: list[list[float]] = [[] for _ in managers]
        for repeat in range(arguments.repeats):
            for manager, measured in zip(managers, times, strict=True):
                measured.append(timed(save, manager, f"s{repeat}"))
        ratios = [
            timed(empty, managers[0], f"e{repeat}") / timed(bare, managers[0], f"b{repeat}")
            for repeat in range(arguments.repeats)
        ]
        sys.addaudithook(audit)
        for count, manager, measured in zip(arguments.counts, managers, times, strict=True):
            counted.clear()
            counting = True
            save(manager, "counted")
            counting = False
            calls = ", ".join(f"{name} {number}" for name, number in sorted(counted.items()))
            print(f"{count:>7} files there: {statistics.median(measured) * 1e3:.2f} ms a file; {calls}")
        paired = [many / few for few, many in zip(times[0], times[-1], strict=True)]
        print(f"{arguments.counts[-1]} against {arguments.counts[0]}: {statistics.median(paired):.2f} times")
        print(f"empty step against the bare sequence: {statistics.median(ratios):.2f} times")


if __name__ == "__main__":
    main()
