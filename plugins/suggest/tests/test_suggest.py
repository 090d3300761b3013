"""The mode proposes blueprints that mode=train takes, and resumes wherever it is killed."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.numpy import save_file

from mml_core.api import MMLFileManager, ModelStorage, PluginManager, load_blueprint
from mml_core.testing.tiny_tasks import create_tiny_task

pytest_plugins = ["mml_core.testing.crash"]

TYPES = ("classification", "multilabel", "regression", "semantic_segmentation")
A, B, C, NEW = (f"tiny_{task_type}" for task_type in TYPES)


def store_models(root):
    """Let a script save models of two architectures for three tasks, in the project ``exp``."""
    plugins = PluginManager.discover()
    places = {"data": root / "data", "results": root / "results", "project": "exp"}
    with MMLFileManager(**places, plugins=plugins) as fm:
        for task, small, large in ((A, 0.9, 0.7), (B, 0.8, 0.6), (C, 0.3, 0.5)):
            for fold, shift in ((0, 0.05), (1, -0.05)):
                store_model(fm, task, "Small", fold, small + shift)
                store_model(fm, task, "Large", fold, large - shift)


def store_model(fm, task, architecture, fold, accuracy):
    """Save a model with a pipeline."""
    weights = fm.construct_saving_path(torch.nn.Identity(), "parameters", task)
    save_file({"w": np.zeros(1, dtype=np.float32)}, weights)
    pipeline = fm.construct_saving_path(None, "pipeline", task)
    described = {
        "version": 1,
        "architecture": {"name": architecture, "kwargs": {}},
        "preprocessing": {"image_size": 16},
        "training": {"optimizer": {"lr": 0.1}, "loader": {"batch_size": 8}},
    }
    pipeline.write_text(yaml.safe_dump(described))
    model = ModelStorage(
        weights=weights,
        pipeline=pipeline,
        task=task,
        fold=fold,
        metrics={"val/accuracy": accuracy, "val/loss": 1 - accuracy},
        created=datetime(2026, 1, 1, tzinfo=timezone.utc).isoformat(),
    )
    path = fm.construct_saving_path(model, "models", task)
    path.write_text(json.dumps(model.to_json(fm.project_path)))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Five tasks, three of them with models, and the distances of four."""
    root = tmp_path_factory.mktemp("prepared")
    for task_type in (*TYPES, "unlabelled"):
        create_tiny_task(root / "data", task_type)
    store_models(root)
    near = {(A, B): 1.0, (A, C): 5.0, (B, C): 4.0, (NEW, A): 1.0, (NEW, B): 2.0, (NEW, C): 9.0}
    rows = [
        {"task_a": one, "task_b": other, "distance": "fid", "value": value}
        for (one, other), value in near.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "data" / "distances.parquet")
    return root


@pytest.fixture
def stored(mml_project, prepared):
    """What was prepared, in the places of the test; returns overrides."""
    for place in (mml_project.data, mml_project.results):
        shutil.copytree(prepared / place.name, place)
    table = mml_project.data / "distances.parquet"
    return ["reuse.models=exp", f"mode.distances={table}", "mode.metric=val/accuracy"]


def test_the_best_of_the_nearest_tasks_is_written_as_blueprint_and_evaluated(
    mml, mml_project, stored
) -> None:
    result = mml("run", "--mode=suggest", f"--tasks={A},{B},{C},{NEW}", f"pivot.name={NEW}", *stored)
    assert result.code == 0, result.err
    (path,) = mml_project.path().glob(f"BLUEPRINTS/{NEW}/*.yaml")
    assert load_blueprint(path)["arch"] == {"name": "Small", "kwargs": {}}
    ranking = pq.read_table(next(mml_project.path().glob(f"SUGGESTIONS/{NEW}_0001.parquet"))).to_pylist()
    assert [(row["architecture"], row["voters"]) for row in ranking] == [("Small", [A, B]), ("Large", [C])]
    evaluated = {
        row["task"]: row
        for row in pq.read_table(next(mml_project.path().glob("SUGGESTIONS/eval*"))).to_pylist()
    }
    assert set(evaluated) == {A, B, C}
    assert evaluated[A]["suggested_score"] == pytest.approx(0.9)
    assert evaluated[A]["mean_score"] == pytest.approx(0.8)
    assert evaluated[C]["suggested_relative"] == 0.0
    assert "Mean between the worst (0) and the best (1) blueprint of each task: suggested 0.667" in result.out


def test_where_less_is_better_the_least_is_proposed(mml, mml_project, stored) -> None:
    options = [*stored, "mode.direction=min", "mode.neighbours=1"]
    result = mml("run", "--mode=suggest", f"--tasks={A},{B},{C},{NEW}", f"pivot.name={NEW}", *options)
    assert result.code == 0, result.err
    (path,) = mml_project.path().glob(f"BLUEPRINTS/{NEW}/*.yaml")
    assert load_blueprint(path)["arch"]["name"] == "Large"
    (table,) = mml_project.path().glob("SUGGESTIONS/eval*")
    assert pq.read_table(table).to_pylist()[0]["best_score"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("tasks", "more", "message"),
    [
        (A, [], "needs another task to learn from"),
        (f"{A},{B}", ["mode.distances=/nowhere"], "The file '/nowhere' is not there"),
        (f"{A},{B}", ["mode.distance=mmd"], "has no distance 'mmd'"),
        (f"{A},tiny_unlabelled", [], "does not know how far"),
        (f"{A},{B}", ["mode.distances=reuse:nothing"], "nothing"),
    ],
)
def test_what_cannot_be_suggested_is_refused_before_a_step_runs(
    mml, mml_project, stored, tasks, more, message
) -> None:
    result = mml("run", "--mode=suggest", f"--tasks={tasks}", *stored, *more)
    assert (result.code, message in result.err) == (2, True), result.err
    assert not mml_project.runs()


def test_without_models_a_step_says_what_to_do(mml, stored) -> None:
    result = mml("run", "--mode=suggest", f"--tasks={A},{B}", *stored, "reuse.models=null")
    assert (result.code, "has a stored model with any of val/accuracy; set reuse.models=" in result.err) == (
        1,
        True,
    )


def test_suggesting_is_killed_and_continued(crash_kit, stored) -> None:
    crash_kit("suggest", *stored, tasks=[A, B, C], sample=3)


@pytest.mark.long
@pytest.mark.parametrize("executor", ["sequential", "processes"])
def test_suggesting_is_killed_in_many_places(crash_kit, stored, executor) -> None:
    crash_kit("suggest", *stored, tasks=[A, B, C], sample=30, executor=executor)
