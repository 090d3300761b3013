"""What the kit tells: how many kill points were run, where, with what outcome."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mml_core.testing.crash.faults import Fault, joined
from mml_core.testing.crash.kills import Outcome
from mml_core.testing.crash.points import Point

KILL_POINTS = "kill points"
"""What a report counts, but of takings over."""
_TOLD = 5


class CrashFaultError(AssertionError):
    """The kit found faults; the message names each.

    Attributes:
        report: What was run, and what was found.
    """

    def __init__(self, report: CrashReport) -> None:
        self.report = report
        super().__init__(report.describe())


@dataclass
class CrashReport:
    """What was run, and what was found.

    Attributes:
        command: What was run.
        injury: What happened to it.
        backend: What watched it, and what that sees.
        seed: Makes the same sample again; None: all points were run.
        steps: Per step, as a reader knows it: how many of its points were run, and how many it has; where
            reuse is looked at, per changed key how many steps were taken over, and how many there were.
        unit: What is counted.
        not_reached: How many points a command ended before.
        found: What was found, point by point.
        unseen: Files that were written past what the backend sees.
    """

    command: str
    injury: str
    backend: str
    seed: int | None = None
    steps: dict[str, tuple[int, int]] = field(default_factory=dict)
    unit: str = KILL_POINTS
    not_reached: int = 0
    found: list[Fault] = field(default_factory=list)
    unseen: Sequence[str] = ()

    @property
    def faults(self) -> list[Fault]:
        """What was found, each fault once, under the name of its cause."""
        return joined(self.found)

    @property
    def run(self) -> int:
        """How many kill points were run."""
        return sum(run for run, _ in self.steps.values())

    @property
    def points(self) -> int:
        """How many kill points there are."""
        return sum(points for _, points in self.steps.values())

    def count(self, points: Sequence[Point], chosen: Iterable[Point], names: Mapping[str, str]) -> None:
        """Note what was chosen of all points."""
        taken = {id(point) for point in chosen}
        for point in points:
            name = names.get(point.moment.step, "start")
            run, total = self.steps.get(name, (0, 0))
            self.steps[name] = (run + (id(point) in taken), total + 1)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Note what came of the kill points."""
        for outcome in outcomes:
            self.not_reached += not outcome.reached
            self.found += outcome.faults

    def summary(self) -> str:
        """Return one line."""
        found = len(self.faults)
        faults = f"{found} fault{'s' if found > 1 else ''}" if found else "no fault"
        if self.unit == KILL_POINTS and not self.run:
            return f"nothing was killed; undisturbed runs compared: {faults} ({self.command})"
        seed = f", MML_CRASH_SEED={self.seed}" if self.seed is not None else ""
        late = f", {self.not_reached} not reached" if self.not_reached else ""
        return (
            f"{self.injury}: {self.run} of {self.points} {self.unit}{seed}{late}: {faults} ({self.command})"
        )

    def describe(self) -> str:
        """Return the whole report."""
        lines = [self.summary(), f"watched by: {self.backend}"]
        if self.unseen:
            lines.append(f"written past it, and not put back after a power loss: {', '.join(self.unseen)}")
        lines += [f"  {name}: {run} of {points}" for name, (run, points) in self.steps.items()]
        lines += self._faults()
        return "\n".join(lines)

    def _faults(self) -> Iterator[str]:
        """Yield a line per fault, of each kind the first few."""
        for kind, faults in itertools.groupby(self.faults, lambda fault: fault.kind):
            told = list(faults)
            yield from map(str, told[:_TOLD])
            if len(told) > _TOLD:
                yield f"{kind.value}: {len(told) - _TOLD} more."

    def check(self) -> CrashReport:
        """Return the report of a command that has no fault.

        Raises:
            CrashFaultError: It has.
        """
        if self.found:
            raise CrashFaultError(self)
        return self
