"""Running a mode: start it, or go on with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from omegaconf import DictConfig

from mml_core.config.locations import Locations
from mml_core.config.run_directory import claim_run_directory
from mml_core.config.validation import check_running, mode_writes
from mml_core.errors import MMLError
from mml_core.plugins.refs import load_ref
from mml_core.plugins.views import Outcome, RunView
from mml_core.scheduling import values
from mml_core.scheduling.attempts import Attempts
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.continuing import apply_overrides
from mml_core.scheduling.driver import RunOutcome, drive
from mml_core.scheduling.executors import Executor, InProcessExecutor, SequentialExecutor
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.planning import make_plan
from mml_core.scheduling.providers import providers_of
from mml_core.scheduling.run_directory import Failure, RunDirectory
from mml_core.scheduling.signals import RunInterrupted, SignalGuard
from mml_core.scheduling.streams import outlasting_readers
from mml_core.scheduling.target import scheduler_class
from mml_core.scheduling.worker import ClaimLostError, StepWorker
from mml_core.storage.leases import Lease

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
        cls = scheduler_class(cfg)
        return _start(cfg, context, lambda joined: cls.prepare(cfg, joined), guard)

    return _guarded(start)


def run_scheduler(scheduler: AbstractBaseScheduler) -> RunOutcome:
    """Run a scheduler that was constructed directly."""
    if scheduler._prepared:
        raise MMLError(f"This {type(scheduler).__name__} has run already; make a new one for another run.")
    cfg, context = scheduler._given_cfg, cast(RunContext, scheduler._context)
    return _guarded(lambda guard: _start(cfg, context, scheduler._enter, guard))


def continue_run(run_dir: Path, overrides: Sequence[str], plugins: PluginManager) -> RunOutcome:
    """Go on with a run at the step that was interrupted.

    Args:
        run_dir: The run's directory.
        overrides: Overrides that cannot change results.
        plugins: The plugins of this process.

    Raises:
        LeaseHeldError: A live process works on the run (exit 3).
        OverrideRefusedError: An override could change results.
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
            cfg = apply_overrides(run.config(), overrides, plugins)
            check_running(cfg, plugins)
            plugins.check_conflicts(providers_of(cfg, plugins))
            results = run.project_path.parent
            cfg.paths.results = str(results)
            locations = Locations(data=Path(cfg.paths.data), results=results)
            context = RunContext(plugins=plugins, locations=locations, run_dir=run.path)
            return _run(scheduler_class(cfg).prepare(cfg, context), run, guard, lease, plan)

    return _guarded(go_on)


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
    view = RunView(
        id=run.id if run is not None else "",
        project=scheduler.fm.project_path.name,
        mode=str((scheduler.cfg.get("mode") or {}).get("name") or ""),
        dir=run.path if run is not None else None,
    )
    notify = scheduler.plugins.notify
    try:
        if plan is None:
            plan = make_plan(scheduler, view.id, run.config_sha256() if run is not None else "")
            if run is not None:
                run.save_plan(plan)
        else:
            scheduler._routine.restore(plan.steps)
        scheduler._reuse_of_plan = plan.structs
        notify("mml_run_started", run=view)
        outcome = _drive(scheduler, plan, run, guard, lease)
        notify(
            "mml_run_finished",
            run=view,
            outcome=Outcome(
                ok=outcome.state == "done",
                value=outcome.value,
                error=outcome.message if outcome.state != "done" else None,
                seconds=time.time() - started,
            ),
        )
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
    attempts = Attempts(run.attempts_path) if run is not None else None
    worker = StepWorker(scheduler, plan, ledger, attempts, guard, lease)
    executor = _executor(scheduler)
    if isinstance(executor, InProcessExecutor):
        executor.attach(worker.work)
    run_dir = run.path if run is not None else None
    try:
        worker.settle()
        if run is not None:
            run.save_failures([])
        failures = drive(
            plan,
            ledger,
            executor,
            run_dir,
            on_error=str(scheduler.cfg.get("on_error") or "stop"),
            retries=int(scheduler.cfg.get("retries") or 0),
        )
        if not failures:
            return _finish(scheduler, plan, ledger, run, guard)
        if run is not None:
            run.save_failures(failures)
        return _failed(failures, f"{len(ledger)} of {len(plan)} steps are done", run)
    except RunInterrupted as error:
        message = f"The run was {error} ({len(ledger)} of {len(plan)} steps are done).{_hint(run)}"
        return RunOutcome(None, run_dir, "interrupted", exit_code=error.exit_code, message=message)
    except ClaimLostError as error:
        return RunOutcome(None, run_dir, "interrupted", exit_code=error.exit_code, message=str(error))
    finally:
        executor.close()


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


def _executor(scheduler: AbstractBaseScheduler) -> Executor:
    name = (scheduler.cfg.get("executor") or {}).get("name") or "sequential"
    if name == "sequential":
        return SequentialExecutor(scheduler.cfg)
    made = load_ref(scheduler.plugins.executors.get(name).target)(scheduler.cfg)
    return cast(Executor, made)
