"""Judging a continued run: what ran again, what is there in the end, and what its barriers show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from mml_core.errors import MMLError
from mml_core.testing.crash.bench import Bench, Reference
from mml_core.testing.crash.faults import Fault, FaultKind
from mml_core.testing.crash.picture import differences
from mml_core.testing.crash.story import Moment, Story
from mml_core.testing.crash.trial import Ended, Trial

TOLD = 3
"""At most so many differences are told of one trial."""

_VARYING = re.compile(r"\(\d+ of \d+ steps are done\)\.?|\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}")


@dataclass
class Judge:
    """Collects the faults of one trial.

    Attributes:
        bench: Where the trial was made.
        reference: The undisturbed run.
        moment: The barrier at which the trial was disturbed.
        root: Where the paths of the barrier lie.
        event: What happened there, in words.
        between_steps: Whether nothing was lost but the process, between two steps.
        faults: What was found.
    """

    bench: Bench
    reference: Reference
    moment: Moment
    root: Path
    event: str
    between_steps: bool = False
    faults: list[Fault] = field(default_factory=list)

    def tell(self, kind: FaultKind, detail: str) -> None:
        """Note a fault."""
        barrier = self.moment.barrier
        step = self.reference.picture.names.get(self.moment.step, "")
        call = _VARYING.sub("<run>", barrier.describe(self.root))
        place = " ".join(filter(None, [self.moment.phase.value, step]))
        where = f"after {self.event} at barrier {barrier.number}, {place} ({call})"
        self.faults.append(Fault(kind, where, detail, between_steps=self.between_steps))

    def executions(self, continued: Ended, present: set[str], safe: set[str] | None = None) -> None:
        """Compare the steps that a command began with those that were done before it.

        Args:
            continued: The command.
            present: The steps whose records it found.
            safe: Those whose records it had to find, where a power loss may have taken some.
        """
        names = self.reference.picture.names
        begun = Story.of(continued.barriers).begun
        kind = FaultKind.RAN_AGAIN if safe is None else FaultKind.LOST
        for step in sorted((present if safe is None else safe) & begun.keys()):
            self.tell(kind, f"step {names.get(step, step)}, which was committed, ran again")
        if continued.code == 0:
            for step in sorted(self.reference.picture.steps.keys() - present - begun.keys()):
                self.tell(FaultKind.DID_NOT_RUN, f"step {names.get(step, step)}, which was not committed")

    def result(self, trial: Trial, commands: list[Ended]) -> None:
        """Compare what commands that followed each other left with what the undisturbed run left."""
        last, expected = commands[-1], self.reference.picture
        if last.code != 0:
            ending = "does not end in time" if last.code is None else f"ends with {last.code}"
            told = f"--continue {ending}: {self.plain(trial, last.message())}"
            self.tell(FaultKind.CANNOT_CONTINUE, told)
            self.faults += self.bench.lint(trial, expected, commands, ended=False)
            return
        try:
            picture = self.bench.picture(trial)
        except MMLError as error:
            self.tell(FaultKind.HALF_FILE, f"what is left cannot be read: {self.plain(trial, str(error))}")
            return
        for told in differences(expected, picture)[:TOLD]:
            self.tell(FaultKind.DIFFERS, told)
        for path in sorted(set(picture.left) - set(expected.left))[:TOLD]:
            self.tell(FaultKind.LEFT_OVER, path)
        self.faults += self.bench.lint(trial, picture, commands)

    def plain(self, trial: Trial, message: str) -> str:
        """Take out of a message what differs between trials, so that one cause is told once."""
        message = message.replace(str(trial.root), "").partition(" Continue by:")[0]
        return _VARYING.sub("<run>", message).strip()
