"""Running a mode: start it, or go on with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig

from mml_core.config.run_directory import claim_run_directory
from mml_core.config.validation import mode_writes
from mml_core.errors import MMLError
from mml_core.plugins.views import Outcome
from mml_core.scheduling import values
from mml_core.scheduling.attempts import Attempts
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.claims import StepClaims
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.driver import Driver, RunOutcome
from mml_core.scheduling.executors import Executor, InProcessExecutor, SequentialExecutor
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.observing import run_view
from mml_core.scheduling.opening import open_run, reopen
from mml_core.scheduling.pilot import Pilot, SharedRun, drives_alone
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.planning import make_plan
from mml_core.scheduling.providers import providers_of
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.run_records import Failure, is_shared
from mml_core.scheduling.signals import RunInterrupted, SignalGuard
from mml_core.scheduling.streams import outlasting_readers
from mml_core.scheduling.target import executor_class, scheduler_class
from mml_core.scheduling.worker import ClaimLostError, StepWorker
from mml_core.storage.leases import Lease, LeaseHeldError, read_owner

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

# For the run's log file, whose handler takes everything; the console's does not.
_tracebacks = logging.getLogger(f"{__name__}.tracebacks")
_tracebacks.setLevel(logging.DEBUG)


def run_mode(cfg: DictConfig, context: RunContext) -> RunOutcome:
    """Run a mode to its end, its first failure or an interruption.

    Args:
        cfg: The composed config.
        context: The surroundings; a ``run_dir`` in it is a folder made for this run.
    """

    def start(guard: SignalGuard) -> RunOutcome:
        context.plugins.check_conflicts(providers_of(cfg, context.plugins))
        cls = scheduler_class(cfg, context.plugins)
        return _start(cfg, context, lambda joined: cls.prepare(cfg, joined), guard)

    return _guarded(start)


def run_scheduler(scheduler: AbstractBaseScheduler) -> RunOutcome:
    """Run a scheduler that was constructed directly."""
    if scheduler._prepared:
        raise MMLError(f"This {type(scheduler).__name__} has run already; make a new one for another run.")
    cfg, context = scheduler._given_cfg, cast(RunContext, scheduler._context)
    return _guarded(lambda guard: _start(cfg, context, scheduler._enter, guard))


def continue_run(
    run_dir: Path, overrides: Sequence[str], plugins: PluginManager, *, accept_changes: bool = False
) -> RunOutcome:
    """Go on with a run at the step that was interrupted.

    Args:
        run_dir: The run's directory.
        overrides: Overrides that cannot change results.
        plugins: The plugins of this process.
        accept_changes: Whether to go on where versions have changed since the run began; it is noted then.

    Raises:
        LeaseHeldError: A live process works on the run (exit 3).
        OverrideRefusedError: An override could change results.
        VersionsChangedError: mml, torch or a plugin that the run uses is of another version now.
        DamagedRecordError: The stored config or plan is not what was written.
    """
    run = RunDirectory(run_dir.resolve())

    def go_on(guard: SignalGuard) -> RunOutcome:
        finished = _finished(
            run
        )  # asked before the claim, so that a finished run can lie on a read-only disk
        if finished is not None:
            return finished
        with run.claim() as lease:
            finished = _finished(run)
            if finished is not None:
                return finished
            plan = run.load_plan()
            opened = reopen(run, plan, overrides, plugins, accept_changes=accept_changes)
            return _run(opened.scheduler(), run, guard, lease, plan)

    return _guarded(go_on)


def work_on(run_dir: Path) -> RunOutcome:
    """Do steps of a run beside whoever drives it, until none is left that this process could begin.

    Where nobody drives the run and all its steps are committed, it is wound up.

    Raises:
        LeaseHeldError: A process drives the run and lets no other in (exit 3).
    """
    run = RunDirectory(run_dir.resolve())

    def join(guard: SignalGuard) -> RunOutcome:
        finished = _finished(run)
        if finished is not None:
            return finished
        opened = open_run(run.path)
        plan = opened.steps
        if drives_alone(run):
            raise LeaseHeldError(run.lease_path, read_owner(run.lease_path))
        scheduler = opened.scheduler()
        pilot = Pilot(run, plan, scheduler, guard)
        executor = SequentialExecutor(opened.cfg)
        executor.attach(pilot.do)
        pilot.ledger.refresh()
        others = SharedRun(run, pilot)
        driver = Driver(plan, pilot.ledger, executor, run, **_policy(opened.cfg), others=others, leave=True)
        try:
            failures = driver.drive()
            progress = f"{len(pilot.ledger)} of {len(plan)} steps are done"
            if failures:
                return _failed(failures, progress, run)
            if driver.finished:
                with suppress(LeaseHeldError), run.claim():
                    if run.done() is None:
                        return _finish(scheduler, plan, pilot.ledger, run, guard)
            return RunOutcome(None, run.path, "left", message=f"Nothing is left to begin here; {progress}.")
        finally:
            scheduler.fm.close()

    return _guarded(join)


def _guarded(work: Callable[[SignalGuard], RunOutcome]) -> RunOutcome:
    try:
        with SignalGuard() as guard, outlasting_readers():
            return work(guard)
    except RunInterrupted as error:  # before there was a plan, or while the run was wound up
        return RunOutcome(
            None, None, "interrupted", exit_code=error.exit_code, message=f"The run was {error}."
        )


def _start(
    cfg: DictConfig,
    context: RunContext,
    make: Callable[[RunContext], AbstractBaseScheduler],
    guard: SignalGuard,
) -> RunOutcome:
    writes = mode_writes(cfg, context.plugins) if context.writes is None else context.writes
    if not writes:
        return _run(make(replace(context, run_dir=None)), None, guard, None)
    project = (context.locations.results / str(cfg.get("proj") or "default")).resolve()
    run = RunDirectory((context.run_dir or claim_run_directory(project)).resolve())
    run.check_new(project)
    with _new(run) as lease:
        run.describe(cfg, context)
        return _run(make(replace(context, run_dir=run.path)), run, guard, lease)


@contextmanager
def _new(run: RunDirectory) -> Iterator[Lease]:
    """Claim a new run; its directory goes again where nothing comes of it."""
    try:
        with run.claim() as lease:
            yield lease
    finally:
        run.discard()


def _finished(run: RunDirectory) -> RunOutcome | None:
    done = run.done()
    if done is None:
        return None
    value = values.decode(done.return_value)
    return RunOutcome(
        value, run.path, "done", message=f"Run {run.id} is finished; there is nothing to continue."
    )


def _run(
    scheduler: AbstractBaseScheduler,
    run: RunDirectory | None,
    guard: SignalGuard,
    lease: Lease | None,
    plan: Plan | None = None,
) -> RunOutcome:
    started = time.time()
    view = run_view(scheduler, run)
    notify = scheduler.plugins.notify
    try:
        if plan is None:
            plan = make_plan(scheduler, view.id, run.config_sha256() if run is not None else "")
            if run is not None:
                run.save_plan(plan)
        scheduler._structs.of_plan = plan.structs
        notify("mml_run_started", run=view)
        ended = Outcome(ok=False, value=None, error=None, seconds=0.0)
        try:
            outcome = _drive(scheduler, plan, run, guard, lease)
            failed = outcome.state != "done"
            ended = replace(
                ended,
                ok=not failed,
                value=outcome.value,
                error=outcome.message if failed else None,
                interrupted=outcome.state == "interrupted",
            )
        except BaseException as error:
            ended = replace(ended, error=" ".join(f"{type(error).__name__}: {error}".split()))
            raise
        finally:
            seconds = time.time() - started
            notify("mml_run_finished", run=view, outcome=replace(ended, seconds=seconds))
        return outcome
    finally:
        scheduler.fm.close()


def _drive(
    scheduler: AbstractBaseScheduler,
    plan: Plan,
    run: RunDirectory | None,
    guard: SignalGuard,
    lease: Lease | None,
) -> RunOutcome:
    ledger = Ledger(plan, run.steps_path if run is not None else None)
    executor = _executor(scheduler, run)
    run_dir = run.path if run is not None else None
    try:
        others = _settle(scheduler, plan, ledger, run, guard, lease, executor)
        driver = Driver(plan, ledger, executor, run, **_policy(scheduler.cfg), others=others)
        failures = driver.drive()
        if not failures:
            if lease is not None and lease.lost:
                raise ClaimLostError(lease)
            return _finish(scheduler, plan, ledger, run, guard)
        if run is not None:
            for failure in failures:
                run.note_failure(failure)
        return _failed(failures, f"{len(ledger)} of {len(plan)} steps are done", run)
    except RunInterrupted as error:
        message = f"The run was {error} ({len(ledger)} of {len(plan)} steps are done).{_hint(run)}"
        return RunOutcome(None, run_dir, "interrupted", exit_code=error.exit_code, message=message)
    except ClaimLostError as error:
        return RunOutcome(None, run_dir, "interrupted", exit_code=error.exit_code, message=str(error))
    finally:
        executor.close()


def _settle(
    scheduler: AbstractBaseScheduler,
    plan: Plan,
    ledger: Ledger,
    run: RunDirectory | None,
    guard: SignalGuard,
    lease: Lease | None,
    executor: Executor,
) -> SharedRun | None:
    """Finish what dead processes left, prepare the executor, and return what is seen of others if any."""
    attempts = Attempts(run.attempts_path) if run is not None else None
    others = None
    if run is not None and attempts is not None:
        run.forget_failures()
        claims = StepClaims(run.claims_path)
        held = claims.live()
        attempts.leave(held)
        if held or not isinstance(executor, InProcessExecutor):
            others = SharedRun(run, Pilot(run, plan, scheduler, guard))
        ledger.refresh()
    worker = StepWorker(scheduler, plan, ledger, attempts, guard, lease)
    worker.settle()
    if isinstance(executor, InProcessExecutor):
        executor.attach(worker.work)
    return others


def _finish(
    scheduler: AbstractBaseScheduler, plan: Plan, ledger: Ledger, run: RunDirectory | None, guard: SignalGuard
) -> RunOutcome:
    record = ledger.record(len(plan) - 1)
    assert record is not None
    value = values.decode(record.value)
    scheduler.return_value = value
    if run is None:
        return RunOutcome(value, None, "done")
    scheduler.fm.clean_up(artefact for _, each in ledger.records() for artefact in each.artefacts)
    with guard.deferred():
        run.finish(value)
    return RunOutcome(value, run.path, "done")


def _failed(failures: Sequence[Failure], progress: str, run: RunDirectory | None) -> RunOutcome:
    for each in failures:
        _tracebacks.debug("step %s failed:\n%s", each.name, each.traceback)
    named = "; ".join(f"step {each.name} failed: {each.error}" for each in failures)
    message = f"{named[0].upper()}{named[1:]} ({progress}).{_hint(run)}"
    run_dir = run.path if run is not None else None
    return RunOutcome(None, run_dir, "failed", tuple(failures), exit_code=1, message=message)


def _hint(run: RunDirectory | None) -> str:
    return f" Continue by: {run.continue_command}" if run is not None else ""


def _executor(scheduler: AbstractBaseScheduler, run: RunDirectory | None) -> Executor:
    if run is None or not is_shared(
        scheduler.cfg
    ):  # what writes nothing has no records that others could see
        return SequentialExecutor(scheduler.cfg)
    return cast(Executor, executor_class(scheduler.cfg, scheduler.plugins)(scheduler.cfg))


def _policy(cfg: DictConfig) -> dict[str, Any]:
    return {"on_error": str(cfg.get("on_error") or "stop"), "retries": int(cfg.get("retries") or 0)}
