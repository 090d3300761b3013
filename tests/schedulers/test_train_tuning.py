"""What a search has found, and how classes are weighted, is written down; both go with what is trained."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from mml_core.tasks.description import TaskType

pytest_plugins = ["mml_core.testing.crash"]

TINY = [
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "preprocessing=none",
    "loader.batch_size=8",
    "mode.folds=1",
    "mode.subroutines=[train]",
]
TUNED = ["tune.lr=true", "tune.steps=8", "tune.min_lr=1e-4", "tune.max_lr=0.1"]


def run(mml: Any, *overrides: str, mode: str = "train") -> Any:
    result = mml("run", f"--mode={mode}", "--tasks=a", *TINY, *overrides)
    assert result.code == 0, result.err
    return result


def records(project: Any, method: str) -> list[dict[str, Any]]:
    """What the steps of a method have returned."""
    (run_dir,) = project.runs()
    found = [json.loads(path.read_text())["body"] for path in sorted((run_dir / "steps").glob("*.json"))]
    return [record["value"] for record in found if record["method"] == method]


def pipeline(project: Any) -> dict[str, Any]:
    (path,) = project.path().glob("PIPELINES/a/*.yaml")
    stored: dict[str, Any] = yaml.safe_load(path.read_text())
    return stored


def test_what_was_found_is_in_the_record_and_the_pipeline(mml, mml_project, install) -> None:
    install("a")
    run(mml, *TUNED, "tune.batch_size=true", "tune.max_batch_size=16")
    (found,) = (record["tuned"] for record in records(mml_project, "tune_task"))
    training = pipeline(mml_project)["training"]
    assert training["optimizer"]["lr"] == found["lr"]
    assert training["loader"]["batch_size"] == found["batch_size"] == 16


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["callbacks.ema.decay=0.9"], id="ema"),
        pytest.param(["callbacks.swa.start=0.5", "lr_scheduler=cosine"], id="swa"),
        pytest.param(["augmentations.mixup=0.2"], id="mixup"),
        pytest.param(["adapter=lora"], id="adapter"),
        pytest.param(["arch.compile=aot_eager"], id="compiled"),
        pytest.param(
            ["mode.co_tasks.tasks=[b]", "tune.batch_size=true", "tune.max_batch_size=8"], id="joint"
        ),
        pytest.param(["loss=focal", "loss.classification.class_weights=balanced"], id="focal"),
    ],
)
def test_a_search_goes_with_whatever_is_trained(options, mml, mml_project, install) -> None:
    if "adapter=lora" in options:
        pytest.importorskip("peft")
    install("a")
    install("b", TaskType.REGRESSION, seed=1)
    run(mml, *TUNED, *options)
    (found,) = (record["tuned"] for record in records(mml_project, "tune_task"))
    assert 0 < found["lr"] < 0.1
    assert pipeline(mml_project)["training"]["optimizer"]["lr"] == found["lr"]


def test_a_search_begins_with_the_weights_of_a_transfer(mml, mml_project, install) -> None:
    install("a")
    install("b", seed=1)
    run(mml, *TUNED, "mode.pretrain_task=b", "mode.freeze=backbone", mode="transfer")
    (found,) = (record["tuned"] for record in records(mml_project, "tune_task"))
    assert found["lr"] > 0


@pytest.mark.long
def test_g01_g02_a_search_is_killed_and_continued(crash_kit, install) -> None:
    install("a")
    crash_kit("train", *TINY, *TUNED, tasks=["a"], sample=6, methods=["tune_task"])


def test_balanced_weights_are_in_the_record(mml, mml_project, install) -> None:
    install("a")
    run(mml, "loss.classification.class_weights=balanced")
    (record,) = records(mml_project, "train_fold")
    (weights,) = record["class_weights"].values()
    assert weights == pytest.approx([1.0] * len(weights), abs=0.5)
