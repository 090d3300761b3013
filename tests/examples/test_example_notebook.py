"""The example for notebooks runs from top to bottom."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytest_plugins = ["mml_core.testing.fixtures"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.py"


@pytest.mark.long  # it creates and trains a real task
def test_the_example_predicts_a_digit(mml_project, capsys):
    for needed in ("pandas", "mml_tasks", "mml_monai"):
        pytest.importorskip(needed)
    found = runpy.run_path(str(EXAMPLE))
    assert found["prediction"].label in found["model"].classes
    assert set(found["test"]["metric"]) >= {"accuracy", "auroc"}
    assert len(mml_project.runs("notebook")) == 2
    assert "train_fold('digits', 0)" in capsys.readouterr().out
