"""The example of intervals and comparison does what it says."""

import pytest


@pytest.mark.long  # four commands, each a process of its own
def test_the_longer_training_is_better_beyond_luck(run_example) -> None:
    done = run_example("compare.sh")
    assert "Metrics, [95 % bootstrap interval]:" in done.stdout
    assert "PLOTS/digits/confusion_matrix_test_fold0_" in done.stdout
    (row,) = (
        line.split()
        for line in done.stdout.splitlines()
        if line.startswith("digits ") and " +0." in line and "auroc" in line
    )
    assert float(row[row.index("auroc") + 6]) < 0.05
    assert "Over tasks, Wilcoxon's signed-rank test:" in done.stdout
