"""What is done at one kill point: injure the command, look at what is there, continue, compare."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field

from mml_core.testing.crash.bench import Bench, Reference
from mml_core.testing.crash.faults import Fault, FaultKind
from mml_core.testing.crash.picture import differences
from mml_core.testing.crash.points import KillPoint
from mml_core.testing.crash.story import Story
from mml_core.testing.crash.trial import Ended, Trial
from mml_core.testing.crash.whole import committed_steps, half_files

INTERRUPTED = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 75}
"""The exit codes by which a command says that it can be continued."""

_TOLD = 3
_VARYING = re.compile(r"\(\d+ of \d+ steps are done\)\.?|\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}")


@dataclass
class Outcome:
    """What was found at one kill point.

    Attributes:
        point: The kill point.
        reached: Whether the command came to it.
        faults: What was wrong.
    """

    point: KillPoint
    reached: bool = True
    faults: list[Fault] = field(default_factory=list)


def injured_and_continued(bench: Bench, reference: Reference, point: KillPoint) -> Outcome:
    """Injure a fresh run at one point, continue it, and compare it with the undisturbed one."""
    return _KillTrial(bench, reference, point).outcome()


class _KillTrial:
    def __init__(self, bench: Bench, reference: Reference, point: KillPoint) -> None:
        self._bench = bench
        self._reference = reference
        self._point = point
        self._outcome = Outcome(point)

    def outcome(self) -> Outcome:
        trial = self._bench.fresh()
        try:
            self._injure_and_continue(trial)
        finally:
            trial.remove()
        return self._outcome

    def _injure_and_continue(self, trial: Trial) -> None:
        bench, point = self._bench, self._point
        injured = trial.run(bench.scenario.command(), timeout=bench.timeout, injury=point.injury)
        for told in half_files(trial, bench, self._reference.picture)[:_TOLD]:
            self._tell(FaultKind.HALF_FILE, told)
        committed = committed_steps(trial.results, bench.results)
        self._check_end(trial, injured)
        commands = [injured]
        if injured.code != 0:
            commands.append(trial.run(bench.scenario.continuation(), timeout=bench.timeout))
            self.check_executions(commands[-1], committed)
        self.check_result(trial, commands)

    def _check_end(self, trial: Trial, injured: Ended) -> None:
        """Compare how the command ended with what was done to it."""
        injury = self._point.injury
        self._outcome.reached = max((each.number for each in injured.barriers), default=0) >= injury.at
        if injured.code is None:
            self._tell(FaultKind.CANNOT_CONTINUE, "the command hangs")
        elif injury.errno:
            if injured.code != 0:
                self._check_message(trial, injured)
        elif injury.signal != signal.SIGKILL:
            expected = INTERRUPTED.get(signal.Signals(injury.signal), -injury.signal)
            if injured.code not in (expected, 0):
                detail = f"the command ends with {injured.code} instead of {expected}: {injured.message()}"
                self._tell(FaultKind.CANNOT_CONTINUE, detail)

    def _check_message(self, trial: Trial, injured: Ended) -> None:
        message, errno = injured.message(), self._point.injury.errno
        told = [line for line in injured.err.splitlines() if line.startswith("mml: ")]
        if "Traceback" in injured.err or len(told) != 1 or told[0] != message:
            self._tell(FaultKind.UNCLEAR_ERROR, f"not one line that begins with 'mml:', but: {self._plain(trial, message)}")
        elif os.strerror(errno).lower() not in message.lower() or str(trial.root) not in message:
            self._tell(FaultKind.UNCLEAR_ERROR, f"neither file nor cause are named: {self._plain(trial, message)}")

    def check_executions(self, continued: Ended, committed: set[str]) -> None:
        """Compare which steps were begun again with what was committed."""
        names = self._reference.picture.names
        begun = Story.of(continued.barriers).begun
        for step in sorted(committed & begun.keys()):
            self._tell(FaultKind.RAN_AGAIN, f"step {names.get(step, step)}")
        if continued.code == 0:
            for step in sorted(self._reference.picture.steps.keys() - committed - begun.keys()):
                self._tell(FaultKind.DID_NOT_RUN, f"step {names.get(step, step)}")

    def check_result(self, trial: Trial, commands: list[Ended]) -> None:
        """Compare what is there in the end with what the undisturbed run left."""
        last = commands[-1]
        if last.code != 0:
            ending = "does not end in time" if last.code is None else f"ends with {last.code}"
            told = f"--continue {ending}: {self._plain(trial, last.message())}"
            self._tell(FaultKind.CANNOT_CONTINUE, told)
            self._outcome.faults += self._bench.lint(trial, self._reference.picture, commands, ended=False)
            return
        expected = self._reference.picture
        picture = self._bench.picture(trial)
        for told in differences(expected, picture)[:_TOLD]:
            self._tell(FaultKind.DIFFERS, told)
        for path in sorted(set(picture.left) - set(expected.left))[:_TOLD]:
            self._tell(FaultKind.LEFT_OVER, path)
        self._outcome.faults += self._bench.lint(trial, picture, commands)

    def _plain(self, trial: Trial, message: str) -> str:
        """Take out of a message what differs between trials, so that one cause is told once."""
        message = message.replace(str(trial.root), "").partition(" Continue by:")[0]
        return _VARYING.sub("", message).strip()

    def _tell(self, kind: FaultKind, detail: str) -> None:
        moment, injury = self._point.moment, self._point.injury
        step = self._reference.picture.names.get(moment.step, "")
        call = moment.barrier.describe(self._reference.trial.root)
        place = " ".join(filter(None, [moment.phase.value, step]))
        where = f"after {injury.describe()} at barrier {injury.at}, {place} ({call})"
        fault = Fault(kind, where, detail, between_steps=self._point.is_boundary)
        self._outcome.faults.append(fault)
