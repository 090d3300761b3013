"""Doing one step of a run: attempt, seed, call, commit, publish."""

from __future__ import annotations

import logging
import os
import platform
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from mml_core.config.secrets import without_secrets
from mml_core.errors import LiveOwnerError
from mml_core.files.folders import remove_folder
from mml_core.plugins.views import MetricsView, Outcome
from mml_core.scheduling import values
from mml_core.scheduling.attempts import AttemptFolder, Attempts
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.executors import Event
from mml_core.scheduling.inputs import Contents
from mml_core.scheduling.ledger import Ledger, StepRecord
from mml_core.scheduling.observing import run_view, step_view
from mml_core.scheduling.plan import FINISH, Plan, PlanStep
from mml_core.scheduling.provenance import provenance_of
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.run_records import Failure
from mml_core.scheduling.scope import StepScope
from mml_core.scheduling.seeding import seed_everything, step_seed
from mml_core.scheduling.signals import RunInterrupted, SignalGuard
from mml_core.scheduling.take_over import Library, find_offer, taken_over
from mml_core.storage.errors import located_failures
from mml_core.storage.leases import Lease, read_owner

log = logging.getLogger(__name__)


class ClaimLostError(LiveOwnerError):
    """Another process has taken over the run, or the step, which this one may no longer change."""

    def __init__(self, lease: Lease) -> None:
        owner = read_owner(lease.root)
        by = owner.describe() if owner is not None else "somebody who has given it back since"
        super().__init__(
            f"The claim {lease.root} was taken over by {by}; this process has stopped and committed nothing "
            "more."
        )


