"""Several tasks learnt by one network: which, from what, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from mml_core.schedulers.co_tasks import CoTaskError, CoTasks
from mml_core.schedulers.holdouts import Holdout
from mml_core.schedulers.joint_data import create_data
from mml_core.schedulers.training import modules_of
from mml_core.scheduling.planning import plan_of_run
from mml_core.tasks.description import TaskType
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.struct import TaskStruct
from mml_core.testing.fixtures import MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]

ONE = ["mode.folds=1", "trainer.max_epochs=1"]


def planned(project: MMLProject, method: str, name: str = "default") -> list[Sequence[Any]]:
    return [row["params"] for row in plan_of_run(project.runs(name)[-1]) if row["method"] == method]


def rows(project: MMLProject, folder: str) -> list[dict[str, Any]]:
    return [row for path in project.path().glob(folder) for row in pq.read_table(path).to_pylist()]


def test_one_network_learns_tasks_of_different_types(train, install, mml_project) -> None:
    install("a")
    install("b", TaskType.REGRESSION, seed=1)
    install("c", TaskType.MULTILABEL, classes=("x", "y", "z"), seed=2)
    result = train("a", "mode.co_tasks.tasks=[b,c]", *ONE)
    assert result.code == 0, result.err
    assert planned(mml_project, "train_fold") == [["a", 0, None, ["b", "c"]]]
    weights = load_file(next(mml_project.path().glob("PARAMETERS/a/*")))
    heads = {name.split(".")[1] for name in weights if name.startswith("heads.")}
    assert heads == {"task:a", "task:b", "task:c"}
    history = {
        (row["task"], row["split"], row["metric"])
        for row in rows(mml_project, "METRICS/a/*")
        if row["epoch"] == 0
    }
    assert {("a", "val", "accuracy"), ("b", "val", "mae"), ("c", "train", "loss")} <= history
    assert {("a", "val", "joint_loss"), ("a", "train", "joint_loss")} <= history
    scored = {
        (path.parent.name, row["task"], row["split"])
        for path in mml_project.path().glob("METRICS/*/*")
        for row in pq.read_table(path).to_pylist()
        if row["epoch"] is None
    }
    assert {
        ("a", "a", "test"),
        ("a%40b", "b", "test"),
        ("a%40b", "b", "val"),
        ("a%40c", "c", "test"),
    } <= scored
    assert {line.split()[0] for line in result.out.splitlines() if "accuracy" in line} >= {"a", "a@c"}


def test_segmentations_share_a_net_with_channels_of_their_own(train, install, mml_project) -> None:
    install("a", TaskType.SEGMENTATION, size=16)
    install("b", TaskType.SEGMENTATION, classes=("none", "one", "two"), size=16, seed=1)
    result = train("a", "mode.co_tasks.tasks=[b]", *ONE)
    assert result.code == 0, result.err
    weights = load_file(next(mml_project.path().glob("PARAMETERS/a/*")))
    assert not [name for name in weights if name.startswith("heads.")]
    widths = {row["task"] for row in rows(mml_project, "METRICS/a%40b/*")}
    assert widths == {"b"}


@pytest.mark.parametrize(
    ("other", "overrides", "message"),
    [
        ({"task_type": TaskType.SEGMENTATION}, [], "cannot share a network"),
        ({"channels": 3}, [], "equal numbers of channels"),
        ({"size": 12}, [], "images of one size"),
        ({"num_folds": 1}, ["mode.folds=[1]"], "has 1 folds, and fold 1 is to be held out"),
        ({}, ["mode.joint=longst"], "Did you mean 'longest'"),
        ({}, ["+mode.task_weights.bb=2"], "Did you mean 'b'"),
        ({}, ["+mode.task_weights.b=-1"], "a number from 0"),
        ({}, ["mode.co_tasks.tasks=[bb]"], "'bb'"),
        ({}, ["mode.co_tasks.draw=1"], "there are 0 tasks to draw from"),
        ({}, ["mode.co_tasks.drawn=1"], "drawn"),
    ],
)
def test_what_cannot_be_learnt_together_is_refused(
    train, install, mml_project, other, overrides, message
) -> None:
    install("a")
    install("b", seed=1, **other)
    if not any("co_tasks" in each for each in overrides):
        overrides = ["mode.co_tasks.tasks=[b]", *overrides]
    result = train("a", *overrides)
    assert result.code == 2, result.err
    (line,) = result.err.splitlines()
    assert message in line
    assert not mml_project.runs()


def test_weights_of_tasks_change_the_sum_and_not_the_parts(train, install, mml_project) -> None:
    install("a")
    install("b", seed=1)
    still = ["optimizer=sgd", "optimizer.lr=1e-12", "lr_scheduler=none", "mode.subroutines=[train]"]
    result = train("a", "mode.co_tasks.tasks=[b]", "+mode.task_weights.b=3", *still, *ONE)
    assert result.code == 0, result.err
    found = {
        (row["task"], row["metric"]): row["value"]
        for row in rows(mml_project, "METRICS/a/*")
        if row["split"] == "val"
    }
    expected = found["a", "loss"] + 3 * found["b", "loss"]
    assert found["a", "joint_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_draw_stands_in_the_plan(train, install, mml_project) -> None:
    for name in "abcd":
        install(name, seed=ord(name))
    options = ["mode.subroutines=[train]", "mode.co_tasks.draw=2", *ONE]
    assert train("a,b,c,d", *options).code == 0
    drawn = {params[0]: params[3] for params in planned(mml_project, "train_fold")}
    assert all(len(set(each)) == 2 and task not in each for task, each in drawn.items())
    stored = [json.loads(path.read_text())["task"] for path in mml_project.path().glob("MODELS/*/*")]
    assert sorted(stored) == ["a", "b", "c", "d"]
    again = train("d,c,b,a", "--proj", "again", "--plan", *options)
    assert again.code == 0
    assert all(name in again.out for name in drawn["a"])


def test_a_draw_depends_on_seed_and_names_alone() -> None:
    pool = [f"t{number}" for number in range(20)]
    drawn = CoTasks(draw=5).of("t0", pool, 42)
    assert drawn == CoTasks(draw=5).of("t0", pool[::-1], 42)
    assert drawn != CoTasks(draw=5).of("t0", pool, 43)
    assert drawn != CoTasks(draw=5).of("t1", pool, 42)
    assert drawn == CoTasks(draw=5, seed=42).of("t0", pool, 1)
    assert len(set(drawn) & set(CoTasks(draw=5).of("t0", [*pool, "new"], 42))) >= 4
    with pytest.raises(CoTaskError, match="there are 19"):
        CoTasks(draw=20).of("t0", pool, 42)
    assert CoTasks(tasks=["t0", "t3"], draw=1).of("t0", ["t0", "t3", "t4"], 42) == ["t3", "t4"]


def test_workers_and_a_second_run_change_no_bit(train, install, mml_project) -> None:
    install("a")
    install("b", TaskType.REGRESSION, samples=40, seed=1)
    options = ["mode.co_tasks.tasks=[b]", "mode.joint=proportional", "augmentations=light", *ONE]
    results = [
        train("a", "--proj", name, *options, *more)
        for name, more in (("x", []), ("y", ["loader.num_workers=2"]))
    ]
    assert [result.code for result in results] == [0, 0]
    first, second = (mml_project.files(name) for name in "xy")
    for folder in ("PARAMETERS", "PREDICTIONS", "METRICS"):
        assert {p: d for p, d in first.items() if p.startswith(folder)} == {
            p: d for p, d in second.items() if p.startswith(folder)
        }


def test_a_search_tries_the_tasks_together(train, install, mml_project) -> None:
    install("a")
    install("b", TaskType.REGRESSION, seed=1)
    search = ["tune.lr=true", "tune.steps=8", "mode.subroutines=[train]"]
    result = train("a", "mode.co_tasks.tasks=[b]", *search, *ONE)
    assert result.code == 0, result.err
    assert planned(mml_project, "tune_task") == [["a", 0, None, ["b"]]]


def joint_data(project: MMLProject, *names: str, outer: int | None = None) -> dict[str, Any]:
    structs = [TaskStruct(TaskIndex(project.data).get(name)) for name in names]
    cfg = {"preprocessing": {"id": "none"}, "loader": {"batch_size": 4}}
    holdout = Holdout(fold=0, outer=outer)
    made = create_data(cfg, structs, holdout, data_root=project.data, seed=1, joint="longest")
    return modules_of(made)


@pytest.mark.parametrize("outer", [None, 1])
def test_images_that_one_task_holds_out_are_learnt_by_none(install, mml_project, outer) -> None:
    install("a", num_folds=3)
    install("b", num_folds=4)  # the same images in other folds
    install("c", num_folds=3, seed=9)
    modules = joint_data(mml_project, "a", "b", "c", outer=outer)
    images = {
        (name, part): set(module.description.samples.take(module.rows(part)).column("sha256").to_pylist())
        for name, module in modules.items()
        for part in ("train", "val", "outer", "test")
    }
    for name in "abc":
        for other in "abc":
            for part in ("val", "outer", "test"):
                assert not images[name, "train"] & images[other, part]
    assert images["a", "train"] and images["a", "train"] == images["b", "train"]
    alone = joint_data(mml_project, "c", "a", outer=outer)
    assert len(alone["c"].rows("train")) == len(modules["c"].rows("train"))
    assert len(alone["a"].rows("train")) > len(modules["a"].rows("train"))


def test_shared_images_are_no_leak_then(train, install) -> None:
    install("a", num_folds=3)
    install("b", num_folds=4)
    result = train("a", "mode.co_tasks.tasks=[b]", "leakage=stop", *ONE)
    assert result.code == 0, result.err
    assert "leaves out" in result.err + result.out
