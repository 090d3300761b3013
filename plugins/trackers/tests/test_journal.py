"""The journal holds what trackers are told, whatever its writers went through."""

from __future__ import annotations

import math

import pytest
from mml_trackers.journal import Journal, numbers_of
from mml_trackers.mirror import without_secrets
from mml_trackers.options import (
    MLflowOptions,
    TrackerError,
    logging_of,
    read_options,
    refuse_stored_password,
    variables_in,
)
from mml_trackers.tracked import clean, flatten, units_of


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path)


def begin(journal, step="train-a-0", task="a", fold="0"):
    found = journal.step(step)
    found.note("step", name=step.partition("-")[0], task=task, fold=fold)
    return found


def epochs(curve):
    return {epoch: value for epoch, (value, _) in curve.items()}


def test_an_epoch_that_was_trained_again_counts_once(journal) -> None:
    step = begin(journal)
    for epoch in (0, 1, 2):
        step.note("epoch", fit=1, epoch=epoch, metrics={"val/loss": float(epoch)})
    begin(journal)  # goes on from a checkpoint after epoch 0
    step.note("epoch", fit=1, epoch=1, metrics={"val/loss": 10.0})
    (track,) = journal.steps()
    assert epochs(track.curves["val/loss"]) == {0: 0.0, 1: 10.0}


def test_a_line_that_its_writer_was_killed_in_is_left_out(journal, tmp_path) -> None:
    step = begin(journal)
    with (tmp_path / "steps" / "train-a-0.jsonl").open("a") as file:
        file.write('{"event": "epoch", "fit": 1, "epo')
    step.note("epoch", fit=1, epoch=0, metrics={"val/loss": math.nan})
    (track,) = journal.steps()
    assert list(track.curves) == ["val/loss"]
    assert math.isnan(track.curves["val/loss"][0][0])


def test_a_second_training_of_a_step_has_curves_of_its_own(journal) -> None:
    step = begin(journal)
    for fit, epoch in ((1, 0), (2, 0), (2, 1), (1, 1), (1, 0)):  # the first is trained again
        step.note("epoch", fit=fit, epoch=epoch, metrics={"val/loss": float(fit)})
    (track,) = journal.steps()
    assert {name: epochs(curve) for name, curve in track.curves.items()} == {
        "val/loss": {0: 1.0},
        "fit2/val/loss": {0: 2.0, 1: 2.0},
    }


def test_steps_about_one_task_and_fold_belong_together(journal) -> None:
    begin(journal, "train-a-0")
    begin(journal, "test-a-0").note("end", ok=True, error="", numbers={"x": 1.0}, task="a", fold="0")
    begin(journal, "train-a-1", fold="1").note("end", ok=False, error="E", numbers={}, task="a", fold="1")
    begin(journal, "count", task=None, fold=None)
    whole, units = units_of(journal.steps())
    assert [step.id for step in whole.steps] == ["count"]
    assert [(unit.label, unit.state) for unit in units] == [("a fold 0", "running"), ("a fold 1", "failed")]
    assert [point.name for point in units[0].points()] == ["test/x"]


def test_numbers_stand_under_their_path() -> None:
    value = {"task": "a", "ok": True, "scores": {"test": {"accuracy": 1}}, "interval": [0, 1]}
    assert numbers_of(value) == {"scores/test/accuracy": 1.0}
    assert numbers_of(3) == {"value": 3.0}


def test_a_config_is_flattened_to_text() -> None:
    config = {"a": {"b": None, "c": [1, "x"]}, "d": "text", "e": {}}
    assert flatten(config) == {"a.b": "null", "a.c": '[1, "x"]', "d": "text", "e": "{}"}


def test_names_become_what_trackers_take() -> None:
    assert clean("val/digits+nested?0/loss") == "val/digits_nested_0/loss"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mlflow": {"urii": "x"}}, "Unknown option 'logging.mlflow.urii'. Did you mean 'uri'?"),
        ({"mlflow": {"copy": "models"}}, "logging.mlflow.copy must be a list of path keys, found 'models'."),
        ({"mlflow": {"every": 0}}, "logging.mlflow.every must be a number above 0, found 0."),
        ({"mlflow": {"wait": True}}, "logging.mlflow.wait must be a number above 0, found True."),
        ({"wandb": {"entity": 3}}, "logging.wandb.entity must be text, found 3."),
        ({"wandb": True}, "logging.wandb is True; choose it by logging=wandb."),
    ],
)
def test_an_option_that_cannot_be_is_named(options, message) -> None:
    with pytest.raises(TrackerError) as caught:
        read_options(options)
    assert str(caught.value) == message


def test_a_validation_and_the_end_of_its_epoch_are_one_point(journal) -> None:
    step = begin(journal)
    step.note("epoch", fit=1, epoch=0, metrics={"val/loss": 1.0})
    step.note("epoch", fit=1, epoch=0, metrics={"train/loss": 2.0})
    (track,) = journal.steps()
    assert {name: epochs(curve) for name, curve in track.curves.items()} == {
        "val/loss": {0: 1.0},
        "train/loss": {0: 2.0},
    }


def test_an_address_with_a_password_comes_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("STORE", "http://me:s3cret@example.org")
    config = {"logging": {"mlflow": {"uri": "${oc.env:STORE}"}}}
    refuse_stored_password(config["logging"])
    (options,) = read_options(logging_of(config))
    assert isinstance(options, MLflowOptions)
    assert options.uri == "http://me:s3cret@example.org"
    assert variables_in(config) == ["STORE"]
    monkeypatch.delenv("STORE")
    with pytest.raises(TrackerError, match="STORE"):
        logging_of(config)


def test_a_password_is_refused_where_it_would_be_stored_and_is_not_repeated() -> None:
    with pytest.raises(TrackerError) as caught:
        refuse_stored_password({"mlflow": {"uri": "http://me:s3cret@example.org"}})
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_messages_of_trackers_lose_the_secrets_of_the_environment() -> None:
    told = "cannot reach\nhttp://me:s3cret@example.org with abcdef"
    assert without_secrets(told, ["abcdef"]) == "cannot reach http://me:***@example.org with ***"
