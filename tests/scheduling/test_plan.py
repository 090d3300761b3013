"""What a routine may be, and which identities its steps get."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from mml_core.errors import MMLError
from mml_core.scheduling.plan import FINISH, Plan, PlanError, step_id
from mml_core.scheduling.routine import Routine
from mml_core.scheduling.sealed import DamagedRecordError


class Target:
    def work(self, *params: Any, **named: Any) -> None: ...

    def pair(self, first: int, second: int) -> None: ...


@pytest.fixture
def routine() -> Routine:
    return Routine(Target())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(params=st.lists(JSON, max_size=4))
def test_an_identity_is_stable_and_safe_as_a_file_name(params: list[Any]) -> None:
    identity = step_id("work", params)
    assert identity == step_id("work", params)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}", identity)
    assert identity != step_id("work", params, 2)


def test_identities_do_not_change_between_versions() -> None:
    assert step_id("train_fold", ["digits+nested?0", 1]) == "train_fold-digits-nested-0-1-4e758136fb2c"


def test_equal_steps_get_different_identities(routine: Routine) -> None:
    routine.commands.extend(["work", "work"])
    routine.params.extend([["a"], ["a"]])
    handle = routine.add("work", ["a"], None, None)
    ids = [step.id for step in routine.steps()]
    assert len(set(ids)) == 4
    assert handle.id == ids[2] == step_id("work", ["a"], 3)


def test_bare_steps_wait_for_all_before_and_handles_for_what_they_name(routine: Routine) -> None:
    first = routine.add("work", [1], (), None)
    routine.add("work", [2], (), None)
    routine.commands.append("work")
    routine.params.append([3])
    routine.add("work", [4], (first,), None)
    plan = Plan("r", routine.steps(), seed=1)
    assert [plan.ancestors(position) for position in range(5)] == [0, 0, 0b11, 0b1, 0b1111]
    assert plan.steps[-1].method == FINISH


def test_a_long_chain_of_handles_has_all_its_ancestors(routine: Routine) -> None:
    last = ()
    for number in range(3000):
        last = (routine.add("work", [number], last, None),)
    plan = Plan("r", routine.steps(), seed=1)
    assert plan.ancestors(2999) == (1 << 2999) - 1


@pytest.mark.parametrize(
    ("commands", "params", "words"),
    [
        (["wrok"], [[]], "'wrok', which Target does not have. Did you mean 'work'"),
        (["work"], [], "1 commands and 0 params"),
        (["work"], ["abc"], "give a list of arguments"),
        (["work"], [[object()]], "which JSON cannot hold"),
        (["work"], [[{1: 2}]], "has the key 1"),
        (["pair"], [[1]], "missing a required argument: 'second'"),
        ([print], [[]], "give the name of a method"),
    ],
)
def test_what_is_no_step_is_refused_with_its_reason(
    routine: Routine, commands: list[Any], params: list[Any], words: str
) -> None:
    routine.commands.extend(commands)
    routine.params.extend(params)
    with pytest.raises(PlanError, match=re.escape(words)):
        routine.steps()


def test_a_handle_of_another_scheduler_is_refused(routine: Routine) -> None:
    foreign = Routine(Target()).add("work", [], None, None)
    with pytest.raises(PlanError, match="no handle that add_step of this scheduler returned"):
        routine.add("work", [], (foreign,), None)
    assert routine.commands == []


def test_resources_are_checked(routine: Routine) -> None:
    with pytest.raises(PlanError, match="resources"):
        routine.add("work", [], None, {"gpu": 1})
    routine.add("work", [], None, {"gpus": 1, "threads": 2})
    assert routine.steps()[0].resources == {"gpus": 1, "threads": 2}


def test_a_stored_plan_is_the_plan_and_damage_is_found(routine: Routine, tmp_path: Path) -> None:
    first = routine.add("work", [1.5, None, "ü", [float("inf")]], (), None)
    routine.add("work", [{"a": [1]}], (first,), {"cpus": 1})
    plan = Plan("r", routine.steps(), seed=7, config_sha256="x", structs={"t": {"paths": {}, "models": []}})
    path = tmp_path / "plan.json"
    plan.save(path)
    loaded = Plan.load(path)
    assert (loaded.steps, loaded.seed, loaded.structs) == (plan.steps, 7, plan.structs)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(DamagedRecordError, match=re.escape(str(path))):
                Plan.load(path)


def test_errors_are_errors_of_mml() -> None:
    assert issubclass(PlanError, MMLError)


def test_add_step_of_a_scheduler_makes_both_entries(config: Callable[..., DictConfig]) -> None:
    from mml_core.scheduling.base import AbstractBaseScheduler

    class One(AbstractBaseScheduler):
        def work(self, number: int) -> None: ...

    scheduler = One(config(), [])
    handle = scheduler.add_step("work", 3)
    assert (scheduler.commands, scheduler.params, handle.position) == (["work"], [[3]], 0)
    scheduler.fm.close()


def changed(routine: Routine, how: str) -> None:
    routine.add("work", [0], (), None)
    if how == "inserted":
        routine.commands.insert(0, "work")
        routine.params.insert(0, [9])
    elif how == "edited":
        routine.params[0] = [1]
    else:
        routine.commands.clear()
        routine.params.clear()


@pytest.mark.parametrize("how", ["inserted", "edited", "removed"])
def test_steps_that_were_added_cannot_be_changed_later(routine: Routine, how: str) -> None:
    changed(routine, how)
    with pytest.raises(PlanError, match=r"final order|do not remove any"):
        routine.steps()


def test_the_finishing_hook_is_no_step_of_a_routine(routine: Routine) -> None:
    routine.commands.append(FINISH)
    routine.params.append([])
    with pytest.raises(PlanError, match="runs as the last step by itself"):
        routine.steps()


def test_lists_assigned_anew_are_the_routine(config: Callable[..., DictConfig]) -> None:
    from mml_core.scheduling.base import AbstractBaseScheduler

    class One(AbstractBaseScheduler):
        def work(self, number: int) -> None: ...

    scheduler = One(config(), [])
    scheduler.commands = [*scheduler.commands, "work"]
    scheduler.params = [*scheduler.params, [3]]
    assert [step.name for step in scheduler._routine.steps()] == ["work(3)", "before_finishing_hook()"]
    scheduler.fm.close()
