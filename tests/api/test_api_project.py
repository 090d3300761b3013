"""A project in a notebook: its tables, and its models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mml_core.api as mml
from mml_core.config.projects import UnknownProjectError
from mml_core.data.new_images import NoImagesError
from mml_core.learning.devices import DeviceError
from mml_core.learning.model_sources import NoStoredModelError
from mml_core.notebook.frames import MissingPandasError
from mml_core.notebook.model import PredictionError
from mml_core.testing.fixtures import CommandRunner

pytest_plugins = ["mml_core.testing.fixtures"]
pd = pytest.importorskip("pandas")
TASK = "tiny_classification"


@pytest.fixture
def images(trained):
    """The images of the task, by sample."""
    return {path.stem[-2:]: path for path in (trained / "data/datasets/tiny_shapes").glob("image_*.png")}


def test_importing_the_api_imports_nothing_heavy():
    program = "import sys, mml_core.api, mml_core.testing; print(len(sys.modules), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, *modules = done.stdout.split()
    heavy = {"torch", "lightning", "numpy", "hydra", "omegaconf", "pandas", "pyarrow", "pytest", "tqdm"}
    assert heavy.isdisjoint(modules)
    assert int(count) < 120


def test_every_name_of_the_api_is_there():
    assert [name for name in dir(mml) if getattr(mml, name) is None] == []


def test_a_project_is_opened_by_name_and_by_folder(project, trained):
    folder = trained / "results" / "default"
    assert mml.open_project(folder).path == project.path == folder
    assert mml.open_project(str(folder)).path == folder
    assert mml.open_project("default", results=trained / "results").path == folder


def test_a_project_that_is_not_there_is_refused_with_those_that_are(project):
    with pytest.raises(UnknownProjectError, match=r"no project 'defualt'\. Did you mean 'default'"):
        mml.open_project("defualt")
    with pytest.raises(UnknownProjectError, match="no folder"):
        mml.open_project("/nowhere/at/all")


def test_tasks_are_a_table(project):
    tasks = project.tasks().set_index("task")
    assert tasks.loc[TASK, ["type", "samples", "folds", "classes", "state"]].tolist() == [
        "classification", 16, 2, 2, "installed",
    ]  # fmt: skip


def test_runs_are_a_table_with_times(project):
    (run,) = project.runs().to_dict("records")
    assert (run["mode"], run["status"], run["steps_done"]) == ("train", "done", run["steps"])
    assert run["created"].tzinfo is not None
    assert run["created"] <= run["finished"]


def test_models_are_a_table_with_a_column_for_each_metric(project):
    models = project.models()
    assert models[["task", "fold"]].to_dict("records") == [{"task": TASK, "fold": fold} for fold in (0, 1)]
    assert models["val/accuracy"].between(0, 1).all()


def test_metrics_have_the_history_of_the_training_and_the_test(project):
    metrics = project.metrics()
    assert set(metrics["split"]) >= {"train", "val", "test"}
    history, scores = metrics[metrics["epoch"].notna()], metrics[metrics["epoch"].isna()]
    assert set(history["epoch"]) == {0}
    assert ((scores["metric"] == "accuracy") & (scores["split"] == "test")).sum() == 2


def test_predictions_are_by_the_names_of_classes_and_agree_with_the_metrics(project):
    predictions = project.predictions(split="test")
    assert set(predictions["target"]) == {"disc", "square"}
    assert all(sum(chances.values()) == pytest.approx(1) for chances in predictions["probabilities"])
    hits = predictions.assign(hit=predictions["target"] == predictions["prediction"])
    metrics = project.metrics()
    stored = metrics[(metrics["split"] == "test") & (metrics["metric"] == "accuracy")]
    expected = stored[stored["class_name"].isna()].set_index("fold")["value"]
    assert hits.groupby("fold")["hit"].mean().to_dict() == pytest.approx(expected.to_dict())
    assert project.predictions("another").empty


def test_files_are_a_table_and_each_is_there(project):
    files = project.files("predictions")
    assert files["task"].tolist() == [TASK] * 2
    parts = [part for path in files["path"] for part in mml.load_predictions(Path(path))]
    assert {part.output.task for part in parts} == {TASK}
    assert len(project.files("metrics")) > 0
    assert project.files("features").empty


def test_classes_are_named_in_the_order_of_outputs(project):
    assert project.classes() == {TASK: ["disc", "square"]}


def test_a_run_tells_what_each_step_made_and_where(project):
    told = mml.describe_run(project.path, project.runs()["run"][0])
    assert len(told["commits"]) == len(told["plan"])
    assert {row["attempt"] for row in told["commits"]} == {1}
    made = [file for row in told["commits"] for file in row["files"]]
    assert set(project.files("predictions")["path"]) <= {str(project.path / file) for file in made}
    assert TASK in told["return_value"]


def test_a_project_without_runs_has_empty_tables_with_their_columns(mml_project):
    (mml_project.path("empty") / "runs").mkdir(parents=True)
    empty = mml.open_project("empty")
    for table in (empty.runs(), empty.models(), empty.metrics(), empty.predictions()):
        assert table.empty
        assert "run" in table.columns


def test_without_pandas_an_error_says_what_to_install(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for table in (project.tasks, project.runs, project.models, project.metrics, project.predictions):
        with pytest.raises(MissingPandasError, match=r"pip install 'mml-core\[notebook\]'"):
            table()


def test_a_model_predicts_an_image_in_three_lines(project, images):
    model = project.load_model(TASK)
    prediction = model.predict(images["00"])
    assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.get)
    assert set(prediction.probabilities) == {"disc", "square"}


def test_a_model_says_what_the_command_says(project, images, capsys):
    folder = images["00"].parent
    told = CommandRunner(capsys)("predict", f"default/{TASK}", str(folder), "--json", "--device=cpu")
    expected = {row["image"]: row["probabilities"] for row in json.loads(told.out)["predictions"]}
    found = project.load_model(TASK, device="cpu").predict_all(folder)
    assert len(found) == len(expected) == 32
    for prediction in found:
        assert prediction.probabilities == expected[prediction.image.rpartition("/")[2]]


def test_one_stored_model_is_loaded_by_number_and_by_file(project, images):
    models = project.models()
    by_number, by_name = project.load_model(2), project.load_model("default#2")
    by_file = project.load_model(models["path"][1])
    first = project.load_model(1).predict(images["00"])
    same = [each.predict(images["00"]).probabilities for each in (by_number, by_name, by_file)]
    assert same[0] == same[1] == same[2] != first.probabilities


def test_an_array_is_predicted_as_its_file(project, images):
    model = project.load_model()
    pixels = np.asarray(Image.open(images["03"]))
    expected = model.predict(str(images["03"])).probabilities
    assert model.predict(pixels).probabilities == expected
    assert model.predict(pixels[:, :, None]).probabilities == expected


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8)), "number 0 is an array of float64 of shape"),
        (np.zeros((0, 8), np.uint8), r"of shape \(0, 8\)"),
        (np.zeros((8, 8, 3), np.uint8), "has 3 channels, the model takes 1"),
    ],
    ids=["float", "empty", "colour"],
)
def test_an_array_that_is_no_image_of_the_model_is_refused(project, image, message):
    with pytest.raises(PredictionError, match=message):
        project.load_model(TASK).predict(image)


def test_nothing_is_left_out_silently(project, images, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    model = project.load_model(TASK)
    with pytest.raises(PredictionError, match="broken"):
        model.predict_all([images["00"], broken])
    with pytest.raises(NoImagesError, match="no file or folder"):
        model.predict(tmp_path / "missing.png")
    with pytest.raises(PredictionError, match="predict_all takes all"):
        model.predict(tmp_path)


def test_a_model_that_is_not_there_is_refused(project):
    with pytest.raises(NoStoredModelError, match="Did you mean 'tiny_classification'"):
        project.load_model("tiny_clasification")
    with pytest.raises(mml.MMLError, match="there is no such model"):
        project.load_model(7)
    with pytest.raises(DeviceError, match="cuda:77"):
        project.load_model(TASK, device="cuda:77")