class StepWorker:
    """Does the steps of a run that it is told to.

    Args:
        scheduler: The prepared scheduler.
        plan: The run's plan.
        ledger: The run's ledger.
        attempts: The run's attempts; None for a mode that writes nothing.
        guard: What signals go through.
        lease: The claim that allows to commit: of the run, or of the one step; None for a mode that writes
            nothing.
    """

    def __init__(
        self,
        scheduler: AbstractBaseScheduler,
        plan: Plan,
        ledger: Ledger,
        attempts: Attempts | None,
        guard: SignalGuard,
        lease: Lease | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._lease = lease
        self._plan = plan
        self._ledger = ledger
        self._attempts = attempts
        self._guard = guard
        self._run = RunDirectory(ledger.folder.parent) if ledger.folder is not None else None
        self._contents = Contents(scheduler.fm.project_path, ledger, scheduler._notes.files)
        self._environment_name = ""
        self._host = platform.node()
        self._notify = scheduler.plugins.notify
        hooks = scheduler.plugins.hook
        self._observed = bool(
            hooks.mml_step_started.get_hookimpls()
            or hooks.mml_step_finished.get_hookimpls()
            or hooks.mml_metrics_logged.get_hookimpls()
        )
        self._shown: dict[str, Any] = {}
        if self._observed:
            self._shown = {"scheduler": scheduler, "run": run_view(scheduler, self._run)}

    def settle(self) -> None:
        """Fence off earlier attempts, and publish what committed steps left whose process died before."""
        if self._attempts is None:
            return
        # In this order: after the rename nothing more is committed from there, so the ledger tells for good.
        self._attempts.fence()
        for step_id in self._attempts.left():
            position = self._plan.position(step_id)
            if position is not None:
                self._ledger.look_up(position)
        for step_id, folders in self._attempts.left().items():
            position = self._plan.position(step_id)
            record = self._ledger.record(position) if position is not None else None
            if record is not None:
                self._ledger.make_safe()
                for folder in folders:
                    self._publish(record, folder)
                self._attempts.forget(step_id)

    def work(self, step_id: str) -> Event:
        """Do a step; an error of its own becomes a failure in the event.

        Raises:
            RunInterrupted: A signal asked to stop.
            ClaimLostError: Another process has taken the run over.
        """
        position = self._plan.position(step_id)
        assert position is not None
        step = self._plan.steps[position]
        shown = {**self._shown, "step": step_view(self._scheduler, step)}
        if self._observed:
            self._notify("mml_step_started", **shown)
        started = time.time()
        failure = None
        try:
            self._attempt(step, position, started)
        except (RunInterrupted, ClaimLostError):
            raise
        except BaseException as error:  # what ends programs elsewhere, or cancels tasks, is the step's affair
            self._check_claim()  # a step fails by that, too, when its folder is taken away
            with self._scheduler._notes.forgetting():
                told, trace = (
                    without_secrets(text, self._scheduler.cfg)
                    for text in (f"{type(error).__name__}: {error}", traceback.format_exc())
                )
            failure = Failure(step=step.id, name=step.name, error=" ".join(told.split()), traceback=trace)
        finally:
            self._scheduler._notes.end_step(self._scheduler._kept())
            self._scheduler._scope = None
        if self._observed:
            record = self._ledger.record(position)
            outcome = Outcome(
                ok=failure is None,
                value=values.decode(record.value) if failure is None and record is not None else None,
                error=failure.error if failure is not None else None,
                seconds=time.time() - started,
                taken_from=record.taken.origin if record is not None and record.taken is not None else None,
            )
            self._notify("mml_step_finished", **shown, outcome=outcome)
        return Event(step.id, failure)

    def _show_metrics(self, step: PlanStep, metrics: MetricsView) -> None:
        view = step_view(self._scheduler, step)
        self._notify("mml_metrics_logged", run=self._shown["run"], step=view, metrics=metrics)

    def _attempt(self, step: PlanStep, position: int, started: float) -> None:
        scheduler = self._scheduler
        self._guard.check()
        self._check_claim()
        folder = self._begin(step)
        if folder is not None and self._take_over(position, folder, started):
            return
        scope = self._scope(position, folder)
        scope.guard = self._guard
        if scheduler.plugins.hook.mml_metrics_logged.get_hookimpls():
            scope.show_metrics = partial(self._show_metrics, step)
        if step.method == FINISH:
            scope.check_conflicts()
        scheduler.return_value = scope.inherited_return_value()
        scheduler._scope = scope
        scheduler._notes.begin_step(scheduler._kept())
        scheduler.fm.global_files.clear()
        seed_everything(scope.seed, scope.threads)
        if folder is None:
            value = self._call(step)
            self._ledger.commit(position, self._record(scope, 1, value, started, _unchanged, []), None)
            return
        with scheduler.fm.attempt(folder.path, f"{self._plan.run}/{step.id}") as attempt:
            with located_failures(folder.path):
                value = self._call(step)
            self._guard.check()  # what swallows an interruption has not done all it should
            with self._guard.deferred():
                artefacts = attempt.seal()
                record = self._record(scope, folder.number, value, started, attempt.rewrite, artefacts)
                self._check_claim()
                committed = self._ledger.commit(position, record, folder.path)
        with self._guard.deferred():
            self._settle_attempt(folder, record, committed=committed)

    def _take_over(self, position: int, folder: AttemptFolder, started: float) -> bool:
        """Commit what another run has done of a step, where ``reuse.auto`` says so and nothing differs."""
        scheduler = self._scheduler
        projects = scheduler.fm.taken_over_from
        if self._run is None or not projects or not scheduler.declares_reuse_safe():
            return False
        if scheduler._notes.library is None:
            scheduler._notes.library = Library(projects, self._run.path)
        offer = find_offer(
            scheduler._notes.library,
            self._plan,
            position,
            scheduler._runs_with(),
            lambda: self._scope(position, folder),
            scheduler.fm.global_path,
        )
        name = self._plan.steps[position].name
        if offer.candidate is None:
            log.debug("step %s is run: %s", name, offer.why_not)
            return False
        scope = self._scope(position, folder)
        scope.use_again(offer.candidate.record.inputs, scheduler.fm.global_path)
        record = taken_over(
            offer.candidate,
            scope,
            scheduler.fm.project_path,
            attempt=folder.number,
            environment=self._environment(),
            started=started,
        )
        with self._guard.deferred():
            self._check_claim()
            committed = self._ledger.commit(position, record, folder.path)
            self._settle_attempt(folder, record, committed=committed)
        log.info("step %s is taken over from %s", name, offer.candidate)
        return True

    def _scope(self, position: int, folder: AttemptFolder | None) -> StepScope:
        return step_scope(self._scheduler, self._plan, self._ledger, self._contents, position, folder)

    def _settle_attempt(self, folder: AttemptFolder, record: StepRecord, *, committed: bool) -> None:
        if committed:
            self._publish(record, folder.path)
        else:
            remove_folder(folder.path)
        if self._attempts is not None:
            self._attempts.forget(record.step)

    def _environment(self) -> str:
        """Return the name of the record of what steps run with here, which is written first."""
        if self._run is None:
            return ""
        if not self._environment_name:
            environment = self._scheduler._runs_with()
            environment.save(self._run.environments_path)
            self._environment_name = environment.name
        return self._environment_name

    def _check_claim(self) -> None:
        if self._lease is not None and self._lease.lost:
            raise ClaimLostError(self._lease)

    def _begin(self, step: PlanStep) -> AttemptFolder | None:
        if self._attempts is None:
            return None
        with self._guard.deferred():
            return self._attempts.begin(step.id)

    def _call(self, step: PlanStep) -> Any:
        method = getattr(self._scheduler, step.method)
        params = values.copy_of(step.params)
        value = method(**params) if isinstance(params, dict) else method(*params)
        return self._scheduler.return_value if step.method == FINISH else value

    def _record(
        self,
        scope: StepScope,
        attempt: int,
        value: Any,
        started: float,
        rewrite: Callable[[Any], Any],
        artefacts: list[Any],
    ) -> StepRecord:
        step = scope.step
        new_return_value = scope.new_return_value(rewrite(self._scheduler.return_value))
        returned = values.to_json_value(rewrite(value), f"What {step.name} returned")
        structs = scope.changed(rewrite)
        scope.check_own(structs, artefacts)
        for key, path in self._scheduler.fm.global_files.items():
            scope.global_path(key, path)
        return StepRecord(
            run=self._plan.run,
            step=step.id,
            method=step.method,
            params=msgspec.Raw(values.encode(values.to_json_value(step.params, "params"))),
            attempt=attempt,
            host=self._host,
            pid=os.getpid(),
            started=started,
            seconds=time.time() - started,
            seed=scope.seed,
            threads=scope.threads,
            value=msgspec.Raw(values.encode(returned)),
            sets_return_value=new_return_value is not None,
            return_value=msgspec.Raw(new_return_value or b"null"),
            artefacts=artefacts,
            structs=structs,
            inputs=scope.inputs(),
            reads=self._scheduler._notes.of_step(),
            environment=self._environment(),
        )

    def _publish(self, record: StepRecord, folder: Path) -> None:
        extra = None
        if record.artefacts and self._run is not None:
            extra = provenance_of(self._plan, record, self._run.environments_path)
        self._scheduler.fm.publish(record.artefacts, folder, run=record.run, step=record.step, extra=extra)
        self._contents.trust(record)


def step_scope(
    scheduler: AbstractBaseScheduler,
    plan: Plan,
    ledger: Ledger,
    contents: Contents,
    position: int,
    folder: AttemptFolder | None = None,
) -> StepScope:
    """Return a fresh scope of the step at a position of the plan; ``folder``: that of the attempt, if any."""
    step = plan.steps[position]
    return StepScope(
        plan,
        ledger,
        position,
        project=scheduler.fm.project_path,
        load=scheduler._structs.copy,
        contents=contents,
        seed=step_seed(plan.seed, step.id),
        threads=plan.threads_of(step),
        attempt=folder.path if folder is not None else None,
        checkpoints=folder.checkpoints if folder is not None else (),
        return_value=scheduler._return_value_before_steps,
    )


def _unchanged(value: Any) -> Any:
    return value
