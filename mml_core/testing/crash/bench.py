"""The bench: where trials are made, from prepared folders, and compared with an undisturbed run."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mml_core.errors import MMLError
from mml_core.testing.crash.backends import Backend
from mml_core.testing.crash.barriers import Barrier
from mml_core.testing.crash.disk import Folder, Node, folder_of
from mml_core.testing.crash.faults import ADVICE, Fault, FaultKind
from mml_core.testing.crash.lint import Lint
from mml_core.testing.crash.picture import Picture, differences, runs_below, take_picture
from mml_core.testing.crash.scenario import Scenario
from mml_core.testing.crash.story import Story
from mml_core.testing.crash.trial import Ended, Trial

_SLOWER = 20
_LEAST_SECONDS = 60.0
_TOLD = 3


class UndisturbedRunError(MMLError):
    """The command fails without being injured, so that there is nothing to compare with."""


@dataclass(frozen=True)
class Reference:
    """An undisturbed run.

    Attributes:
        trial: Where it ran.
        picture: What it left.
        story: What it did.
        seconds: How long it took.
        faults: What its barriers and a second run show.
    """

    trial: Trial
    picture: Picture
    story: Story
    seconds: float
    faults: list[Fault]

    @property
    def is_repeatable(self) -> bool:
        """Whether two undisturbed runs give the same, so that a third can be compared with them."""
        return all(fault.kind not in (FaultKind.UNSEEDED, FaultKind.IN_MEMORY) for fault in self.faults)


class Bench:
    """Makes trials of a scenario.

    Args:
        scenario: What is run.
        folder: Private to the bench.
        data: The data every trial begins with.
        results: The results every trial begins with.
        backend: What watches the commands.
    """

    def __init__(self, scenario: Scenario, folder: Path, data: Path, results: Path, backend: Backend) -> None:
        self.scenario = scenario
        self.backend = backend
        self.data = data
        self.results = results
        self.timeout = 600.0
        self._given_twice: set[str] = set()
        self._folder = folder
        self._numbers = itertools.count()

    def fresh(self) -> Trial:
        """Make a trial that begins with the prepared folders; its root is as long as every other's."""
        root = self._folder / f"{next(self._numbers):06d}"
        trial = Trial(root, self.backend, self.scenario.env, self.scenario.ignored)
        trial.fill(self.data, self.results)
        return trial

    def before(self) -> Folder:
        """Return what every trial begins with, for a replay of its barriers."""
        parts: dict[str, Node] = {"work": Folder()}
        for name, path in (("data", self.data), ("results", self.results)):
            if path.is_dir():
                parts[name] = folder_of(path)
        return Folder(parts, dict(parts))

    def continuation(self, trial: Trial) -> list[str]:
        """Return the arguments that go on with the run of a trial, or start it where it never began."""
        begun = [run for run in runs_below(trial.results, self.results) if (run / "run.json").exists()]
        if not begun:
            return self.scenario.command()
        return ["run", "--continue", "--proj", begun[-1].parent.parent.name]

    def picture(self, trial: Trial) -> Picture:
        """Take the picture of a trial."""
        return take_picture(trial.root, self.scenario, self.results)

    def reference(self) -> Reference:
        """Run the command twice, undisturbed, and compare.

        Raises:
            UndisturbedRunError: It fails.
        """
        first = self._undisturbed(self.scenario.command(undisturbed=True))
        self.timeout = max(_LEAST_SECONDS, _SLOWER * first.seconds)
        self._given_twice = _paths_of_two_steps(first.picture)
        second = self._undisturbed_elsewhere()
        differ = self._disagreement(first.picture, second.picture)
        # What is injured is the second: the same as the first, but with the executor that was asked for.
        first.trial.remove()
        faults = [*first.faults, *second.faults, *differ]
        return Reference(second.trial, first.picture, second.story, second.seconds, faults)

    def _disagreement(self, first: Picture, second: Picture) -> list[Fault]:
        """Return in what two undisturbed runs differ, under the name of the cause.

        Runs of two executors differ by chance, or because a step finds something in the process that did
        the steps before it. Chance shows again where the first run is done once more.
        """
        told = differences(first, second)[:_TOLD]
        kind, where = FaultKind.UNSEEDED, "two undisturbed runs differ"
        if told and self.scenario.executor:
            again = self._undisturbed(self.scenario.command(undisturbed=True))
            again.trial.remove()
            if not differences(first, again.picture):
                kind = FaultKind.IN_MEMORY
                where = f"executor={self.scenario.executor} and one process for all steps differ"
        return [Fault(kind, where, each) for each in told]

    def _undisturbed_elsewhere(self) -> Reference:
        """Run the command by the executor that was asked for, after it has succeeded by one process."""
        try:
            return self._undisturbed(self.scenario.command())
        except UndisturbedRunError as error:
            if not self.scenario.executor:
                raise
            raise UndisturbedRunError(
                f"{error} By one process for all steps it succeeds: if a step looks for what another kept, "
                f"{ADVICE[FaultKind.IN_MEMORY]}."
            ) from error

    def _undisturbed(self, command: list[str]) -> Reference:
        trial = self.fresh()
        started = time.monotonic()
        ended = trial.run(command, timeout=self.timeout)
        seconds = time.monotonic() - started
        if ended.code != 0:
            raise UndisturbedRunError(
                f"'{self.scenario.describe()}' ends with {ended.code} when nothing disturbs it: "
                f"{ended.message()}"
            )
        picture = self.picture(trial)
        return Reference(
            trial, picture, Story.of(ended.barriers), seconds, self.lint(trial, picture, [ended])
        )

    def lint(
        self, trial: Trial, picture: Picture, commands: Sequence[Ended], *, ended: bool = True
    ) -> list[Fault]:
        """Return what the barriers of commands that followed each other show.

        Args:
            trial: Where they ran.
            picture: Of what they left, or were to leave.
            commands: What ran.
            ended: Whether the last came to its end.
        """
        earlier = numbered_on(ended.barriers for ended in commands[:-1])
        lint = Lint(
            trial.root,
            self.before(),
            numbered_on([earlier, commands[-1].barriers]),
            artefacts=picture.paths,
            names=dict(picture.names),
            given_twice=self._given_twice,
            since=max((barrier.number for barrier in earlier), default=0) + 1,
            ended=ended,
        )
        return lint.faults()


def _paths_of_two_steps(picture: Picture) -> set[str]:
    written = Counter(
        path
        for record in picture.steps.values()
        for path in {artefact["path"] for artefact in record["artefacts"]}
    )
    return {path for path, steps in written.items() if steps > 1}


def numbered_on(parts: Iterable[list[Barrier]]) -> list[Barrier]:
    """Return the barriers of several commands as if they were those of one."""
    found: list[Barrier] = []
    last = 0
    for part in parts:
        found += [replace(barrier, number=barrier.number and barrier.number + last) for barrier in part]
        last = max((barrier.number for barrier in found), default=0)
    return found
