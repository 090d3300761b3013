"""What is done at one kill point: injure the command, look at what is there, continue, compare."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

from mml_core.testing.crash.barriers import Injury
from mml_core.testing.crash.bench import Bench, Reference
from mml_core.testing.crash.faults import Fault, FaultKind
from mml_core.testing.crash.judging import TOLD, Judge
from mml_core.testing.crash.points import KillPoint
from mml_core.testing.crash.trial import Ended, Trial
from mml_core.testing.crash.whole import committed_steps, half_files

INTERRUPTED = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 75}
"""The exit codes by which a command says that it can be continued."""


@dataclass
class Outcome:
    """What was found at one point.

    Attributes:
        reached: Whether the command came to it.
        faults: What was wrong.
    """

    reached: bool = True
    faults: list[Fault] = field(default_factory=list)


def injured_and_continued(bench: Bench, reference: Reference, point: KillPoint) -> Outcome:
    """Injure a fresh run at one point, continue it, and compare it with the undisturbed one.

    Where the point says so, the commands that continue it are killed as well, each at its own barrier.
    """
    root, event = reference.trial.root, point.describe()
    judge = Judge(bench, reference, point.moment, root, event, point.is_boundary)
    trial = bench.fresh()
    try:
        injured = trial.run(bench.scenario.command(), timeout=bench.timeout, injury=point.injury)
        _judge_end(judge, point, trial, injured)
        commands = [injured]
        further: list[Injury | None] = [*point.further, None]
        while commands[-1].code != 0 and further:
            committed = _judge_moment(judge, trial)
            arguments, injury = bench.continuation(trial), further.pop(0)
            commands.append(trial.run(arguments, timeout=bench.timeout, injury=injury))
            judge.executions(commands[-1], committed)
        judge.result(trial, commands)
    finally:
        trial.remove()
    last = max((barrier.number for barrier in injured.barriers), default=0)
    return Outcome(last >= point.injury.at, judge.faults)


def _judge_moment(judge: Judge, trial: Trial) -> set[str]:
    """Judge what a killed command left, and return the steps that are committed."""
    for told in half_files(trial, judge.bench, judge.reference.picture)[:TOLD]:
        judge.tell(FaultKind.HALF_FILE, told)
    return committed_steps(trial.results, judge.bench.results)


def _judge_end(judge: Judge, point: KillPoint, trial: Trial, injured: Ended) -> None:
    """Compare how the command ended with what was done to it."""
    injury = point.injury
    if injured.code is None:
        judge.tell(FaultKind.CANNOT_CONTINUE, "the command hangs")
    elif injury.errno:
        if injured.code != 0:
            _judge_message(judge, point, trial, injured)
    elif injury.signal != signal.SIGKILL:
        expected = INTERRUPTED.get(signal.Signals(injury.signal), -injury.signal)
        if injured.code not in (expected, 0):
            detail = f"the command ends with {injured.code} instead of {expected}: {injured.message()}"
            judge.tell(FaultKind.CANNOT_CONTINUE, detail)


def _judge_message(judge: Judge, point: KillPoint, trial: Trial, injured: Ended) -> None:
    message, reason = injured.message(), os.strerror(point.injury.errno).lower()
    told = [line for line in injured.err.splitlines() if line.startswith("mml: ")]
    problem = ""
    if "Traceback" in injured.err or len(told) != 1 or told[0] != message:
        problem = "not one line that begins with 'mml:', but"
    elif reason not in message.lower() or str(trial.root) not in message:
        problem = "neither file nor cause are named"
    if problem:
        judge.tell(FaultKind.UNCLEAR_ERROR, f"{problem}: {judge.plain(trial, message)}")
