"""Samples without a label are predicted, not learnt from and not scored."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from mml_core.tasks.description import TaskType

pytest_plugins = ["mml_core.testing.fixtures"]


@pytest.mark.parametrize(
    "task_type",
    [TaskType.CLASSIFICATION, TaskType.MULTILABEL, TaskType.REGRESSION, TaskType.SEGMENTATION],
)
def test_unlabelled_samples_are_predicted_and_not_scored(train, install, mml_project, task_type) -> None:
    install("a", task_type, unlabelled=3)
    result = train("a", "mode.folds=1", "trainer.max_epochs=1")
    assert result.code == 0, result.err
    (path,) = mml_project.path().glob("PREDICTIONS/a/*.parquet")
    rows = [row for row in pq.read_table(path).to_pylist() if row["split"] == "unlabelled"]
    assert [row["sample_id"] for row in rows] == ["a30", "a31", "a32"]
    assert all(row["target"] is None for row in rows)
    scored = {
        row["split"]
        for file in mml_project.path().glob("METRICS/a/*.parquet")
        for row in pq.read_table(file).to_pylist()
        if row["epoch"] is None
    }
    assert scored == {"val", "test"}
