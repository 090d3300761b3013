"""A stopped writer loses its lease: another machine takes its run over, and it must not commit any more."""

from __future__ import annotations

from mml_core.testing.crash.backends import BackendError
from mml_core.testing.crash.bench import Bench, Reference
from mml_core.testing.crash.faults import FaultKind
from mml_core.testing.crash.judging import TOLD, Judge
from mml_core.testing.crash.kills import Outcome
from mml_core.testing.crash.picture import differences
from mml_core.testing.crash.points import KillPoint
from mml_core.testing.crash.story import Phase, Story
from mml_core.testing.crash.trial import Ended, Running, Trial
from mml_core.testing.crash.whole import committed_steps

HELD = 3
"""What a command exits with that lost its claim."""

_HOST = "another-machine"
_TTL = {"MML_LEASE_TTL": "1"}


def stop_points(points: list[KillPoint]) -> list[KillPoint]:
    """Return the points at which there is a run to take over."""
    return [point for point in points if point.moment.phase is not Phase.START]


def stopped_and_taken_over(bench: Bench, reference: Reference, point: KillPoint) -> Outcome:
    """Stop a run, let it be taken over as if by another machine, let the stopped one go on, and compare.

    Raises:
        BackendError: The backend cannot give a command another machine's name.
    """
    if not bench.backend.has_hosts:
        raise BackendError(
            f"A run is taken over by another machine, whose name the backend '{bench.backend.name}' cannot "
            "give to a command; the preloaded library can, and needs a C compiler."
        )
    judge = Judge(bench, reference, point.moment, reference.trial.root, point.injury.describe())
    trial = bench.fresh()
    try:
        running = trial.start(bench.scenario.command(), injury=point.injury, env=_TTL)
        reached = running.wait_until_stopped(bench.timeout)
        if reached:
            _take_over(judge, trial, running)
        else:
            judge.result(trial, [running.ended(bench.timeout)])
    finally:
        trial.remove()
    return Outcome(reached, judge.faults)


def _take_over(judge: Judge, trial: Trial, running: Running) -> None:
    bench, expected = judge.bench, judge.reference.picture
    committed = committed_steps(trial.results, bench.results)
    second = trial.start(bench.continuation(trial), host=_HOST, env=_TTL).ended(bench.timeout)
    judge.executions(second, committed)
    judge.result(trial, [second])
    running.go_on()
    first = running.ended(bench.timeout)
    _judge_first(judge, first, all_done=committed >= expected.steps.keys())
    if second.code == 0:
        for told in differences(expected, bench.picture(trial))[:TOLD]:
            judge.tell(FaultKind.NOT_FENCED, told)


def _judge_first(judge: Judge, first: Ended, *, all_done: bool) -> None:
    """Judge the writer that was stopped: it may wind up what it had committed, and nothing else."""
    names = judge.reference.picture.names
    after = (each for each in first.barriers if each.number >= judge.moment.barrier.number)
    for step in sorted(Story.of(after).committed):
        judge.tell(FaultKind.NOT_FENCED, f"step {names.get(step, step)}")
    if first.code != HELD and not (all_done and first.code == 0):
        ending = "hangs" if first.code is None else f"ends with {first.code}"
        judge.tell(FaultKind.NOT_FENCED, f"it {ending} instead of {HELD}: {first.message()}")
