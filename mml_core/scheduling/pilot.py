"""Pilots: processes that do steps of a run, each under a claim of its own, and nothing more."""

from __future__ import annotations

from mml_core.scheduling.attempts import Attempts, unpublished
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.claims import StepClaims
from mml_core.scheduling.executors import Event
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.opening import OpenRun
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_directory import RunDirectory, RunDirectoryError
from mml_core.scheduling.signals import SignalGuard
from mml_core.scheduling.streams import outlasting_readers
from mml_core.scheduling.worker import StepWorker
from mml_core.storage.leases import is_alive

HELD = "another process works on it"


class Pilot:
    """Does steps of one run in this process.

    Args:
        run: The run's directory.
        plan: Its plan.
        scheduler: The prepared scheduler.
        guard: What signals go through.
    """

    def __init__(
        self, run: RunDirectory, plan: Plan, scheduler: AbstractBaseScheduler, guard: SignalGuard
    ) -> None:
        self.run = run
        self.plan = plan
        self.scheduler = scheduler
        self.ledger = Ledger(plan, run.steps_path)
        self.claims = StepClaims(run.claims_path)
        self._guard = guard

    def do(self, step_id: str) -> Event:
        """Do a step unless it is committed already, or another process works on it (``how`` says so)."""
        position = self.plan.position(step_id)
        if position is None:
            raise RunDirectoryError(f"The run {self.run.id} has no step '{step_id}'.")
        claim = self.claims.take(step_id)
        if claim is None:
            return Event(step_id, how=HELD)
        with claim:
            if drives_alone(self.run):
                return Event(step_id, how=HELD)
            self.ledger.load(self.plan.ancestors(position))
            attempts = Attempts(self.run.attempts_path, step_id)
            worker = StepWorker(self.scheduler, self.plan, self.ledger, attempts, self._guard, claim)
            worker.settle()
            if self.ledger.look_up(position) is not None:
                return Event(step_id)
            self.run.forget_failure(step_id)
            event = worker.work(step_id)
            if event.failure is not None:
                self.run.note_failure(event.failure)
            return event


class SharedRun:
    """What a process that drives a run sees of the others that work on it.

    Args:
        run: The run's directory.
        pilot: What finishes the publication of a step whose process died after its commit.
    """

    def __init__(self, run: RunDirectory, pilot: Pilot) -> None:
        self._run = run
        self._pilot = pilot

    def unsettled(self) -> set[str]:
        """Ids of steps that are under way, or dead, or committed with files that are not in place."""
        return unpublished(self._run.attempts_path)

    def settled(self, step_id: str) -> bool:
        """Whether all files of a committed step are in place; a dead process's publication is finished."""
        return step_id not in self.unsettled() or self._pilot.do(step_id).how != HELD

    def is_held(self, step_id: str) -> bool:
        """Whether a live process works on a step; the claim of one that has fallen silent is given up.

        A worker could not do that: it is a new process, which has not seen for how long the other was silent.
        """
        if self._pilot.claims.is_free(step_id):
            return False
        claim = self._pilot.claims.take(step_id)
        if claim is None:
            return True
        with claim:
            Attempts(self._run.attempts_path, step_id).fence()
        return False


def drives_alone(run: RunDirectory) -> bool:
    """Tell whether a live process drives a run and lets no other work on it."""
    return not run.info().sessions[-1].shared and is_alive(run.lease_path)


def work_step(opened: OpenRun, step_id: str) -> int:
    """Do one step of a run and return the exit code: 0 committed, 1 failed, 3 held by another process.

    Raises:
        RunInterrupted: A signal asked to stop.
        ClaimLostError: Another process has taken the step over.
    """
    with SignalGuard() as guard, outlasting_readers():
        scheduler = opened.scheduler()
        try:
            event = Pilot(opened.run, opened.steps, scheduler, guard).do(step_id)
        finally:
            scheduler.fm.close()
    return 1 if event.failure is not None else 3 if event.how == HELD else 0
