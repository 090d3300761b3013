"""The results that a step sees: what its ancestors returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mml_core.errors import MMLError
from mml_core.scheduling import values
from mml_core.scheduling.inputs import ALL, Asked
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan, PlanStep, step_id


class ResultError(MMLError, KeyError):
    """A step asked for the result of a step that is not its ancestor."""

    def __str__(self) -> str:
        return str(self.args[0])


class Results(Mapping[str, Any]):
    """Step id to what the step returned, over the ancestors of one step, in plan order.

    Args:
        plan: The run's plan.
        ledger: The run's ledger.
        ancestors: Which steps are seen, a bit mask over positions in the plan.
        asked: Where to note what is read.
        check: Refuses a value over files that are damaged.
    """

    def __init__(
        self, plan: Plan, ledger: Ledger, ancestors: int, asked: Asked, check: Callable[[Any], None]
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._ancestors = ancestors
        self._asked = asked
        self._check = check

    def __getitem__(self, key: str) -> Any:
        self._asked.results.add(key)
        position = self._plan.position(key)
        record = None
        if position is not None and self._ancestors >> position & 1:
            record = self._ledger.look_up(position)
        if record is None:
            what = (
                "is in the plan but no step that this one waits for"
                if position is not None
                else "is not planned"
            )
            raise ResultError(f"The result of step '{key}' cannot be seen: it {what}.")
        value = values.decode(record.value)
        self._check(value)
        return value

    def __contains__(self, key: object) -> bool:
        self._asked.listings.add(ALL)
        position = self._plan.position(key) if isinstance(key, str) else None
        return position is not None and bool(self._ancestors >> position & 1)

    def __iter__(self) -> Iterator[str]:
        return (step.id for step in self.steps())

    def __len__(self) -> int:
        self._asked.listings.add(ALL)
        return bin(self._ancestors).count("1")

    def of(self, method: str, *params: Any, occurrence: int = 1) -> Any:
        """Return what the step of this method and params returned."""
        return self[step_id(method, params, occurrence)]

    def by_method(self, method: str) -> list[Any]:
        """Return what the steps of this method returned, in plan order."""
        self._asked.listings.add(method)
        return [self[step.id] for step in self._plan.steps_of(self._ancestors) if step.method == method]

    def steps(self) -> Iterator[PlanStep]:
        """The steps that are seen, in plan order."""
        self._asked.listings.add(ALL)
        return self._plan.steps_of(self._ancestors)
