"""The example of intervals and comparison does what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long  # four commands, each a process of its own
def test_the_longer_training_is_better_beyond_luck() -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = ["bash", str(ROOT / "examples" / "compare.sh")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Metrics, [95 % bootstrap interval]:" in done.stdout
    assert "PLOTS/digits/confusion_matrix_test_fold0_" in done.stdout
    (row,) = (
        line.split()
        for line in done.stdout.splitlines()
        if line.startswith("digits ") and " +0." in line and "auroc" in line
    )
    assert float(row[row.index("auroc") + 6]) < 0.05
    assert "Over tasks, Wilcoxon's signed-rank test:" in done.stdout
