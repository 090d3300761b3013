"""What the mode train leaves for later steps and runs: models with their metrics and predictions."""

import io
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mml_core.learning.predictions import load_predictions
from mml_core.tasks.models import ModelStorage
from mml_core.testing.fixtures import CommandRunner, MMLProject, ProcessRunner, Result

pytest_plugins = ["mml_core.testing.fixtures"]

QUICK = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
TRAIN = ["run", "--mode=train", "--tasks=tiny", *QUICK]
Train = Callable[..., Result]


@pytest.fixture
def train(mml: CommandRunner, mml_project: MMLProject, install_task: Any) -> Train:
    """``train(*overrides, **task)`` on a tiny task, installed as ``task`` says where it is not there yet."""

    def run(*overrides: str, **task: Any) -> Result:
        if not (mml_project.data / "tasks" / "tiny").is_dir():
            install_task(mml_project.data, "tiny", **task)
        return mml(*TRAIN, *overrides)

    return run


def models(project: MMLProject) -> list[ModelStorage]:
    """The models of the newest run, as a later run that reuses them sees them."""
    root = project.path()
    return [
        ModelStorage.from_json(json.loads(path.read_text()), root)
        for path in sorted(root.glob("MODELS/tiny/*.json"))
    ]


def test_a_fold_of_one_class_has_metrics_that_are_not_defined(train: Train, mml_project: MMLProject) -> None:
    result = train(single_class_fold=True)
    assert result.code == 0, result.err
    first, second = models(mml_project)
    assert math.isnan(first.metrics["val/auroc"])
    assert math.isfinite(first.metrics["val/loss"])
    assert all(map(math.isfinite, second.metrics.values()))


def predicted(project: MMLProject) -> dict[str, int]:
    """Split to number of predicted samples, of the model of fold 0."""
    return {each.split: len(each.sample_ids) for each in load_predictions(newest(project, "PREDICTIONS"))}


def newest(project: MMLProject, folder: str) -> Path:
    return max(project.path().glob(f"{folder}/tiny/*"))


def test_a_model_that_diverges_is_named_and_has_no_scores(train: Train, mml_project: MMLProject) -> None:
    result = train("optimizer=sgd", "optimizer.lr=1e30", "lr_scheduler=none", "mode.folds=1")
    assert result.code == 0, result.err
    assert "tiny, fold 0: the training has diverged, its last loss is nan" in result.err
    (model,) = models(mml_project)
    assert all(map(math.isnan, model.metrics.values()))
    assert ["tiny", "accuracy", "-", "-", "0"] in [line.split() for line in result.out.splitlines()]


@pytest.mark.parametrize(
    "trial",
    ["trainer.fast_dev_run=true", "trainer.limit_predict_batches=1", "trainer.overfit_batches=1"],
)
def test_a_trial_predicts_every_sample(trial: str, train: Train, mml_project: MMLProject) -> None:
    result = train(trial, "mode.folds=1")
    assert result.code == 0, result.err
    assert predicted(mml_project) == {"val": 16, "test": 8}


PREDICT = ["mode.subroutines=[predict]", "reuse.models=default", "mode.folds=1"]


def test_a_model_is_not_applied_to_a_task_that_was_created_anew(
    train: Train, mml_project: MMLProject, install_task: Any
) -> None:
    assert train("mode.folds=1").code == 0
    shutil.rmtree(mml_project.data)
    install_task(mml_project.data, "tiny", samples=50)
    result = train(*PREDICT)
    assert result.code == 1
    assert "Task 'tiny' was created anew since the model was trained on it" in result.err


def test_a_model_is_given_images_as_those_it_was_trained_on(train: Train, mml_project: MMLProject) -> None:
    assert train("mode.folds=1").code == 0
    before = newest(mml_project, "PREDICTIONS")
    header = mml_project.data / "tasks" / "tiny" / "task.json"
    header.write_text(json.dumps({**json.loads(header.read_text()), "means": [0.9]}))
    assert train(*PREDICT).code == 0
    after = newest(mml_project, "PREDICTIONS")
    assert after != before
    assert after.read_bytes() == before.read_bytes()


