"""One trained project for all tests of this folder: it is only read."""

from __future__ import annotations

from pathlib import Path

import pytest

TINY = {
    "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    "preprocessing": "none",
    "loader.batch_size": 8,
    "metrics.intervals.method": "none",
}


@pytest.fixture(scope="session")
def tiny():
    """Overrides of a small training."""
    return TINY


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with the project ``default``: a classification trained on two folds."""
    import mml_core.api as mml
    from mml_core.testing.tiny_tasks import create_tiny_task

    root = tmp_path_factory.mktemp("trained")
    task = create_tiny_task(root / "data", "classification")
    paths = {"data": root / "data", "results": root / "results"}
    mml.run("train", task.name, paths=paths, arch="resnet_tiny", **TINY)
    return root


@pytest.fixture
def project(trained, monkeypatch):
    """The project, opened by its name as a user does."""
    import mml_core.api as mml

    monkeypatch.setenv("MML_DATA_PATH", str(trained / "data"))
    monkeypatch.setenv("MML_RESULTS_PATH", str(trained / "results"))
    return mml.open_project("default")
