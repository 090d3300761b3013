"""`mml compare` finds the predictions of two models, and compares them on the samples of both."""

import json
from pathlib import Path
from typing import Any

import pytest

from mml_core.learning.comparison import compare
from mml_core.learning.intervals import Bootstrap
from mml_core.learning.predictions import load_predictions
from mml_core.testing.fixtures import CommandRunner, MMLProject, Result

pytest_plugins = ["mml_core.testing.fixtures"]

QUICK = [
    "trainer.accelerator=cpu",
    "preprocessing=none",
    "loader.batch_size=8",
    "metrics.intervals.method=none",
]
FEW = ["--resamples", "100"]


@pytest.fixture
def projects(mml: CommandRunner, mml_project: MMLProject, install_tiny_task) -> MMLProject:
    """Projects ``short`` and ``long`` with models of two folds of the task ``tiny``."""
    install_tiny_task(mml_project.data, "tiny", samples=60)
    train(mml, "short", "trainer.max_epochs=1")
    train(mml, "long", "trainer.max_epochs=3")
    return mml_project


def train(mml: CommandRunner, project: str, *overrides: str, tasks: str = "tiny") -> None:
    result = mml("run", "--mode=train", f"--proj={project}", f"--tasks={tasks}", *QUICK, *overrides)
    assert result.code == 0, result.err


def content(result: Result) -> dict[str, Any]:
    assert result.code == 0, result.err
    return json.loads(result.out)


def files(project: MMLProject, name: str) -> list[Path]:
    return sorted(project.path(name).glob("PREDICTIONS/tiny/*.parquet"))


def test_projects_are_compared_over_their_folds(mml: CommandRunner, projects: MMLProject) -> None:
    found = content(mml("compare", "short", "long", "--metric", "auroc", "--json", *FEW))
    (row,) = found["comparisons"]
    sides = [
        [part for file in files(projects, name) for part in load_predictions(file) if part.split == "test"]
        for name in ("short", "long")
    ]
    (expected,) = compare(*sides, ["auroc"], Bootstrap(resamples=100), seed=42)
    assert (row["first"], row["second"]) == (expected.first, expected.second)
    assert row["difference"]["low"] == expected.difference.low
    assert row["p_value"] == expected.p_value
    assert (row["task"], row["split"], row["folds"], row["units"]) == ("tiny", "test", 2, 12)
    assert found["over_tasks"] == []


def test_the_table_shows_the_metrics_of_the_config(mml: CommandRunner, projects: MMLProject) -> None:
    result = mml("compare", "short", "long", *FEW)
    assert result.code == 0, result.err
    assert result.out.startswith("first short, second long, difference with 95 % interval:")
    names = [line.split()[1] for line in result.out.splitlines()[2:]]
    assert names == ["accuracy", "balanced_accuracy", "auroc", "f1"]


def test_files_and_models_are_compared_as_their_projects(mml: CommandRunner, projects: MMLProject) -> None:
    of_fold = ["--fold", "0", "--json", "--metric", "accuracy", *FEW]
    by_project = content(mml("compare", "short", "long", *of_fold))["comparisons"]
    model = min(projects.path("short").glob("MODELS/tiny/*.json"))
    by_path = content(mml("compare", str(model), str(files(projects, "long")[0]), *of_fold))["comparisons"]
    assert by_path == by_project


def test_models_are_compared_on_their_validation_folds_with_a_warning(
    mml: CommandRunner, projects: MMLProject
) -> None:
    result = mml("compare", "short", "long", "--split", "val", *FEW)
    assert result.code == 0, result.err
    assert "what they show is too good" in result.out
    assert " val " in result.out


def test_several_tasks_are_summed_up(mml: CommandRunner, projects: MMLProject, install_tiny_task) -> None:
    install_tiny_task(projects.data, "other", samples=60)
    for name, epochs in (("short", 1), ("long", 3)):
        train(mml, name, f"trainer.max_epochs={epochs}", tasks="other")
    found = content(mml("compare", "short", "long", "--metric", "auroc", "--json", *FEW))
    assert [each["task"] for each in found["comparisons"]] == ["other", "tiny"]
    (summary,) = found["over_tasks"]
    assert (summary["metric"], summary["tasks"]) == ("auroc", 2)
    shown = mml("compare", "short", "long", *FEW)
    assert "Over tasks, Wilcoxon's signed-rank test:" in shown.out
    one = content(mml("compare", "short", "long", "--task", "tiny", "--json", *FEW))
    assert {each["task"] for each in one["comparisons"]} == {"tiny"}


def test_what_cannot_be_compared_is_named(mml: CommandRunner, projects: MMLProject) -> None:
    short, long = files(projects, "short"), files(projects, "long")
    cases = [
        (["short", "lang"], "'lang' is neither a file of predictions"),
        (["short", "lang"], "Did you mean 'long'"),
        (["short", "absent.parquet"], "Predictions absent.parquet are not there"),
        (["short", "absent.json"], "no stored model absent.json"),
        (["short", str(long[0])], "folds 0, 1 of task 'tiny', the second of 0"),
        (
            [str(short[0]), str(long[1]), "--split", "val"],
            "are not of the same samples: 24 only in the first",
        ),
        (["short", "long", "--metric", "acuracy"], "no metric 'acuracy'. Did you mean 'accuracy'"),
        (["short", "long", "--metric", "dice"], "has the metric 'dice'"),
        (["short", "long", "--task", "tyni"], "Task 'tyni' is not predicted by both"),
        (["short", "long", "--split", "outer"], "no predictions of split 'outer'"),
        (["short", "long", "--fold", "7"], "split 'test', fold 7"),
        (["short", "long", "--method", "basic"], "bca or percentile, found 'basic'"),
    ]
    for arguments, message in cases:
        result = mml("compare", *arguments)
        assert result.code == 2, arguments
        assert message in result.err
        assert len(result.err.strip().splitlines()) == 1


def test_a_damaged_file_is_not_compared(mml: CommandRunner, projects: MMLProject) -> None:
    file = files(projects, "long")[0]
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    result = mml("compare", "short", "long")
    assert result.code != 0
    assert "has another content than was committed" in result.err
