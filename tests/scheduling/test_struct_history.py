"""What steps see of TaskStructs: each change is applied once, however many steps see it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mml_core.scheduling.changes import StructChange, StructState
from mml_core.scheduling.conflicts import ConflictError
from mml_core.scheduling.plan import Plan, PlanStep
from mml_core.scheduling.structs import StructHistory
from mml_core.tasks.struct import TaskStruct

PROJECT = Path("/results/p")


def load(name: str) -> TaskStruct:
    description: Any = SimpleNamespace(header=SimpleNamespace(name=name))
    return TaskStruct(description, {"old": PROJECT / "old.json"}, [])


def chain_of(*after: tuple[int, ...] | None) -> Plan:
    """A plan of steps, each with the positions it waits for; None: all before it."""
    steps = [
        PlanStep(id=f"s{at}", method="go", params=[at], after=None if waits is None else list(waits))
        for at, waits in enumerate(after)
    ]
    return Plan("r", steps, seed=1)


def attached(key: str, path: str = "x.json") -> StructChange:
    return StructChange(paths={key: path})


def keys_seen(history: StructHistory, plan: Plan, position: int) -> list[str]:
    return sorted(history.seen("t", plan.ancestors(position), load, PROJECT)[1].paths)


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[StructChange]:
    """The changes that were applied so far."""
    found: list[StructChange] = []
    apply = StructState.apply

    def counting(state: StructState, change: StructChange) -> None:
        found.append(change)
        apply(state, change)

    monkeypatch.setattr(StructState, "apply", counting)
    return found


def test_a_change_is_applied_once_though_all_later_steps_see_it(applied: list[StructChange]) -> None:
    plan = chain_of(*[None] * 100)
    history = StructHistory(plan)
    for position in range(100):
        assert len(keys_seen(history, plan, position)) == position + 1
        history.add(position, {"t": attached(f"k{position}")})
    assert len(applied) == 99


def test_chains_of_steps_that_take_turns_apply_their_own_changes_once(applied: list[StructChange]) -> None:
    plan = chain_of((), (), *[(at,) for at in range(98)])
    history = StructHistory(plan)
    for position in range(100):
        keys_seen(history, plan, position)
        history.add(position, {"t": attached(f"k{position}")})
    assert len(applied) == 98


def test_a_step_sees_what_its_ancestors_changed_whenever_that_became_known() -> None:
    plan = chain_of((), (), (0,), (0, 1), (3,))
    history = StructHistory(plan)
    history.add(1, {"t": attached("b")})
    history.add(3, {"t": attached("d")})
    assert keys_seen(history, plan, 3) == ["b", "old"]
    history.add(0, {"t": attached("a")})  # committed by another process, read from the disk later
    assert keys_seen(history, plan, 2) == ["a", "old"]
    assert keys_seen(history, plan, 3) == ["a", "b", "old"]
    assert keys_seen(history, plan, 4) == ["a", "b", "d", "old"]


def test_what_one_step_does_with_its_struct_no_other_sees() -> None:
    plan = chain_of(None, None, None)
    history = StructHistory(plan)
    history.add(0, {"t": attached("a")})
    _, state = history.seen("t", plan.ancestors(1), load, PROJECT)
    state.apply(StructChange(paths={"a": None, "mine": "m.json"}))
    assert keys_seen(history, plan, 2) == ["a", "old"]


def test_a_later_change_of_the_same_key_wins_and_removes() -> None:
    plan = chain_of(None, None, None, None)
    history = StructHistory(plan)
    history.add(0, {"t": attached("a", "1.json")})
    history.add(1, {"t": attached("a", "2.json")})
    assert history.seen("t", plan.ancestors(2), load, PROJECT)[1].paths["a"] == "2.json"
    history.add(2, {"t": StructChange(paths={"a": None, "old": None})})
    assert keys_seen(history, plan, 3) == []


@pytest.mark.parametrize("first", [0, 1])
def test_two_steps_that_do_not_wait_for_each_other_are_named_by_whoever_sees_both(first: int) -> None:
    plan = chain_of((), (), (0, 1), None)
    history = StructHistory(plan)
    history.add(first, {"t": attached("a")})
    message = r"go\(0\) and go\(1\) both changed paths\['a'\] of task 't'"
    with pytest.raises(ConflictError, match=message):
        history.check_new("t", attached("a"), 1 - first)
    history.add(1 - first, {"t": attached("a")})
    with pytest.raises(ConflictError, match=message):
        keys_seen(history, plan, 2)
    with pytest.raises(ConflictError, match=message):
        history.check(plan.ancestors(3))
    history.check(plan.ancestors(1))


def test_steps_in_order_may_change_the_same_key() -> None:
    plan = chain_of((), (0,), (1,), None)
    history = StructHistory(plan)
    for position in (0, 2, 1):
        history.check_new("t", attached("a"), position)
        history.add(position, {"t": attached("a")})
    history.check(plan.ancestors(3))
