"""Trees, maps, plots and tables are functions of the distances alone."""

from __future__ import annotations

import numpy as np
import pytest
from mml_similarity.layouts import places_of, tree_of
from mml_similarity.plots import draw
from mml_similarity.table import Distances, DistancesError, load_distances, save_distances

LINE = np.abs(np.subtract.outer([0.0, 1, 5, 7], [0.0, 1, 5, 7]))


@pytest.fixture
def distances():
    return Distances(
        distance="fid",
        tasks=["a", "b", "$c", "_d"],
        values=LINE,
        symmetric=True,
        samples=[10, 20, 30, 40],
        options={"x": 1},
    )


def test_a_map_keeps_distances_that_fit_on_a_plane():
    square = np.array([[0.0, 0], [0, 1], [3, 0], [3, 1]])
    true = np.linalg.norm(square[:, None] - square, axis=-1)
    places = places_of(true)
    assert np.linalg.norm(places[:, None] - places, axis=-1) == pytest.approx(true, abs=1e-9)


def test_a_map_of_two_tasks_lies_on_a_line():
    assert np.abs(places_of(np.array([[0.0, 2], [2, 0]]))) == pytest.approx(np.array([[1, 0], [1, 0]]))


def test_neighbours_join_first_in_the_tree():
    tree = tree_of(LINE)
    assert [sorted(tree["leaves"][:2]), sorted(tree["leaves"][2:])] == [[0, 1], [2, 3]]
    assert max(max(each) for each in tree["dcoord"]) == pytest.approx((5 + 7 + 4 + 6) / 4)


@pytest.mark.parametrize("kind", ["heatmap", "dendrogram", "map"])
def test_the_same_numbers_give_the_same_picture(distances, kind):
    first = draw(kind, distances)
    assert first.startswith(b"\x89PNG")
    assert first == draw(kind, distances)


def test_a_table_has_a_row_for_each_ordered_pair(distances, tmp_path):
    import pyarrow.parquet as pq

    save_distances(tmp_path / "d.parquet", distances)
    rows = pq.read_table(tmp_path / "d.parquet").to_pylist()
    assert len(rows) == 16
    assert rows[2] == {
        "task_a": "a",
        "task_b": "$c",
        "distance": "fid",
        "value": 5.0,
        "symmetric": True,
        "samples_a": 10,
        "samples_b": 30,
    }
    found = load_distances(tmp_path / "d.parquet")
    assert np.array_equal(found.values, LINE)
    assert (found.tasks, found.samples, found.options) == (
        distances.tasks,
        distances.samples,
        distances.options,
    )


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    with pytest.raises(DistancesError, match="cannot be read"):
        load_distances(tmp_path / "d.parquet")
