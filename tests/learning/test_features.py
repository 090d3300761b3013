"""Files of features give back what was saved, and say which features can be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mml_core.learning.features import (
    Features,
    FeaturesError,
    load_features,
    read_header,
    require_comparable,
    save_features,
)


@pytest.fixture
def features():
    return Features(
        task="shapes",
        task_type="classification",
        sample_ids=["a", "b", "c"],
        splits=["train", "train", "test"],
        values=np.arange(6, dtype=np.float32).reshape(3, 2),
        targets=np.array([1, -1, 0]),
        classes=("disc", "square"),
        backbone={"kind": "model", "weights": "abc"},
    )


def test_features_are_read_as_they_were_saved(features, tmp_path):
    save_features(tmp_path / "f.parquet", features)
    found = load_features(tmp_path / "f.parquet")
    assert np.array_equal(found.values, features.values)
    assert found.values.dtype == np.float32
    assert found.targets.tolist() == [1, -1, 0]
    for name in ("task", "task_type", "sample_ids", "splits", "classes", "backbone"):
        assert getattr(found, name) == getattr(features, name)


def test_several_targets_of_a_sample_keep_their_order(features, tmp_path):
    several = np.array([[0, 1], [np.nan, 1], [1, 0]], dtype=np.float32)
    save_features(tmp_path / "f.parquet", replace(features, task_type="multilabel", targets=several))
    assert np.array_equal(load_features(tmp_path / "f.parquet").targets, several, equal_nan=True)


def test_a_header_is_read_without_the_features(features, tmp_path):
    save_features(tmp_path / "f.parquet", replace(features, targets=None))
    header = read_header(tmp_path / "f.parquet")
    assert (header.task, header.width, header.samples) == ("shapes", 2, 3)


def test_equal_features_give_equal_bytes(features, tmp_path):
    for name in ("one", "two"):
        save_features(tmp_path / name, features)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_numbers_that_are_not_finite_are_refused(features, tmp_path):
    with pytest.raises(FeaturesError, match="not finite for samples of task 'shapes'"):
        save_features(tmp_path / "f.parquet", replace(features, values=np.full((3, 2), np.inf)))
    assert not (tmp_path / "f.parquet").exists()


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and more"])
def test_a_file_that_holds_no_features_is_named(tmp_path, content):
    path = tmp_path / "f.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FeaturesError, match=r"f\.parquet"):
        load_features(path)


def test_a_table_of_something_else_is_no_features(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [1]}), tmp_path / "f.parquet")
    with pytest.raises(FeaturesError, match="cannot be read"):
        read_header(tmp_path / "f.parquet")


def test_features_of_unequal_width_cannot_be_compared(features):
    wider = replace(features, task="other", values=np.zeros((3, 5), np.float32))
    with pytest.raises(FeaturesError, match="'shapes' have 2 dimensions, those of task 'other' 5"):
        require_comparable([features, wider])


def test_features_of_other_weights_cannot_be_compared(features):
    other = replace(features, task="other", backbone={"kind": "model", "weights": "xyz"})
    with pytest.raises(FeaturesError, match=r"differ in weights"):
        require_comparable([features, other])
    require_comparable([features, replace(other, backbone=features.backbone)])
