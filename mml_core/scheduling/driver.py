"""Driving a plan to its end: which steps are ready, what a failure leaves, and how the run ended."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mml_core.errors import StepFailedError
from mml_core.scheduling.executors import Executor
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_directory import Failure


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended in this process.

    Attributes:
        value: What the run returned; None unless it is done.
        run_dir: Its directory; None where nothing was written.
        state: ``done``, ``failed`` or ``interrupted``.
        failures: The steps that failed.
        exit_code: What the process exits with.
        message: What to tell the user, one line; empty where there is nothing to say.
    """

    value: Any
    run_dir: Path | None
    state: str
    failures: tuple[Failure, ...] = field(default=())
    exit_code: int = 0
    message: str = ""

    def raise_unless_done(self) -> RunOutcome:
        """Return the outcome of a finished run.

        Raises:
            StepFailedError: A step failed.
            SystemExit: The run was interrupted.
        """
        if self.state == "failed":
            raise StepFailedError(self.message)
        if self.state == "interrupted":
            raise SystemExit(self.exit_code)
        return self


class Frontier:
    """Tells which steps of a plan can be started, in time that does not grow with the plan.

    Args:
        plan: The plan.
        ledger: What is done already.
    """

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self._plan = plan
        self._done = bytearray(len(plan))
        self._prefix = 0
        self._barrier = -1
        self._missing: dict[int, int] = {}
        self._children: dict[int, list[int]] = {}
        self._ready: list[int] = []
        for position in range(len(plan)):
            self._done[position] = position in ledger
        for position, step in enumerate(plan.steps):
            if self._done[position] or step.after is None:
                continue
            missing = [parent for parent in step.after if not self._done[parent]]
            self._missing[position] = len(missing)
            for parent in missing:
                self._children.setdefault(parent, []).append(position)
            if not missing:
                self._ready.append(position)
        self._advance()

    def next(self) -> int | None:
        """The first step in plan order that can be started and was not yet given; None: none can now."""
        return heapq.heappop(self._ready) if self._ready else None

    def finish(self, position: int) -> None:
        """Note that a step is committed."""
        self._done[position] = 1
        for child in self._children.pop(position, ()):
            self._missing[child] -= 1
            if not self._missing[child]:
                heapq.heappush(self._ready, child)
        self._advance()

    def _advance(self) -> None:
        while self._prefix < len(self._done) and self._done[self._prefix]:
            self._prefix += 1
        at = self._prefix
        # A barrier is ready when all before it is done, which is seen once: when the prefix reaches it.
        if at > self._barrier and at < len(self._done) and self._plan.steps[at].after is None:
            self._barrier = at
            heapq.heappush(self._ready, at)


def drive(
    plan: Plan, ledger: Ledger, executor: Executor, run_dir: Path | None, *, on_error: str, retries: int
) -> list[Failure]:
    """Start steps until all are committed or nothing more can be done; return what failed."""
    frontier = Frontier(plan, ledger)
    running: dict[str, Any] = {}
    tries: dict[str, int] = {}
    failures: list[Failure] = []
    while True:
        while len(running) < executor.capacity and not (failures and on_error == "stop"):
            position = frontier.next()
            if position is None:
                break
            step = plan.steps[position]
            running[step.id] = executor.start(run_dir, step.id, step.resources)
        if not running:
            return failures
        for event in executor.poll():
            running.pop(event.step_id, None)
            position = plan.position(event.step_id)
            assert position is not None
            if event.failure is None:
                frontier.finish(position)
                continue
            tries[event.step_id] = tries.get(event.step_id, 0) + 1
            if tries[event.step_id] <= retries:
                step = plan.steps[position]
                running[step.id] = executor.start(run_dir, step.id, step.resources)
            else:
                failures.append(event.failure)
