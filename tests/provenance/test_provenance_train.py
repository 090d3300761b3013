"""A trained model is explained end to end, and training steps are taken over where nothing differs."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mml_core.files.errors import DamagedArtefactError
from mml_core.files.manager import MMLFileManager

if TYPE_CHECKING:
    from tests.provenance.conftest import Rests

QUICK = [
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "preprocessing=none",
    "loader.batch_size=4",
    "mode.folds=1",
]


@pytest.fixture
def train(rests: Rests) -> Rests:
    """A project with a model of one fold, trained for an epoch."""
    result = rests.run(*QUICK, mode="train")
    assert result.code == 0, result.err
    return rests


def run_again(rests: Rests, *overrides: str) -> list[str]:
    """Run again, and return which steps were not taken over."""
    from mml_core.scheduling.verifying import records_of

    result = rests.run(*QUICK, "reuse.auto=true", *overrides, mode="train")
    assert result.code == 0, result.err
    return sorted(record.method for record in records_of(rests.newest()) if record.taken is None)


def walk(cause: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield cause
    for each in cause["rests_on"]:
        yield from walk(each)


def test_predictions_are_explained_through_the_model_to_the_images(train: Rests) -> None:
    result = train.mml("files", "why", "PREDICTIONS/dots/fold0_0001.parquet", "--json")

    told = list(walk(json.loads(result.out)))

    kinds = Counter(each["kind"] for each in told)
    assert kinds["task"] == kinds["dataset"] == 2
    assert [each["method"] for each in told if "method" in each] == ["predict_fold", "train_fold"]
    files = {each["key"] for each in told if each["kind"] == "file"}
    assert {"predictions", "parameters", "pipeline", "metrics"} == files
    (trained,) = (each for each in told if each.get("method") == "train_fold")
    assert trained["config"]["trainer"]["max_epochs"] == 1
    assert {"arch", "optimizer", "loss"} <= trained["config"].keys()
    unread = ("mode.folds", "mode.subroutines", "task_list", "proj", "paths")  # by this step
    assert not {key for key in trained["config"] if key == "mode" or key.startswith(unread)}


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("logging=csv", []),
        ("metrics.classification=[accuracy]", ["predict_fold", "test_fold", "train_fold"]),
        ("optimizer.lr=0.5", ["predict_fold", "test_fold", "train_fold"]),
        ("mode.subroutines=[train]", []),
    ],
)
def test_training_steps_are_taken_over_where_nothing_differs(
    train: Rests, change: str, again: list[str]
) -> None:
    finishing = ["before_finishing_hook"]

    assert run_again(train, change) == finishing + again


def test_a_further_fold_leaves_the_first_as_it_was(train: Rests) -> None:
    finishing = ["before_finishing_hook"]

    assert run_again(train, "mode.folds=2") == [*finishing, "predict_fold", "test_fold", "train_fold"]
    assert (train.project.path() / "PARAMETERS/dots/model_0002.safetensors").exists()
    assert not (train.project.path() / "PARAMETERS/dots/model_0003.safetensors").exists()


def test_the_table_of_a_run_that_was_taken_over_is_the_same(train: Rests) -> None:
    first = train.run(*QUICK, "reuse.auto=true", mode="train").out
    second = train.run(*QUICK, "reuse.auto=true", mode="train").out

    assert first == second
    assert "accuracy" in first


def test_a_training_of_another_project_is_taken_over_and_its_model_used(train: Rests) -> None:
    from mml_core.scheduling.verifying import records_of

    for project, source, more in (("b", "default", ["mode.subroutines=[train]"]), ("c", "b", [])):
        result = train.run(*QUICK, *more, "--proj", project, f"reuse.auto={source}", mode="train")
        assert result.code == 0, result.err
    ran = [record.method for record in records_of(train.newest("c")) if record.taken is None]
    assert sorted(ran) == ["before_finishing_hook", "predict_fold", "test_fold"]
    assert train.mml("files", "verify", "--proj", "c").code == 0


def test_predictions_of_a_model_of_another_project_are_explained_through_it(train: Rests) -> None:
    options = ["--proj", "other", "mode.subroutines=[predict]", "reuse.models=default"]
    result = train.run(*QUICK, *options, mode="train")
    assert result.code == 0, result.err

    told = train.mml("files", "why", "PREDICTIONS/dots/fold0_0001.parquet", "--proj", "other", "--json")

    found = list(walk(json.loads(told.out)))
    methods = [each["method"] for each in found if "method" in each]
    assert sorted(methods) == ["predict_fold", "predict_fold", "train_fold"]  # the model has some, too
    assert {each["project"] for each in found if each["kind"] == "file"} == {"default", "other"}
    archive = str(train.project.root / "other.tar")
    assert train.mml("files", "export", "other", archive).code == 0
    unpacked = train.mml("files", "import", archive, "--proj", "again")
    assert unpacked.code == 0, unpacked.err


def test_a_reused_model_has_its_predictions_and_test_metrics(train: Rests) -> None:
    from mml_core.plugins import PluginManager
    from mml_core.scheduling.amendments import amended

    results = train.project.results
    options = {"data": train.project.data, "results": results, "project": "other"}
    with MMLFileManager(**options, plugins=PluginManager.discover(), reuse={"models": "default"}) as manager:
        stored = manager.load_struct("dots").models
        (model,) = amended(stored, results)
        manager.check_models([model])
        assert not stored[0].predictions
        assert {path.name for path in model.predictions.values()} == {"fold0_0001.parquet"}
        assert "val" in model.predictions
        assert any(name.startswith("test/") for name in model.metrics)
        next(iter(model.predictions.values())).write_bytes(b"")
        with pytest.raises(DamagedArtefactError, match=r"fold0_0001\.parquet"):
            manager.check_models([model])
    shutil.rmtree(train.newest().path)
    assert amended(stored, results) == stored


def test_steps_take_a_reused_model_as_its_run_left_it(train: Rests) -> None:
    options = ["--proj", "other", "mode.subroutines=[predict]", "reuse.models=default"]
    assert train.run(*QUICK, *options, mode="train").code == 0
    plan = train.newest("other").load_plan()
    assert plan is not None
    (model,) = plan.structs["dots"]["models"]
    assert model["predictions"]["val"] == "../default/PREDICTIONS/dots/fold0_0001.parquet"
