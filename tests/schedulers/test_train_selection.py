"""Choosing by the validation fold: what is kept, and what is refused because it would be reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mml_core.testing.fixtures import MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]

STOP = "callbacks.early_stopping.patience=1"
BEST = "mode.weights=best"
PLATEAU = "lr_scheduler=plateau"


def steps(project: MMLProject, method: str) -> list[dict[str, Any]]:
    (run,) = project.runs()
    found = [json.loads(path.read_text())["body"] for path in sorted((run / "steps").glob("*.json"))]
    return [each["value"] for each in found if each["method"] == method]


@pytest.mark.parametrize(
    ("override", "setting"),
    [(STOP, "callbacks.early_stopping"), (BEST, "mode.weights=best"), (PLATEAU, "lr_scheduler=plateau")],
)
def test_the_fold_that_is_reported_must_not_choose(train, install, mml_project, override, setting) -> None:
    install("a", test=False)
    result = train("a", override)
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert line.startswith(f"mml: {setting} would choose by fold 0 of task 'a'")
    assert "mode.nested=true" in line
    assert not mml_project.runs()


@pytest.mark.parametrize("allowed", ["mode.nested=true", "mode.subroutines=[train,predict]"])
def test_it_may_where_another_fold_or_nothing_is_reported(train, install, allowed) -> None:
    install("a", test=False)
    result = train("a", BEST, allowed, "mode.folds=1", "--plan")
    assert result.code == 0, result.err


def test_with_a_test_split_it_may_and_its_scores_are_marked(train, install, mml_project) -> None:
    install("a")
    result = train("a", STOP, BEST, PLATEAU, "mode.folds=1")
    assert result.code == 0, result.err
    assert "* by which the training chose" in result.out
    (row,) = (line for line in result.out.splitlines() if line.split()[:2] == ["a", "accuracy"])
    assert " * " in row
    (model,) = mml_project.path().glob("MODELS/a/*.json")
    assert json.loads(model.read_text())["selected_by"] == [
        "callbacks.early_stopping",
        "lr_scheduler=plateau",
        "mode.weights=best",
    ]


def test_without_a_choice_nothing_is_marked(train, install, mml_project) -> None:
    install("a")
    result = train("a", "mode.folds=1")
    assert "by which the training chose" not in result.out
    (model,) = mml_project.path().glob("MODELS/a/*.json")
    assert json.loads(model.read_text())["selected_by"] == []


def test_what_is_chosen_by_the_training_part_is_no_leak(train, install) -> None:
    install("a", test=False)
    result = train("a", STOP, "callbacks.early_stopping.monitor=train/loss", "mode.folds=1", "--plan")
    assert result.code == 0, result.err


def test_a_later_run_does_not_report_the_fold_a_model_was_chosen_by(train, install) -> None:
    install("a", test=False)
    made = train("a", BEST, "mode.subroutines=[train]", "mode.folds=1", "--proj", "models")
    assert made.code == 0, made.err
    later = train("a", "mode.subroutines=[predict,test]", "mode.folds=1", "reuse.models=models")
    assert later.code == 2
    assert "mode.weights=best would choose by fold 0" in later.err


def test_best_weights_are_those_of_the_best_epoch(train, install, mml_project) -> None:
    from safetensors.numpy import load_file

    install("a")
    rate = "optimizer.lr=0.3"
    options = ["mode.folds=1", "mode.subroutines=[train]", "optimizer=sgd", rate, "lr_scheduler=none"]
    best = train("a", BEST, "trainer.max_epochs=6", *options)
    assert best.code == 0, best.err
    (found,) = steps(mml_project, "train_fold")
    epoch = found["epoch"]
    assert epoch < 5, "the training has to get worse again for this test to say anything"
    shorter = train("a", f"trainer.max_epochs={epoch + 1}", *options, "--proj", "shorter")
    assert shorter.code == 0, shorter.err
    kept, last = (
        load_file(next(mml_project.path(name).glob("PARAMETERS/a/*"))) for name in ("default", "shorter")
    )
    assert all((kept[name] == last[name]).all() for name in last)
    assert found["metrics"]["val/loss"] == pytest.approx(_val_loss(mml_project.path("shorter")))


def _val_loss(project: Path) -> float:
    (model,) = project.glob("MODELS/a/*.json")
    return float(json.loads(model.read_text())["metrics"]["val/loss"])


def test_early_stopping_ends_a_training_that_does_not_improve(train, install, mml_project) -> None:
    import pyarrow.parquet as pq

    install("a")
    never = "callbacks.early_stopping.min_delta=100"
    options = ["mode.folds=1", "mode.subroutines=[train]", "trainer.max_epochs=9"]
    assert train("a", STOP, never, *options).code == 0
    (history,) = mml_project.path().glob("METRICS/a/*")
    assert max(pq.read_table(history)["epoch"].to_pylist()) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mode.weights=bets", "mode.weights must be last or best"),
        ("mode.monitor=val/acuracy", "Did you mean 'accuracy'"),
        ("mode.monitor=val/mae", "does not log"),
        ("mode.direction=up", "mode.direction must be"),
    ],
)
def test_an_impossible_choice_is_refused(train, install, override, message) -> None:
    install("a")
    result = train("a", BEST, override)
    assert result.code == 2
    assert message in result.err
