"""Power losses: a run is recorded, states that its disk may be left in are made, and each is continued."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from queue import SimpleQueue

from mml_core.storage.hashing import sha256_file
from mml_core.testing.crash.backends import BackendError
from mml_core.testing.crash.bench import Bench, Reference
from mml_core.testing.crash.disk import Disk
from mml_core.testing.crash.judging import Judge
from mml_core.testing.crash.kills import Outcome
from mml_core.testing.crash.states import Loss, State, committed_in, put, state_after, states_of
from mml_core.testing.crash.story import Moment, Story
from mml_core.testing.crash.trial import IGNORED, Trial
from mml_core.testing.crash.whole import committed_steps


@dataclass(frozen=True)
class LossPoint:
    """When the power fails, and what is lost.

    Attributes:
        moment: The last barrier that is passed.
        root: Where the paths of the barrier lie.
        loss: What is lost.
        seed: Decides over what is lost in part.
    """

    moment: Moment
    root: Path
    loss: Loss
    seed: int

    @property
    def is_boundary(self) -> bool:
        """Whether nothing but the process is lost: that is never so."""
        return False


@dataclass(frozen=True)
class Recording:
    """A run whose writes were recorded; its paths hold for its own root only, where its states are made.

    Attributes:
        trial: Where it ran.
        disk: What it did.
        story: What it did, step by step.
        unseen: Files that are not what the recorded writes make of them: something wrote past the backend.
    """

    trial: Trial
    disk: Disk
    story: Story
    unseen: tuple[str, ...]


def record(bench: Bench) -> Recording:
    """Run the command undisturbed, and record what it writes.

    Raises:
        BackendError: The backend cannot record what is written.
    """
    if not bench.backend.has_data:
        raise BackendError(
            f"A power loss is made from what was written, which the backend '{bench.backend.name}' does not "
            "record; the preloaded library does, and needs a C compiler."
        )
    trial = bench.fresh()
    ended = trial.run(bench.scenario.command(), timeout=bench.timeout, with_data=True)
    disk = Disk(trial.root, bench.before(), ended.barriers)
    return Recording(trial, disk, Story.of(ended.barriers), _unseen(disk, trial))


def _unseen(disk: Disk, trial: Trial) -> tuple[str, ...]:
    """Compare what the recorded writes add up to with what is there."""
    replayed = trial.root.with_name(f"{trial.root.name}.replayed")
    last = max((change.barrier.number for change in disk.changes), default=0)
    put(disk, State(last, Loss.DATA, frozenset(disk.changes)), replayed)
    try:
        made, real = _files(replayed), _files(trial.root)
    finally:
        shutil.rmtree(replayed)
    known = (*IGNORED, *trial.ignored)
    return tuple(
        name
        for name in sorted({*made, *real})
        if made.get(name) != real.get(name)
        and not any(fnmatch(f"{trial.root}/{name}", glob) for glob in known)
    )


def _files(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): sha256_file(path) for path in root.rglob("*") if path.is_file()
    }


def loss_points(recording: Recording, seed: int) -> list[LossPoint]:
    """Return when the power may fail, with what loss; what leaves the same disk is there once."""
    moments = {moment.barrier.number: moment for moment in recording.story.moments}
    return [
        LossPoint(moments[state.barrier], recording.trial.root, state.loss, seed)
        for state in states_of(recording.disk, seed)
    ]


def recovered(
    bench: Bench, reference: Reference, recording: Recording, points: Sequence[LossPoint], workers: int
) -> list[Outcome]:
    """Put the states of the points on the disk, continue each, and compare.

    Each worker makes states of a recording of its own.
    """
    free: SimpleQueue[Recording] = SimpleQueue()
    free.put(recording)
    for _ in range(workers - 1):
        free.put(record(bench))

    def recover(point: LossPoint) -> Outcome:
        mine = free.get()
        try:
            return _recovered(bench, reference, mine, point)
        finally:
            free.put(mine)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(recover, points))


def _recovered(bench: Bench, reference: Reference, recording: Recording, point: LossPoint) -> Outcome:
    judge = Judge(bench, reference, point.moment, point.root, point.loss.value)
    number = point.moment.barrier.number
    put(recording.disk, state_after(recording.disk, number, point.loss, point.seed), recording.trial.root)
    present = committed_steps(recording.trial.results, bench.results)
    continued = recording.trial.run(bench.continuation(recording.trial), timeout=bench.timeout)
    judge.executions(continued, present, committed_in(recording.disk, number))
    judge.result(recording.trial, [continued])
    return Outcome(faults=judge.faults)
