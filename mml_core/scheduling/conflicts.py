"""Conflicts: two steps that do not wait for each other must not change the same thing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from mml_core.errors import MMLError
from mml_core.scheduling.plan import Plan


class ConflictError(MMLError):
    """Two steps that do not wait for each other changed the same thing."""


def check_order(plan: Plan, what: str, positions: Sequence[int]) -> None:
    """Raise ConflictError unless steps that changed one thing wait for each other.

    Args:
        plan: The plan.
        what: What they changed, in words.
        positions: Of the steps, ascending.
    """
    for earlier, later in pairwise(positions):
        if not plan.ancestors(later) >> earlier & 1:
            names = f"{plan.steps[earlier].name} and {plan.steps[later].name}"
            raise ConflictError(
                f"Steps {names} both changed {what} and neither waits for the other; "
                f"order them by after=, or let each use a key of its own."
            )


def among(positions: Sequence[int], position: int) -> list[int]:
    """Return a position between its neighbours: where those are in order, it is in order with all.

    Args:
        positions: Ascending.
        position: May be one of them.
    """
    at = bisect_left(positions, position)
    after = at + 1 if positions[at : at + 1] == [position] else at
    return [*positions[max(0, at - 1) : at], position, *positions[after : after + 1]]
