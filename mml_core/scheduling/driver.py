"""Driving a plan to its end: which steps are ready, what a failure leaves, and how the run ended."""

from __future__ import annotations

import heapq
import logging
import time
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mml_core.errors import StepFailedError
from mml_core.scheduling.executors import Event, Executor
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.run_records import Failure

log = logging.getLogger(__name__)

DEATHS = 3
"""So many workers may die over one step before it counts as failed."""

_LOOK_AGAIN = 0.5
"""Seconds between two looks at the steps that other processes do."""


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
        unsettled: Ids of steps that do not count as done, as files that they committed are not in place.
    """

    def __init__(self, plan: Plan, ledger: Ledger, unsettled: Container[str] = ()) -> None:
        self._plan = plan
        self._done = bytearray(len(plan))
        self._prefix = 0
        self._barrier = -1
        self._missing: dict[int, int] = {}
        self._children: dict[int, list[int]] = {}
        self._ready: list[int] = []
        for position, step in enumerate(plan.steps):
            self._done[position] = position in ledger and step.id not in unsettled
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

    @property
    def left(self) -> int:
        """How many steps are not committed."""
        return len(self._done) - self._done.count(1)

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


class Others(Protocol):
    """What is seen of other processes that work on the run."""

    def unsettled(self) -> Container[str]:
        """Ids of steps that are under way, or dead, or committed with files that are not in place."""

    def settled(self, step_id: str) -> bool:
        """Whether all files of a committed step are in place."""

    def is_held(self, step_id: str) -> bool:
        """Whether a live process works on a step."""


class Driver:
    """Starts steps until all are committed or nothing more can be done.

    Args:
        plan: The run's plan.
        ledger: The run's ledger.
        executor: What does the steps.
        run: The run's directory; None for a mode that writes nothing.
        on_error: ``stop`` or ``continue``: what happens to the other steps when one fails.
        retries: How often a failed step is tried again.
        others: The other processes that may work on the run; None: there are none.
        leave: Whether to leave the last steps to the processes that hold them.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        executor: Executor,
        run: RunDirectory | None,
        *,
        on_error: str,
        retries: int,
        others: Others | None = None,
        leave: bool = False,
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._executor = executor
        self._run = run
        self._stops = on_error == "stop"
        self._retries = retries
        self._others = others
        self._leave = leave
        self._frontier = Frontier(plan, ledger, others.unsettled() if others is not None else ())
        self._running: dict[str, Any] = {}
        self._held: set[str] = set()
        self._looked = 0.0
        self._tries: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()
        self.failures: list[Failure] = []

    @property
    def finished(self) -> bool:
        """Whether all steps are committed and their files in place."""
        return not self._frontier.left

    def drive(self) -> list[Failure]:
        """Return what failed; an empty list where all is committed, or left to others."""
        while True:
            self._hand_out()
            if self._running:
                for event in self._executor.poll():
                    self._running.pop(event.step_id, None)
                    self._ended(event)
            elif not self._held or (self._leave and self._frontier.left <= len(self._held) + 1):
                return self.failures
            self._look_at_held()

    def _hand_out(self) -> None:
        while len(self._running) < self._executor.capacity and not (self.failures and self._stops):
            position = self._frontier.next()
            if position is None:
                return
            if self._others is None or not self._is_done(position):
                self._start(self._plan.steps[position].id)

    def _start(self, step_id: str) -> None:
        position = self._plan.position(step_id)
        assert position is not None
        step = self._plan.steps[position]
        needs = {"threads": self._plan.threads, **step.resources}
        run_dir = self._run.path if self._run is not None else None
        self._running[step_id] = self._executor.start(run_dir, step_id, needs)

    def _is_done(self, position: int) -> bool:
        """Note a step that is committed; one that is still being published counts as held."""
        if self._ledger.look_up(position) is None:
            return False
        step_id = self._plan.steps[position].id
        if self._others is None or self._others.settled(step_id):
            self._frontier.finish(position)
        else:
            self._held.add(step_id)
        return True

    def _ended(self, event: Event) -> None:
        step_id = event.step_id
        position = self._plan.position(step_id)
        assert position is not None
        if event.failure is None:
            if self._is_done(position):
                return
            if self._others is not None and self._others.is_held(step_id):
                self._held.add(step_id)  # how it failed before is of no concern while it is tried again
                return
        failure = event.failure or (self._run.failure(step_id) if self._run is not None else None)
        if failure is not None:
            self._failed(failure)
        else:
            self._died(step_id, event.how or "ended without a word")

    def _failed(self, failure: Failure) -> None:
        self._tries[failure.step] += 1
        if self._tries[failure.step] <= self._retries:
            log.warning("step %s failed: %s; trying it again", failure.name, failure.error)
            if self._run is not None:
                self._run.forget_failure(failure.step)
            self._start(failure.step)
            return
        self.failures.append(failure)
        if self._stops:
            for step_id, handle in list(self._running.items()):
                if self._executor.cancel(handle):
                    del self._running[step_id]

    def _died(self, step_id: str, how: str) -> None:
        position = self._plan.position(step_id)
        assert position is not None
        name = self._plan.steps[position].name
        self._deaths[step_id] += 1
        if self._deaths[step_id] < DEATHS:
            log.warning("the worker of step %s %s; starting the step again", name, how)
            self._start(step_id)
        else:
            error = f"its worker {how} ({DEATHS} times)"
            self._tries[step_id] = self._retries
            self._failed(Failure(step=step_id, name=name, error=error))

    def _look_at_held(self) -> None:
        if not self._held:
            return
        if not self._running:
            time.sleep(_LOOK_AGAIN)
        elif time.monotonic() - self._looked < _LOOK_AGAIN:
            return
        self._looked = time.monotonic()
        for step_id in sorted(self._held):
            assert self._others is not None
            if not self._others.is_held(step_id):
                self._held.discard(step_id)
                self._ended(Event(step_id, how="was that of another process and has died"))