LOOKING = """
from pathlib import Path

from mml_core.schedulers.train import TrainScheduler


class LookingScheduler(TrainScheduler):
    def create_routine(self):
        super().create_routine()
        self.add_step("look", "tiny")

    def look(self, task):
        struct = self.get_struct(task)
        broken = self.fm.data / "broken"
        if broken.exists():
            broken.unlink()
            raise RuntimeError("broken off")
        return {
            "paths": {key: path.is_file() for key, path in struct.paths.items()},
            "models": [
                {
                    "step": model.step,
                    "metrics": sorted(model.metrics),
                    "predictions": {split: str(path) for split, path in model.predictions.items()},
                    "own": model.predictions["val"] == struct.paths[f"predictions_{model.fold}"],
                }
                for model in struct.models
            ],
        }

    def before_finishing_hook(self):
        self.return_value = self.results.of("look", "tiny")
        print("seen", __import__("json").dumps(self.return_value))
"""
RECORD = """
from mml_core.plugins import SchedulerSpec, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_schedulers():
    subroutines = ("train", "predict", "test")
    return [
        SchedulerSpec(name="look", target="mml_look.scheduler:LookingScheduler", subroutines=subroutines)
    ]
"""


@pytest.mark.parametrize("broken", [False, True], ids=["at once", "continued"])
def test_later_steps_see_predictions_and_scores(
    broken: bool, train: Train, mml: CommandRunner, mml_project: MMLProject, inline_plugin: Any
) -> None:
    inline_plugin("look", RECORD, {"scheduler.py": LOOKING})
    mml_project.data.mkdir()
    if broken:
        (mml_project.data / "broken").touch()
    result = train("mode=look", "+mode.folds=all")
    if broken:
        assert result.code == 1
        result = mml("run", "--continue")
    assert result.code == 0, result.err
    (line,) = (line for line in result.out.splitlines() if line.startswith("seen "))
    seen = json.loads(line.removeprefix("seen "))
    keys = {"pipeline", "history", "predictions", "metrics"}
    assert seen["paths"] == {f"{key}_{fold}": True for key in keys for fold in (0, 1)}
    for fold, model in enumerate(seen["models"]):
        assert model["own"]
        assert set(model["predictions"]) == {"val", "test"}
        assert {"val/loss", "val/accuracy", "test/accuracy", "test/f1"} <= set(model["metrics"])
        assert (mml_project.runs()[0] / "steps" / f"{model['step']}.json").is_file()
        assert f"fold{fold}" in model["predictions"]["val"]


SEARCH = ["tune.lr=true", "tune.steps=10", "mode.folds=1", "mode.subroutines=[train]"]


def test_a_search_is_not_repeated_when_training_fails(
    train: Train, mml: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mml_core.learning import tuning

    searches = []
    search = tuning.tune

    def counted(*args: Any, **kwargs: Any) -> Any:
        searches.append(search(*args, **kwargs))
        return searches[-1]

    def fail(*args: Any) -> None:
        raise OSError("broken off")

    monkeypatch.setattr(tuning, "tune", counted)
    with monkeypatch.context() as broken:
        broken.setattr("mml_core.learning.weights.save_weights", fail)
        assert train(*SEARCH).code == 1
    assert mml("run", "--continue").code == 0
    assert len(searches) == 1


@pytest.mark.long
def test_a_search_is_not_repeated_when_training_is_killed(
    mml_process: ProcessRunner, mml_project: MMLProject, install_task: Any
) -> None:
    install_task(mml_project.data, "tiny")
    process = mml_process.start(*TRAIN, *SEARCH, "trainer.max_epochs=200")
    attempts = mml_project.path() / ".mml" / "attempts"
    while not list(attempts.rglob("train_fold*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    (run,) = mml_project.runs()
    (record,) = run.glob("steps/*.json")
    searched = record.read_bytes()
    continued = mml_process("run", "--continue")
    assert continued.code == 0, continued.err
    assert record.read_bytes() == searched
    assert (run / "log.txt").read_text().count("tiny: tuned") == 1


def test_a_narrow_terminal_cuts_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    from mml_core.schedulers.tables import show

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    path = "PARAMETERS/a_task_of_some_length/model_{0000,0001,0002,0003,0004}.safetensors"
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    show([{"task": "a_task_of_some_length", "files": path}], ["task", "files"])
    cells = [line.split("│")[2].strip() for line in terminal.getvalue().splitlines() if "│" in line]
    assert "".join(cells) == path
