"""What benchmarks share: interleaved pairs, and figures printed beside their aims."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value; an aim is the most or the least it should be.

    Attributes:
        name: What is measured.
        value: What came out.
        unit: Its unit.
        at_most: The aim, where less is better.
        above: The aim, where more is better; the value has to be greater.
        note: What else there is to know.
    """

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    above: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether there is no aim that it misses."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return self.above is None or self.value > self.above

    def __str__(self) -> str:
        aim = "no aim"
        if self.at_most is not None:
            aim = f"aim: at most {self.at_most:g}"
        elif self.above is not None:
            aim = f"aim: above {self.above:g}"
        line = f"{'' if self.met else 'MISSED  '}{self.name}: {self.value:.4g} {self.unit}".rstrip()
        return f"{line} ({aim}{'; ' if self.note else ''}{self.note})"


@dataclass(frozen=True)
class Pairs:
    """Seconds of two things that were timed in turn."""

    times: Sequence[tuple[float, float]]

    @property
    def first(self) -> float:
        """Median of the first."""
        return statistics.median(first for first, _ in self.times)

    @property
    def second(self) -> float:
        """Median of the second."""
        return statistics.median(second for _, second in self.times)

    @property
    def ratios(self) -> list[float]:
        """Second over first, pair by pair."""
        return [second / first for first, second in self.times]

    @property
    def differences(self) -> list[float]:
        """Second less first, pair by pair."""
        return [second - first for first, second in self.times]


def interleaved(
    first: Callable[[], object],
    second: Callable[[], object],
    pairs: int,
    *,
    clear: Callable[[], object] = lambda: None,
) -> Pairs:
    """Time two things in turn, after one warm-up of both; `clear`, before each pair, is not timed."""
    clear(), first(), second()
    return Pairs([(clear(), seconds(first), seconds(second))[1:] for _ in range(pairs)])


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_sequence(folder: Path, name: object) -> None:
    """Write, fsync, link, unlink, fsync of the folder, by plain system calls: the least a commit can cost.

    Args:
        folder: Has a folder ``linked`` for what is committed.
        name: Of the file.
    """
    private, final = f"{folder}/{name}", f"{folder}/linked/{name}"
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, b"x" * 500)
    os.fsync(descriptor)
    os.close(descriptor)
    os.link(private, final)
    os.unlink(private)  # noqa: PTH108 (the bare call is what is measured)
    descriptor = os.open(f"{folder}/linked", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the range of what was measured as a note."""
    return f"{min(values):.{digits}f} to {max(values):.{digits}f} in {len(values)}"


def environment_in(folder: Path, *dropped: str, **more: str) -> dict[str, str]:
    """Return the environment of commands whose data and results lie in a folder; nothing else is set of mml.

    Args:
        folder: Gets ``data`` and ``results``.
        *dropped: What the names of further variables that are left out begin with.
        **more: Variables that are set besides.
    """
    left_out = ("MML_", *dropped)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(left_out)},
        "MML_DATA_PATH": str(folder / "data"),
        "MML_RESULTS_PATH": str(folder / "results"),
        **more,
    }


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> str:
    """Run a command that has to succeed and return its standard output."""
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(" ".join(command).split())[-200:]
        raise SystemExit(f"…{shown} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def report(figures: Iterable[Figure]) -> int:
    """Print each figure as it comes, and return the exit code: 1 where one misses its aim."""
    missed = 0
    for figure in figures:
        print(figure, flush=True)
        missed += not figure.met
    return 1 if missed else 0
