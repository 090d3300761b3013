"""TaskStructs: changes of a step are a difference, seen by its successors, and nowhere silently lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mml_core.scheduling.changes import (
    StructChangeError,
    StructState,
    copy_of,
    freeze,
)
from mml_core.scheduling.task_list import TaskListError, resolve_pivot, resolve_task_list
from mml_core.tasks.models import ModelStorage
from mml_core.tasks.struct import TaskStruct

PROJECT = Path("/results/p")


def model(fold: int) -> ModelStorage:
    return ModelStorage(
        weights=PROJECT / f"{fold}.safetensors", pipeline=PROJECT / "x.yaml", task="t", fold=fold
    )


@pytest.fixture
def struct() -> TaskStruct:
    description: Any = SimpleNamespace(header=SimpleNamespace(name="t"))
    return TaskStruct(description, {"old": PROJECT / "old.json", "far": Path("/else/far.json")}, [model(0)])


def add(struct: TaskStruct) -> None:
    struct.paths["new"] = PROJECT / "NEW" / "new.json"
    struct.models.append(model(1))


def remove(struct: TaskStruct) -> None:
    del struct.paths["old"]
    struct.models.clear()


def edit(struct: TaskStruct) -> None:
    struct.models[0].metrics["x"] = 1.0


@pytest.mark.parametrize("change", [add, remove, edit])
def test_a_recorded_change_makes_the_same_struct(
    struct: TaskStruct, change: Callable[[TaskStruct], None]
) -> None:
    before = StructState.of(struct, PROJECT)
    after = before.copy()
    change(struct)
    after.apply(before.change_to(StructState.of(struct, PROJECT)))
    made = after.struct(struct.description, PROJECT)
    assert (made.paths, made.models) == (struct.paths, struct.models)


def test_an_unchanged_struct_has_no_change(struct: TaskStruct) -> None:
    state = StructState.of(struct, PROJECT)
    assert not state.change_to(StructState.of(copy_of(struct, PROJECT), PROJECT))


def test_only_what_changed_is_recorded(struct: TaskStruct) -> None:
    before = StructState.of(struct, PROJECT)
    add(struct)
    change = before.change_to(StructState.of(struct, PROJECT))
    assert change.paths == {"new": "NEW/new.json"}
    assert [each["fold"] for each in change.added] == [1]


def test_an_edit_of_a_model_names_its_fields_only(struct: TaskStruct) -> None:
    struct.models.append(model(1))
    before = StructState.of(struct, PROJECT)
    struct.models[1].predictions["val"] = PROJECT / "val.parquet"
    change = before.change_to(StructState.of(struct, PROJECT))
    assert change.edited == {"1.safetensors": {"predictions": {"val": "val.parquet"}}}
    assert change.targets() == {"predictions of model 1.safetensors"}
    assert change.models is None


def test_a_struct_from_before_the_steps_cannot_be_changed(struct: TaskStruct) -> None:
    freeze(struct)
    for change in (add, remove):
        with pytest.raises(StructChangeError, match="outside of a step"):
            change(struct)


def test_what_is_no_path_is_refused(struct: TaskStruct) -> None:
    struct.paths["x"] = 3  # type: ignore[assignment]
    with pytest.raises(StructChangeError, match=r"paths\['x'\] = 3"):
        StructState.of(struct, PROJECT)


def test_tags_are_applied_to_the_task_list() -> None:
    cfg: dict[str, Any] = {
        "task_list": ["a", "b"],
        "tagging": {"all": "nested?0", "variants": ["identity"]},
        "pivot": {"name": "b", "tags": "duplicate?1"},
    }
    tasks = resolve_task_list(cfg)
    assert tasks == [
        "a+nested?0",
        "a+nested?0+identity",
        "b+duplicate?1+nested?0",
        "b+duplicate?1+nested?0+identity",
    ]
    assert resolve_pivot(cfg, tasks) == "b+duplicate?1+nested?0"


def test_a_pivot_outside_of_the_task_list_is_refused() -> None:
    with pytest.raises(TaskListError, match="Did you mean 'digits'"):
        resolve_pivot({"pivot": {"name": "digit"}}, ["digits"])


def test_a_task_named_twice_is_refused() -> None:
    with pytest.raises(TaskListError, match="'a' more than once"):
        resolve_task_list({"task_list": ["a", "a"]})
