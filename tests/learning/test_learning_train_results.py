"""What the mode train leaves for later steps and runs: models with their metrics and predictions."""

import io
import math
from collections.abc import Callable
from typing import Any

import pytest

from mml_core.tasks.models import ModelStorage
from mml_core.testing.fixtures import CommandRunner, MMLProject, Result

pytest_plugins = ["mml_core.testing.fixtures"]

QUICK = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
Train = Callable[..., Result]


@pytest.fixture
def train(mml: CommandRunner, mml_project: MMLProject, install_task: Any) -> Train:
    """``train(*overrides, **task)`` on a tiny task, installed as ``task`` says where it is not there yet."""

    def run(*overrides: str, **task: Any) -> Result:
        if not (mml_project.data / "tasks" / "tiny").is_dir():
            install_task(mml_project.data, "tiny", **task)
        return mml("run", "--mode=train", "--tasks=tiny", *QUICK, *overrides)

    return run


def models(project: MMLProject) -> list[ModelStorage]:
    """The models of the newest run, as a later run that reuses them sees them."""
    import json

    root = project.path()
    return [
        ModelStorage.from_json(json.loads(path.read_text()), root)
        for path in sorted(root.glob("MODELS/tiny/*.json"))
    ]


def test_a_fold_of_one_class_has_metrics_that_are_not_defined(train: Train, mml_project: MMLProject) -> None:
    result = train(single_class_fold=True)
    assert result.code == 0, result.err
    first, second = models(mml_project)
    assert math.isnan(first.metrics["val/auroc"])
    assert math.isfinite(first.metrics["val/loss"])
    assert all(map(math.isfinite, second.metrics.values()))


def test_a_narrow_terminal_cuts_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    from mml_core.schedulers.tables import show

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    path = "PARAMETERS/a_task_of_some_length/model_{0000,0001,0002,0003,0004}.safetensors"
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    show([{"task": "a_task_of_some_length", "files": path}], ["task", "files"])
    cells = [line.split("│")[2].strip() for line in terminal.getvalue().splitlines() if "│" in line]
    assert "".join(cells) == path
