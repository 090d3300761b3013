"""Nested validation: the outer fold is reported, and nothing has looked at it before."""

from __future__ import annotations

import json
from typing import Any

import pyarrow.parquet as pq

from mml_core.scheduling import values
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.testing.fixtures import MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]


def models(project: MMLProject) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(project.path().glob("MODELS/*/*.json"))]


def split_of_samples(project: MMLProject) -> list[dict[str, set[str]]]:
    found = []
    for path in sorted(project.path().glob("PREDICTIONS/*/*.parquet")):
        rows = pq.read_table(path).to_pylist()
        splits = {row["split"] for row in rows}
        found.append({split: {row["sample_id"] for row in rows if row["split"] == split} for split in splits})
    return found


def test_each_fold_is_outer_once_and_the_next_one_validates(train, install, mml_project) -> None:
    install("a", test=False)
    result = train("a", "mode.nested=true")
    assert result.code == 0, result.err
    assert [(model["outer"], model["fold"]) for model in models(mml_project)] == [(0, 1), (1, 2), (2, 0)]
    predicted = split_of_samples(mml_project)
    assert [set(each) for each in predicted] == [{"val", "outer"}] * 3
    assert sum(len(each["outer"]) for each in predicted) == len(
        set.union(*(each["outer"] for each in predicted))
    )
    assert all(not each["val"] & each["outer"] for each in predicted)
    (heading,) = (line for line in result.out.splitlines() if "metric" in line and "outer fold" in line)
    assert "validation" in heading


def test_the_outer_fold_is_the_result_where_there_is_no_test_split(train, install, mml_project) -> None:
    install("a", test=False)
    result = train("a", "mode.nested=true", "mode.folds=[1]", "metrics.classification=[accuracy]")
    assert result.code == 0, result.err
    (model,) = models(mml_project)
    assert (model["outer"], model["fold"]) == (1, 2)
    (run,) = mml_project.runs()
    done = RunDirectory(run).done()
    assert done is not None
    (score,) = (
        row["value"]
        for path in mml_project.path().glob("METRICS/a/*.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["epoch"] is None and row["split"] == "outer" and row["metric"] == "accuracy"
    )
    assert values.decode(done.return_value) == {"a": {"accuracy": score}}


def test_two_folds_are_too_few(train, install) -> None:
    install("a", num_folds=2)
    result = train("a", "mode.nested=true")
    assert result.code == 2
    assert "holds out two folds" in result.err


def test_a_later_run_takes_the_models_of_its_own_way_of_validation(train, install, mml_project) -> None:
    install("a")
    assert train("a", "--proj", "nested", "mode.nested=true", "mode.subroutines=[train]").code == 0
    later = ["mode.subroutines=[predict,test]", "reuse.models=nested"]
    plain = train("a", *later)
    assert plain.code == 2
    assert "set mode.nested as it was" in plain.err
    nested = train("a", *later, "mode.nested=true")
    assert nested.code == 0, nested.err
    assert {split for each in split_of_samples(mml_project) for split in each} == {"val", "outer", "test"}


def test_predictions_of_nested_models_are_not_tested_as_others(train, install) -> None:
    install("a")
    assert train("a", "--proj", "nested", "mode.nested=true", "mode.folds=[0]").code == 0
    result = train("a", "mode.subroutines=[test]", "reuse.predictions=nested", "mode.folds=[1]")
    assert result.code == 1
    assert "set mode.nested=true" in result.err
