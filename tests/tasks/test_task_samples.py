"""A sample table is mapped, not copied, and a tag's changes lie over it without touching it."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest

from mml_core.tasks.description import TaskType
from mml_core.tasks.errors import DamagedTaskError
from mml_core.tasks.samples import SampleTable


def write_table(path, n=12):
    SampleTable.write(
        path,
        {
            "sample_id": [f"s{i}" for i in range(n)],
            "image": [f"images/{i}.png" for i in range(n)],
            "split": ["train" if i < n - 3 else "test" for i in range(n)],
            "fold": [i % 3 if i < n - 3 else -1 for i in range(n)],
            "group": [None if i % 2 else f"g{i}" for i in range(n)],
            "label": [i % 4 for i in range(n)],
            "value": [[float(i), float(-i)] for i in range(n)],
        },
    )
    return SampleTable.open(path)


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "samples.arrow")


def test_cells_and_columns(table):
    assert len(table) == 12
    assert table.row(2) == {
        "sample_id": "s2",
        "image": "images/2.png",
        "split": "train",
        "fold": 2,
        "group": "g2",
        "original_split": None,
        "sha256": "",
        "label": 2,
        "value": [2.0, -2.0],
    }
    assert table.text("group", 1) is None
    assert table.numpy("label").dtype == np.int32
    np.testing.assert_array_equal(table.numpy("value")[:, 1], -np.arange(12))


def test_parts_of_a_cross_validation(table):
    train, val = table.indices("train", fold=1, part="train"), table.indices("train", fold=1, part="val")
    assert val.tolist() == [1, 4, 7]
    assert sorted([*train, *val]) == list(range(9)) == table.indices("train").tolist()
    assert table.indices("test").tolist() == [9, 10, 11] == table.indices("test", part="test").tolist()
    assert table.indices("unlabelled").tolist() == []
    with pytest.raises(ValueError, match="none was given"):
        table.indices("train", part="val")
    with pytest.raises(ValueError, match="no samples"):
        table.indices("test", fold=1, part="val")


def test_changes_lie_over_the_table(table):
    changed = table.take([5, 5, 10]).with_columns({"sample_id": ["a", "b", "c"], "split": ["test"] * 3})
    again = changed.take([2, 1])
    assert [again.text("sample_id", i) for i in range(2)] == ["c", "b"]
    assert again.rows_on_disk.tolist() == [10, 5]
    assert again.row_on_disk(1) == 5
    assert again.count_splits() == {"train": 0, "test": 2}
    assert again.text("image", 0) == "images/10.png"
    assert table.count_splits() == {"train": 9, "test": 3}
    assert table.count_classes(TaskType.CLASSIFICATION, 4) == {"0": 3, "1": 2, "2": 2, "3": 2}


def test_a_pickle_holds_the_path_not_the_rows(tmp_path):
    table = write_table(tmp_path / "samples.arrow", n=5000)
    table.column("image")
    data = pickle.dumps(table)
    assert len(data) < 1000
    assert pickle.loads(data).row(4321) == table.row(4321)
    tagged = table.take([3, 1]).with_columns({"fold": [7, 8]})
    assert pickle.loads(pickle.dumps(tagged)).row(1) == tagged.row(1)


def test_a_table_replaced_behind_a_pickle_is_noticed(tmp_path):
    table = write_table(tmp_path / "samples.arrow")
    data = pickle.dumps(table)
    write_table(tmp_path / "samples.arrow", n=13)
    with pytest.raises(DamagedTaskError, match="replaced while it was in use"):
        pickle.loads(data)


def test_a_table_cut_anywhere_is_named(table):
    data = table.path.read_bytes()
    for end in range(0, len(data) - 1, 97):
        table.path.write_bytes(data[:end])
        with pytest.raises(DamagedTaskError, match=r"samples\.arrow"):
            SampleTable.open(table.path)
    table.path.unlink()
    with pytest.raises(DamagedTaskError, match="missing"):
        SampleTable.open(table.path)


def test_an_empty_table_is_a_table(tmp_path):
    SampleTable.write(tmp_path / "t", {"sample_id": [], "image": [], "split": [], "label": []})
    table = SampleTable.open(tmp_path / "t")
    assert len(table) == 0
    assert table.indices("train").tolist() == []
    assert table.numpy("label").tolist() == []


def test_a_long_table_opens_at_once(tmp_path):
    n = 200_000
    SampleTable.write(
        tmp_path / "t",
        {"sample_id": np.arange(n).astype(str), "image": ["x.png"] * n, "split": ["train"] * n},
    )
    start = time.perf_counter()
    assert len(SampleTable.open(tmp_path / "t")) == n
    assert time.perf_counter() - start < 0.05
