"""The mode train, really run on a tiny task: steps, files, numbers, equal seeds, reuse, and tuning."""

import json
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mml_core.scheduling import values
from mml_core.scheduling.planning import plan_of_run
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.testing.fixtures import CommandRunner, MMLProject, ProcessRunner, Result

pytest_plugins = ["mml_core.testing.fixtures"]

QUICK = ["trainer.max_epochs=2", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
TRAIN = ["run", "--mode=train", "--tasks=tiny", *QUICK]
Train = Callable[..., Result]


@pytest.fixture
def train(mml: CommandRunner, mml_project: MMLProject, install_task: Any) -> Train:
    """``train(project, *overrides)`` on an installed tiny task."""
    install_task(mml_project.data, "tiny")

    def run(project: str, *overrides: str) -> Result:
        return mml(*TRAIN, "--proj", project, *overrides)

    return run


def plan(project: MMLProject, name: str) -> list[tuple[str, ...]]:
    rows = plan_of_run(project.runs(name)[-1])
    assert {row["state"] for row in rows} == {"done"}
    return [(row["method"], *map(str, row["params"])) for row in rows]


def of_key(files: dict[str, str], folder: str) -> dict[str, str]:
    return {path: digest for path, digest in files.items() if path.startswith(f"{folder}/")}


def records(project: MMLProject, name: str) -> list[dict[str, Any]]:
    folder = project.runs(name)[-1] / "steps"
    return [json.loads(path.read_text())["body"] for path in sorted(folder.glob("*.json"))]


def test_steps_files_and_numbers(train: Train, mml_project: MMLProject) -> None:
    import pyarrow.parquet as pq
    from sklearn.metrics import accuracy_score

    from mml_core.learning.predictions import load_predictions

    result = train("a")
    assert result.code == 0, result.err
    steps = plan(mml_project, "a")
    expected = [(f"{what}_fold", "tiny", fold) for fold in "01" for what in ("train", "predict", "test")]
    assert steps[:6] == expected
    files = mml_project.files("a")
    assert {Path(path).parts[0] for path in files} == {
        "PARAMETERS",
        "PIPELINES",
        "MODELS",
        "METRICS",
        "PREDICTIONS",
    }
    assert len(files) == 12  # history and scores are both metrics

    expected_scores = {}
    for path in of_key(files, "PREDICTIONS"):
        for predictions in load_predictions(mml_project.path("a") / path):
            assert predictions.targets is not None
            truth, chosen = predictions.targets, predictions.outputs.argmax(1)  # type: ignore[union-attr]
            expected_scores[predictions.fold, predictions.split] = accuracy_score(truth, chosen)
    assert set(expected_scores) == {(fold, split) for fold in (0, 1) for split in ("val", "test")}
    found, histories = {}, []
    for path in of_key(files, "METRICS"):
        for score in pq.read_table(mml_project.path("a") / path).to_pylist():
            if score["epoch"] is None and score["metric"] == "accuracy":
                found[score["fold"], score["split"]] = score["value"]
            elif score["epoch"] is not None:
                histories.append((score["fold"], score["epoch"], f"{score['split']}/{score['metric']}"))
    assert found == expected_scores
    assert {(0, 0, "train/loss"), (0, 1, "val/loss"), (1, 1, "val/accuracy")} <= set(histories)
    mean = (expected_scores[0, "test"] + expected_scores[1, "test"]) / 2
    (row,) = (line for line in result.out.splitlines() if line.split()[:2] == ["tiny", "accuracy"])
    assert row.split()[2] == f"{mean:.4f}"


def test_equal_seeds_give_equal_bytes(train: Train, mml_project: MMLProject) -> None:
    results = [train(name, f"seed={seed}", "mode.folds=1") for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert [result.code for result in results] == [0, 0, 0]
    first, second, other = (mml_project.files(name) for name in "abc")
    for folder in ("PARAMETERS", "PREDICTIONS", "METRICS", "PIPELINES"):
        assert of_key(first, folder) == of_key(second, folder), folder
    assert not set(of_key(first, "PARAMETERS").values()) & set(of_key(other, "PARAMETERS").values())
    assert results[0].out.replace("/a:", "") == results[1].out.replace("/b:", "")


def test_a_later_run_predicts_and_tests_what_an_earlier_one_trained(
    train: Train, mml_project: MMLProject
) -> None:
    whole = train("whole")
    first = train("models", "mode.subroutines=[train]")
    assert (whole.code, first.code) == (0, 0)
    assert not of_key(mml_project.files("models"), "PREDICTIONS")
    second = train("later", "mode.subroutines=[predict,test]", "reuse.models=models")
    assert second.code == 0, second.err
    assert plan(mml_project, "later")[:2] == [("predict_fold", "tiny", "0"), ("test_fold", "tiny", "0")]
    predicted = of_key(mml_project.files("later"), "PREDICTIONS")
    assert predicted == of_key(mml_project.files("whole"), "PREDICTIONS")
    assert not of_key(mml_project.files("later"), "PARAMETERS")


def test_reused_predictions_are_never_those_of_another_fold(train: Train, mml_project: MMLProject) -> None:
    assert train("a").code == 0
    alone = "mode.subroutines=[test]"
    nothing = train("b", alone)
    assert nothing.code == 2
    assert "has no predictions to test" in nothing.err
    several = train("b", alone, "reuse.predictions=a")
    assert several.code == 2
    assert "one fold" in several.err
    assert several.err.strip().count("\n") == 0
    wrong = train("b", alone, "reuse.predictions=a", "mode.folds=[0]")  # the newest are those of fold 1
    assert wrong.code != 0
    assert "fold 1, not of task 'tiny', fold 0" in wrong.err
    assert not of_key(mml_project.files("b"), "METRICS") if mml_project.path("b").exists() else True
    right = train("b", alone, "reuse.predictions=a", "mode.folds=[1]")
    assert right.code == 0, right.err


def test_what_cannot_be_trained_is_refused_before_anything_is_made(
    train: Train, mml_project: MMLProject
) -> None:
    for override, message in {
        "mode.folds=[7]": "has no fold 7",
        "mode.folds=3": "has 2 folds",
        "arch.name=ResNett": "Did you mean",
        "arch.name=UNet": "serves semantic_segmentation",
        "mode.subroutines=[predict,test]": "no model of fold 0",
    }.items():
        result = train("a", override)
        assert result.code != 0, override
        assert message in result.err, result.err
    assert not mml_project.files("a")


def test_a_search_is_a_step_of_each_task_with_a_result_of_its_own(
    train: Train, mml_project: MMLProject, install_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mml_core.learning import optimisation

    install_task(mml_project.data, "other", seed=5)
    used = []
    original = optimisation.build_optimizer

    def build_optimizer(parameters: Any, config: dict[str, Any]) -> Any:
        used.append(config["lr"])
        return original(parameters, config)

    monkeypatch.setattr("mml_core.learning.optimised.build_optimizer", build_optimizer)
    result = train("a", "task_list=[tiny,other]", "tune.lr=true", "tune.steps=20", "mode.subroutines=[train]")
    assert result.code == 0, result.err
    steps = plan(mml_project, "a")
    assert [step[:2] for step in steps[:6]] == [
        (method, task) for task in ("tiny", "other") for method in ("tune_task", *["train_fold"] * 2)
    ]
    rates = {
        record["params"][0]: record["value"]["tuned"]["lr"]
        for record in records(mml_project, "a")
        if record["method"] == "tune_task"
    }
    assert set(rates) == {"tiny", "other"}
    # every search and every fold builds one optimiser; a search begins at the rate of the config
    configured = used[0]
    expected = [configured, *[rates["tiny"]] * 2, configured, *[rates["other"]] * 2]
    assert used == pytest.approx(expected)


@pytest.mark.long
def test_g01_g02_a_run_killed_twice_equals_an_uninterrupted_one(
    train: Train, mml: CommandRunner, mml_project: MMLProject, mml_process: ProcessRunner
) -> None:
    seed = random.randrange(10**6)
    print("seed of the moments of the kills:", seed)
    moments = random.Random(seed)
    overrides = ["trainer.max_epochs=6", "--proj", "killed"]
    whole = train("whole", "trainer.max_epochs=6")
    assert whole.code == 0, whole.err

    attempts = mml_project.path("killed") / ".mml" / "attempts"
    kill(mml_process.start(*TRAIN, *overrides), lambda: any(attempts.glob("*/*")), moments.uniform(0, 4))
    (run,) = mml_project.runs("killed")
    steps = moments.randint(1, 4)
    there = len(list((run / "steps").glob("*.json"))) if (run / "steps").is_dir() else 0
    kill(
        mml_process.start("run", "--continue", "--proj", "killed"),
        lambda: len(list((run / "steps").glob("*.json"))) >= there + steps,
        moments.uniform(0, 0.2),
    )
    done = mml("run", "--continue", "--proj", "killed")
    assert done.code == 0, done.err
    assert mml_project.runs("killed") == [run]
    for folder in ("PARAMETERS", "PREDICTIONS", "METRICS", "PIPELINES"):
        assert of_key(mml_project.files("killed"), folder) == of_key(mml_project.files("whole"), folder)
    # Not what is printed: a run that ended just before the last kill has told its table already.
    assert told(mml_project, "killed") == told(mml_project, "whole")


def told(project: MMLProject, name: str) -> str:
    """The return value of a project's run, without the names of the project."""
    (run,) = project.runs(name)
    done = RunDirectory(run).done()
    assert done is not None
    return repr(values.decode(done.return_value)).replace(str(project.path(name)), "PROJ")


def kill(process: "subprocess.Popen[str]", ready: Callable[[], bool], seconds: float) -> None:
    """Kill a process some time after something was seen."""
    end = time.monotonic() + 120
    while not ready() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(seconds)
    process.kill()
    process.communicate()
