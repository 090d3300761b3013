"""Trainings that several tests of one module predict with, each in a copy of its own."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mml_core.cli.main import main
from mml_core.tasks.description import TaskType
from mml_core.testing.fixtures import MMLProject

TASKS = {
    "kind": TaskType.CLASSIFICATION,
    "signs": TaskType.MULTILABEL,
    "size": TaskType.REGRESSION,
    "shape": TaskType.SEGMENTATION,
}


class Training:
    """Trains on two folds of a task of each type in a folder.

    Attributes:
        root: The folder, with ``data`` and ``results``.
        tasks: Each task with its type.
        tools: What tests of schedulers make tasks with.
    """

    tasks = TASKS

    def __init__(self, root: Path, tools: ModuleType) -> None:
        self.root, self.tools = root, tools

    def run(self, samples: int, *further: list[str]) -> None:
        """Make tasks of so many samples and train on them; ``further`` are the arguments of more runs."""
        for name, task_type in TASKS.items():
            self.tools.install_task(self.root / "data", name, task_type, samples=samples)
        first = [f"--tasks={','.join(TASKS)}", "mode.folds=2"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MML_DATA_PATH", str(self.root / "data"))
            patch.setenv("MML_RESULTS_PATH", str(self.root / "results"))
            for arguments in (first, *further):
                assert main(["run", "--mode=train", *arguments, *self.tools.QUICK]) == 0


def conftest_of(folder: str) -> ModuleType:
    """Return what tests of another folder make tasks with."""
    path = Path(__file__).parents[1] / folder / "conftest.py"
    spec = importlib.util.spec_from_file_location(f"{folder}_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A folder to train in."""
    return Training(tmp_path_factory.mktemp("trained"), conftest_of("schedulers"))


@pytest.fixture
def install_tiny_task() -> Callable[..., object]:
    """Installs a tiny task as the tests of learning do."""
    found: Callable[..., object] = conftest_of("learning").install_tiny_task
    return found


@pytest.fixture
def workplace(trained: Path, mml_project: MMLProject, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the training to work in."""
    shutil.copytree(trained, mml_project.root, dirs_exist_ok=True)
    monkeypatch.chdir(mml_project.root)
    return mml_project.root
