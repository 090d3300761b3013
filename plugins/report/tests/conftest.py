"""One project for all tests of the plugin: it is only read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from mml_report.content import Content

import mml_core.api as api
from mml_core.testing.tiny_tasks import create_tiny_task

if TYPE_CHECKING:
    from mml_core.testing.fixtures import CommandRunner, Result

TYPES = ("classification", "multilabel", "regression", "semantic_segmentation")
RUNS = ("run", "mode", "state", "steps_done", "steps", "created", "seconds")
METRICS = ("task", "fold", "split", "epoch", "metric", "value", "class_name", "low", "high", "run", "path")


def train(root: Path, tasks: list[str], **overrides: object) -> None:
    """Train tasks in the project ``default`` of a folder."""
    api.run(
        "train",
        tasks,
        paths={"data": root / "data", "results": root / "results"},
        preprocessing="none",
        trainer={"max_epochs": 2, "accelerator": "cpu"},
        **{"loader.batch_size": 8, "metrics.intervals.resamples": 20, **overrides},
    )


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and results with the project ``default``: tasks of two folds each, one of them trained twice."""
    root = tmp_path_factory.mktemp("report")
    tasks = [create_tiny_task(root / "data", task_type).name for task_type in TYPES]
    train(root, tasks)
    train(root, tasks[:1], seed=7)
    return root


@pytest.fixture
def project(root: Path, monkeypatch: pytest.MonkeyPatch) -> api.Project:
    """The project, opened."""
    monkeypatch.setenv("MML_DATA_PATH", str(root / "data"))
    monkeypatch.setenv("MML_RESULTS_PATH", str(root / "results"))
    return api.open_project("default")


@pytest.fixture
def report(mml: CommandRunner, project: api.Project) -> Callable[..., Result]:
    """Return a function that runs ``mml report`` where the project is."""
    return lambda *arguments: mml("report", *arguments)


@pytest.fixture
def made_up() -> Callable[..., Content]:
    """Return a function that makes a content of rows that no run has made."""
    columns: dict[str, tuple[str, ...]] = {"runs": RUNS, "metrics": METRICS, "models": ()}

    def content(**tables: list[dict[str, object]]) -> Content:
        frames = {
            name: pd.DataFrame(tables.get(name, []), columns=list(keys)) for name, keys in columns.items()
        }
        return Content(name="made_up", **frames)

    return content
