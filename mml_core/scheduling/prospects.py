"""Prospects: which steps of a plan could be taken over from other runs, and why the others could not."""

from __future__ import annotations

from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.inputs import Contents
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.take_over import Library, Offer, find_offer, taken_over
from mml_core.scheduling.worker import step_scope


def prospects_of(
    scheduler: AbstractBaseScheduler, plan: Plan, done: Ledger, run: RunDirectory | None
) -> dict[str, Offer]:
    """Return for each step that is not done whether it could be taken over, by id.

    Looked for in the projects of ``reuse.auto``, or in the run's own where that is not set. Files are looked
    for, but not compared. What rests on a step that has to be run is not known before that has run.

    Args:
        scheduler: The prepared scheduler.
        plan: The plan.
        done: What is done.
        run: The run's directory; None where it has not begun.
    """
    if not scheduler.declares_reuse_safe():
        why_not = f"{type(scheduler).__name__} does not declare itself reuse_safe"
        return {step.id: Offer(None, why_not) for step in plan}
    fm = scheduler.fm
    library = Library(fm.taken_over_from or (fm.project_path,), run.path if run is not None else None)
    supposed = Ledger(plan, None)  # what would be done if all were taken over that can be
    known = 0
    for position, record in done.records():
        supposed.commit(position, record, None)
        known |= 1 << position
    contents = Contents(fm.project_path, supposed, scheduler._notes.files)
    offers: dict[str, Offer] = {}
    for position, step in enumerate(plan.steps):
        if known >> position & 1:
            continue
        missing = next(plan.steps_of(plan.ancestors(position) & ~known), None)
        if missing is not None:
            offers[step.id] = Offer(None, f"not known before {missing.name} has run")
            continue
        environment = scheduler._runs_with()
        offer = find_offer(
            library,
            plan,
            position,
            environment,
            lambda at=position: step_scope(scheduler, plan, supposed, contents, at),  # type: ignore[misc]
            fm.global_path,
            content=False,
        )
        offers[step.id] = offer
        if offer.candidate is not None:
            scope = step_scope(scheduler, plan, supposed, contents, position)
            record = taken_over(
                offer.candidate, scope, fm.project_path, attempt=1, environment=environment.name, started=0.0
            )
            supposed.commit(position, record, None)
            known |= 1 << position
    return offers
