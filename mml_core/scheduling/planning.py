"""Plans: making that of a run, and showing one without running it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mml_core.errors import MMLError
from mml_core.files.reuse import AUTO, CLEAN_UP
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.changes import StructState
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.fingerprints import config_values
from mml_core.scheduling.inputs import Contents, Hashes, TaskInput, task_input
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Basis, Plan
from mml_core.scheduling.prospects import prospects_of
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.take_over import Offer
from mml_core.scheduling.target import scheduler_class
from mml_core.tasks.struct import TaskStruct


def make_plan(scheduler: AbstractBaseScheduler, run_id: str, config_sha256: str) -> Plan:
    """Let a prepared scheduler plan its steps, and note what reuse gives its tasks now."""
    cfg = scheduler._plan_cfg
    scheduler._notes.begin_planning()
    scheduler.create_routine()
    reads, taken = scheduler._notes.end_planning()
    tasks = {name: scheduler.get_struct(name) for name in taken}
    structs = {}
    reuse = cfg.get("reuse") or {}
    if any(reuse.get(key) is not None for key in reuse if key not in (CLEAN_UP, AUTO)):
        for name in cfg.task_list:
            state = StructState.of(scheduler.get_struct(name), scheduler.fm.project_path)
            structs[name] = {"paths": state.paths, "models": state.models}
    return Plan(
        run_id,
        scheduler._routine.steps(),
        seed=int(cfg.get("seed", 42)),
        threads=int((cfg.get("executor") or {}).get("threads") or 1),
        config_sha256=config_sha256,
        structs=structs,
        basis=Basis(
            scheduler=f"{type(scheduler).__module__}:{type(scheduler).__qualname__}",
            reads=reads,
            config=config_values(cfg),
            tasks=_task_inputs(scheduler, tasks),
        ),
        notices=scheduler._notes.notices,
    )


def _task_inputs(scheduler: AbstractBaseScheduler, structs: Mapping[str, TaskStruct]) -> dict[str, TaskInput]:
    project = scheduler.fm.project_path
    nothing_done = Ledger(Plan("", (), seed=0), None)
    hashes = Hashes(Contents(project, nothing_done, scheduler._notes.files), project)
    return {
        name: task_input(struct.description, hashes.of_state(StructState.of(struct, project)))
        for name, struct in structs.items()
    }


def plan_of(cfg: DictConfig, context: RunContext) -> list[dict[str, Any]]:
    """Return a row for each step of the run that would be started; nothing is written.

    Each row has ``id``, ``step`` (as a reader knows it), ``method``, ``params``, ``after`` (ids of the steps
    it waits for directly, None: all before it), ``waits_for`` (those not done, in words), ``needs`` (its
    resources), ``state`` (``done``, ``ready``, ``waiting``, ``failed`` or ``reusable from …``),
    ``reusable_from`` (``project`` and ``run``, or None) and ``why_not`` (why it has to be run).
    """
    scheduler = scheduler_class(cfg, context.plugins).prepare(cfg, replace(context, run_dir=None))
    try:
        plan = make_plan(scheduler, "", "")
        ledger = Ledger(plan, None)
        offers = prospects_of(scheduler, plan, ledger, None)
    finally:
        scheduler.fm.close()
    return _rows(plan, ledger, offers)


def plan_of_run(run_dir: Path, *, look_elsewhere: bool = False) -> list[dict[str, Any]]:
    """Return the rows of ``plan_of`` for a run that was begun; nothing is written.

    Args:
        run_dir: The run's directory.
        look_elsewhere: Whether to look for other runs from which steps that are not done can be taken over.
    """
    run = RunDirectory(run_dir)
    plan = run.load_plan()
    if plan is None:
        return []
    ledger = Ledger(plan, run.steps_path)
    ledger.refresh()
    return plan_rows(run, plan, ledger, look_elsewhere=look_elsewhere)


def plan_rows(
    run: RunDirectory, plan: Plan, ledger: Ledger, *, look_elsewhere: bool = False
) -> list[dict[str, Any]]:
    """The same where the plan and what is done of it have been read."""
    offers = _offers_elsewhere(run, plan, ledger) if look_elsewhere and len(ledger) < len(plan) else {}
    return _rows(plan, ledger, offers, {failure.step for failure in run.failures()})


def _offers_elsewhere(run: RunDirectory, plan: Plan, ledger: Ledger) -> dict[str, Offer]:
    from mml_core.scheduling.opening import open_run

    try:
        scheduler = open_run(run.path).scheduler()
    except MMLError as error:  # the plan can be shown all the same
        return {step.id: Offer(None, str(error)) for step in plan}
    try:
        return prospects_of(scheduler, plan, ledger, run)
    finally:
        scheduler.fm.close()


def _rows(
    plan: Plan, ledger: Ledger, offers: Mapping[str, Offer], failed: Collection[str] = ()
) -> list[dict[str, Any]]:
    rows = []
    first_open = next((position for position in range(len(plan)) if position not in ledger), len(plan))
    for position, step in enumerate(plan.steps):
        if step.after is None:
            waits = "all before" if first_open < position else ""
        else:
            waits = ", ".join(plan.steps[parent].name for parent in step.after if parent not in ledger)
        needs = {"threads": plan.threads, **step.resources}
        offer = offers.get(step.id, Offer(None))
        if position in ledger:
            state = "done"
        elif offer.candidate is not None:
            state = f"reusable from {offer.candidate}"
        else:
            state = "failed" if step.id in failed else "waiting" if waits else "ready"
        rows.append(
            {
                "id": step.id,
                "step": step.name,
                "method": step.method,
                "params": step.params,
                "after": None if step.after is None else [plan.steps[parent].id for parent in step.after],
                "waits_for": waits,
                "needs": ", ".join(f"{key} {amount:g}" for key, amount in needs.items()),
                "resources": needs,
                "state": state,
                "reusable_from": offer.candidate.origin if offer.candidate is not None else None,
                "why_not": offer.why_not,
            }
        )
    return rows
