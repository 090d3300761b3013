"""Running a mode: start it, continue it, or show its plan."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from mml_core.config.locations import Locations
from mml_core.config.run_directory import claim_run_directory
from mml_core.errors import MMLError
from mml_core.files.layout import Layout
from mml_core.plugins.refs import load_ref
from mml_core.plugins.views import Outcome, RunView
from mml_core.scheduling import values
from mml_core.scheduling.attempts import Attempts
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.changes import StructState
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.continuing import apply_overrides
from mml_core.scheduling.driver import RunOutcome, drive
from mml_core.scheduling.executors import Executor, InProcessExecutor, SequentialExecutor
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.providers import providers_of
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.signals import RunInterrupted, SignalGuard
from mml_core.scheduling.worker import StepWorker

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

log = logging.getLogger(__name__)


class SchedulerTargetError(MMLError):
    """``mode.scheduler._target_`` is no scheduler."""


def scheduler_class(cfg: DictConfig) -> type[AbstractBaseScheduler]:
    """Return the scheduler that ``mode.scheduler._target_`` names, dotted or with a colon.

    Raises:
        SchedulerTargetError: It names something else than a subclass of AbstractBaseScheduler.
        RefError: It names nothing that can be imported.
    """
    target = OmegaConf.select(cfg, "mode.scheduler._target_")
    if not isinstance(target, str) or not target:
        raise SchedulerTargetError("mode.scheduler._target_ is not set; give a mode by --mode.")
    found = load_ref(target if ":" in target else ":".join(target.rsplit(".", 1)))
    if not isinstance(found, type) or not issubclass(found, AbstractBaseScheduler):
        raise SchedulerTargetError(
            f"mode.scheduler._target_ '{target}' is {found!r}; a subclass of AbstractBaseScheduler is needed."
        )
    return found


def run_mode(cfg: DictConfig, context: RunContext) -> RunOutcome:
    """Run a mode to its end, its first failure or an interruption.

    Args:
        cfg: The composed config.
        context: The surroundings; a ``run_dir`` in it is a folder made for this run.
    """

    def start(guard: SignalGuard) -> RunOutcome:
        context.plugins.check_conflicts(providers_of(cfg, context.plugins))
        cls = scheduler_class(cfg)
        if not _writes(cfg, context):
            scheduler = cls.prepare(cfg, replace(context, run_dir=None))
            return _run(scheduler, None, guard)
        run = RunDirectory((context.run_dir or claim_run_directory(_project_path(cfg, context))).resolve())
        with _claimed(run):
            run.describe(cfg, context)
            return _run(cls.prepare(cfg, replace(context, run_dir=run.path)), run, guard)

    return _guarded(start)


def run_scheduler(scheduler: AbstractBaseScheduler) -> RunOutcome:
    """Run a scheduler that was constructed directly."""
    context = cast(RunContext, scheduler._context)

    def start(guard: SignalGuard) -> RunOutcome:
        scheduler._prepare()
        if not _writes(scheduler.cfg, context):
            return _run(scheduler, None, guard)
        run = RunDirectory(context.run_dir or claim_run_directory(scheduler.fm.project_path))
        scheduler.fm.layout = Layout(scheduler.fm.project_path, run.id)
        with _claimed(run):
            run.describe(scheduler.cfg, context)
            return _run(scheduler, run, guard)

    return _guarded(start)


def continue_run(run_dir: Path, overrides: Sequence[str], plugins: PluginManager) -> RunOutcome:
    """Go on with a run at the step that was interrupted.

    Args:
        run_dir: The run's directory.
        overrides: Overrides that cannot change results.
        plugins: The plugins of this process.

    Raises:
        LeaseHeldError: A live process works on the run (exit 3).
        OverrideRefusedError: An override could change results.
    """
    run = RunDirectory(run_dir.resolve())

    def go_on(guard: SignalGuard) -> RunOutcome:
        finished = _finished(run)
        if finished is not None:
            return finished
        stored = run.config()
        cfg = apply_overrides(stored, overrides, plugins)
        plugins.check_conflicts(providers_of(cfg, plugins))
        cls = scheduler_class(cfg)
        with _claimed(run):
            finished = _finished(run)
            if finished is not None:
                return finished
            plan = run.load_plan()
            results = run.project_path.parent
            cfg.paths.results = str(results)
            locations = Locations(data=Path(cfg.paths.data), results=results)
            context = RunContext(plugins=plugins, locations=locations, run_dir=run.path)
            return _run(cls.prepare(cfg, context), run, guard, plan)

    return _guarded(go_on)


def plan_of(cfg: DictConfig, context: RunContext) -> list[dict[str, Any]]:
    """Return a row for each step of the run that would be started; nothing is written.

    Each row has ``id``, ``step`` (as a reader knows it), ``method``, ``params``, ``after`` (ids of the steps
    it waits for directly, None: all before it), ``waits_for`` (those not done, in words) and ``state``.
    """
    scheduler = scheduler_class(cfg).prepare(cfg, replace(context, run_dir=None))
    scheduler.fm.close()
    plan = _make_plan(scheduler, "", "")
    return _rows(plan, Ledger(plan, None))


def plan_of_run(run_dir: Path) -> list[dict[str, Any]]:
    """Return the rows of ``plan_of`` for a run that was begun; nothing is written."""
    plan = RunDirectory(run_dir).load_plan()
    if plan is None:
        return []
    ledger = Ledger(plan, RunDirectory(run_dir).steps_path)
    ledger.refresh()
    return _rows(plan, ledger)


def _rows(plan: Plan, ledger: Ledger) -> list[dict[str, Any]]:
    rows = []
    first_open = next((position for position in range(len(plan)) if position not in ledger), len(plan))
    for position, step in enumerate(plan.steps):
        if step.after is None:
            waits = "all before" if first_open < position else ""
        else:
            waits = ", ".join(plan.steps[parent].name for parent in step.after if parent not in ledger)
        state = "done" if position in ledger else "waiting" if waits else "ready"
        rows.append(
            {
                "id": step.id,
                "step": step.name,
                "method": step.method,
                "params": step.params,
                "after": None if step.after is None else [plan.steps[parent].id for parent in step.after],
                "waits_for": waits,
                "state": state,
            }
        )
    return rows


def _guarded(work: Callable[[SignalGuard], RunOutcome]) -> RunOutcome:
    try:
        with SignalGuard() as guard:
            return work(guard)
    except RunInterrupted as error:  # before there was a plan, or while the run was wound up
        return RunOutcome(
            None, None, "interrupted", exit_code=error.exit_code, message=f"The run was {error}."
        )


def _finished(run: RunDirectory) -> RunOutcome | None:
    done = run.done()
    if done is None:
        return None
    value = values.decode(done.return_value)
    return RunOutcome(
        value, run.path, "done", message=f"Run {run.id} is finished; there is nothing to continue."
    )


@contextmanager
def _claimed(run: RunDirectory) -> Iterator[None]:
    lease = run.claim()
    try:
        yield
    finally:
        lease.release()
        run.discard()


def _make_plan(scheduler: AbstractBaseScheduler, run_id: str, config_sha256: str) -> Plan:
    scheduler.create_routine()
    structs = {}
    reuse = scheduler.cfg.get("reuse") or {}
    if any(reuse.get(key) is not None for key in reuse if key != "clean_up"):
        for name in scheduler.cfg.task_list:
            state = StructState.of(scheduler.get_struct(name), scheduler.fm.project_path)
            structs[name] = {"paths": state.paths, "models": state.models}
    return Plan(
        run_id,
        scheduler._routine.steps(),
        seed=int(scheduler.cfg.get("seed", 42)),
        threads=int((scheduler.cfg.get("executor") or {}).get("threads") or 1),
        config_sha256=config_sha256,
        structs=structs,
    )


def _run(
    scheduler: AbstractBaseScheduler, run: RunDirectory | None, guard: SignalGuard, plan: Plan | None = None
) -> RunOutcome:
    started = time.time()
    mode = str((scheduler.cfg.get("mode") or {}).get("name") or "")
    view = RunView(
        id=run.id if run is not None else "",
        project=scheduler.fm.project_path.name,
        mode=mode,
        dir=run.path if run is not None else None,
    )
    notify = scheduler.plugins.notify
    try:
        if plan is None:
            sha256 = run.config_sha256() if run is not None else ""
            plan = _make_plan(scheduler, view.id, sha256)
            if run is not None:
                run.save_plan(plan)
        else:
            scheduler._routine.restore(plan.steps)
        scheduler._reuse_of_plan = plan.structs
        notify("mml_run_started", run=view)
        outcome = _drive(scheduler, plan, run, guard)
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
    scheduler: AbstractBaseScheduler, plan: Plan, run: RunDirectory | None, guard: SignalGuard
) -> RunOutcome:
    ledger = Ledger(plan, run.steps_path if run is not None else None)
    ledger.refresh()
    attempts = Attempts(run.attempts_path) if run is not None else None
    worker = StepWorker(scheduler, plan, ledger, attempts, guard)
    executor = _executor(scheduler)
    if isinstance(executor, InProcessExecutor):
        executor.attach(worker.work)
    run_dir = run.path if run is not None else None
    try:
        worker.settle()
        failures = drive(
            plan,
            ledger,
            executor,
            run_dir,
            on_error=str(scheduler.cfg.get("on_error") or "stop"),
            retries=int(scheduler.cfg.get("retries") or 0),
        )
        if run is not None:
            run.save_failures(failures)
        if failures:
            done = f"{len(ledger)} of {len(plan)} steps are done"
            named = "; ".join(f"step {each.name} failed: {each.error}" for each in failures)
            hint = f" Continue by: {run.continue_command}" if run is not None else ""
            message = f"{named[0].upper()}{named[1:]} ({done}).{hint}"
            for each in failures:
                log.debug("%s", each.traceback)
            return RunOutcome(None, run_dir, "failed", tuple(failures), exit_code=1, message=message)
        return _finish(scheduler, plan, ledger, run, guard)
    except RunInterrupted as error:
        hint = f" Continue by: {run.continue_command}" if run is not None else ""
        message = f"The run was {error} ({len(ledger)} of {len(plan)} steps are done).{hint}"
        return RunOutcome(None, run_dir, "interrupted", exit_code=error.exit_code, message=message)
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


def _executor(scheduler: AbstractBaseScheduler) -> Executor:
    name = (scheduler.cfg.get("executor") or {}).get("name") or "sequential"
    if name == "sequential":
        return SequentialExecutor(scheduler.cfg)
    made = load_ref(scheduler.plugins.executors.get(name).target)(scheduler.cfg)
    return cast(Executor, made)


def _writes(cfg: Any, context: RunContext) -> bool:
    if context.writes is not None:
        return context.writes
    from mml_core.config.validation import mode_writes

    return mode_writes(cfg, context.plugins) if isinstance(cfg, DictConfig) else True


def _project_path(cfg: DictConfig, context: RunContext) -> Path:
    paths = cfg.get("paths") or {}
    return Path(paths.get("results") or context.locations.results).resolve() / str(
        cfg.get("proj") or "default"
    )
