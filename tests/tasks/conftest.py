"""Lets the tests of tasks, and processes that they start, import their shared module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture
def plugins():
    from _task_fixtures import manager

    return manager()


@pytest.fixture
def colours(tmp_path, plugins):
    """A data folder with the task ``colours``."""
    from mml_core.tasks.creation import create_task
    from mml_core.tasks.datasets import create_dataset

    create_dataset(plugins.datasets.get("paint"), tmp_path)
    create_task(plugins.tasks.get("colours"), tmp_path)
    return tmp_path
