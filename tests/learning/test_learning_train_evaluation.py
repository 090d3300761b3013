"""What the test step of the mode train measures: intervals, classes and plots, as the config says."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mml_core.learning.intervals import bootstrap
from mml_core.learning.predictions import load_predictions
from mml_core.testing.fixtures import CommandRunner, MMLProject, Result

pytest_plugins = ["mml_core.testing.fixtures"]

QUICK = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
QUICKER = [*QUICK, "metrics.intervals.resamples=50"]
Train = Callable[..., Result]


@pytest.fixture
def train(mml: CommandRunner, mml_project: MMLProject, install_task: Any) -> Train:
    """``train(*overrides, **task)`` on a tiny task of the classes dark and bright."""

    def run(*overrides: str, **task: Any) -> Result:
        if not (mml_project.data / "tasks" / "tiny").is_dir():
            install_task(mml_project.data, "tiny", **task)
        return mml("run", "--mode=train", "--tasks=tiny", *QUICKER, *overrides)

    return run


def measured(project: MMLProject) -> list[dict[str, Any]]:
    """The rows of the newest table of metrics of saved predictions."""
    rows: list[dict[str, Any]] = pq.read_table(
        max(project.path().glob("METRICS/tiny/metrics_*.parquet"))
    ).to_pylist()
    assert all(row["epoch"] is None for row in rows)
    return rows


def step(project: MMLProject, method: str) -> dict[str, Any]:
    (record,) = (project.runs()[-1] / "steps").glob(f"{method}*.json")
    return json.loads(record.read_bytes())


def test_metrics_of_one_fold_have_intervals(train: Train, mml_project: MMLProject) -> None:
    result = train("mode.folds=1", "metrics.per_class=true")
    assert result.code == 0, result.err
    assert "Metrics, [95 % bootstrap interval]:" in result.out
    rows = measured(mml_project)
    for row in rows:
        assert row["confidence"] == 0.95
        assert not math.isnan(row["value"])
        assert row["low"] <= row["value"] <= row["high"]
    named = {(row["metric"], row["class_name"]) for row in rows if row["split"] == "test"}
    assert {("f1", None), ("f1", "dark"), ("f1", "bright"), ("accuracy", None)} <= named
    assert ("accuracy", "dark") not in named
    (accuracy,) = (row for row in rows if (row["split"], row["metric"]) == ("test", "accuracy"))
    cell = f"{accuracy['value']:.4f} [{accuracy['low']:.4f}, {accuracy['high']:.4f}]"
    assert cell in result.out
    # The interval is that of the saved predictions under the seed of the step.
    test = load_predictions(next(mml_project.path().glob("PREDICTIONS/tiny/*.parquet")))[1]
    seed = step(mml_project, "test_fold")["body"]["seed"]
    expected = bootstrap(test, "accuracy", resamples=50, seed=seed)
    assert (accuracy["low"], accuracy["high"]) == (expected.low, expected.high)


def test_intervals_are_over_subjects_unless_told_otherwise(train: Train, mml_project: MMLProject) -> None:
    task = {"samples": 200, "subjects": 10}  # every fifth image is for testing: those of two subjects
    assert train("mode.folds=1", **task).code == 0
    test = load_predictions(next(mml_project.path().glob("PREDICTIONS/tiny/*.parquet")))[1]
    assert set(test.subject_ids or ()) == {"p4", "p9"}
    by_subject = measured(mml_project)
    rest = ["mode.subroutines=[test]", "reuse.predictions=default", "metrics.intervals.by_subject=false"]
    assert train("mode.folds=1", *rest).code == 0
    by_sample = measured(mml_project)
    for subjects, samples in zip(by_subject, by_sample, strict=True):
        assert subjects["value"] == samples["value"]
        assert (subjects["low"], subjects["high"]) != (samples["low"], samples["high"])


def test_metrics_of_several_folds_are_summed_up(train: Train) -> None:
    result = train()
    assert result.code == 0, result.err
    assert "Metrics, mean ± standard deviation over folds:" in result.out


def test_intervals_can_be_left_out(train: Train, mml_project: MMLProject) -> None:
    result = train("mode.folds=1", "metrics.intervals.method=none")
    assert result.code == 0, result.err
    assert "[" not in result.out.partition("Files in")[0]
    assert {(row["low"], row["confidence"], row["class_name"]) for row in measured(mml_project)} == {
        (None, None, None)
    }


def test_plots_are_files_of_the_run_and_come_out_alike(train: Train, mml_project: MMLProject) -> None:
    names = ["confusion_matrix", "calibration", "roc"]
    wanted = ["mode.folds=1", f"metrics.plots=[{','.join(names)}]"]
    assert train(*wanted).code == 0
    first = {path.name: path.read_bytes() for path in mml_project.path().glob("PLOTS/tiny/*.png")}
    assert {name.rpartition("_")[0] for name in first} == {
        f"{name}_{split}_fold0" for name in names for split in ("val", "test")
    }
    assert all(image.startswith(b"\x89PNG") for image in first.values())
    again = train(*wanted, "mode.subroutines=[test]", "reuse.predictions=default")
    assert again.code == 0, again.err
    both = [path.read_bytes() for path in mml_project.path().glob("PLOTS/tiny/*.png")]
    assert len(both) == 2 * len(first)
    assert set(both) == set(first.values())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metrics.intervals.method=basic", "bca or percentile, found 'basic'"),
        ("metrics.intervals.confidence=95", "between 0 and 1, found 95"),
        ("metrics.intervals.resamples=0", "from 1, found 0"),
        ("+metrics.intervals.resample=5", "Did you mean 'resamples'"),
        ("metrics.intervals=false", "metrics.intervals.method=none"),
        ("metrics.plots=[rok]", "Unknown plot 'rok'"),
        ("metrics.plots=roc", "write [roc]"),
        ("metrics.per_class=all", "true or false, found 'all'"),
        ("metrics.classification=[acuracy]", "Did you mean 'accuracy'"),
    ],
)
def test_misuse_is_named_before_there_is_a_run(
    override: str, message: str, train: Train, mml_project: MMLProject
) -> None:
    result = train(override)
    assert result.code == 2
    assert message in result.err
    assert not (mml_project.results / "default").exists() or not list(
        Path(mml_project.path()).glob("MODELS/*")
    )


def test_full_metrics_are_all_there_are(train: Train, mml_project: MMLProject) -> None:
    from omegaconf import OmegaConf

    from mml_core.learning.metrics import BY_TYPE
    from mml_core.learning.plots import PLOTS

    assert train("metrics=full", "mode.folds=1").code == 0
    config = OmegaConf.load(mml_project.runs()[-1] / "config.yaml").metrics
    assert {task_type: set(config[task_type]) for task_type in BY_TYPE} == {
        task_type: set(names) for task_type, names in BY_TYPE.items()
    }
    assert set(config.plots) == set(PLOTS)
    assert {row["metric"] for row in measured(mml_project)} == set(BY_TYPE["classification"])


@pytest.mark.long  # as the crash tests of training are: each point costs two commands
def test_an_evaluation_that_is_killed_comes_out_as_if_it_had_not_been(
    crash_kit: Any, mml_project: MMLProject, install_task: Any
) -> None:
    install_task(mml_project.data, "tiny")
    overrides = [*QUICKER, "metrics=full", "mode.folds=1"]
    report = crash_kit("train", *overrides, tasks=["tiny"], methods=["test_fold"], sample=20)
    assert report.points
