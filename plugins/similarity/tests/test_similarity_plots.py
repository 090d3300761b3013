"""Trees, maps, plots and tables are functions of the distances alone."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from mml_similarity.layouts import places_of, tree_of
from mml_similarity.page import page_of
from mml_similarity.plots import draw
from mml_similarity.table import Distances, DistancesError, load_distances, save_distances

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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


def test_a_page_is_the_same_text_for_the_same_numbers_and_asks_for_nothing(distances):
    page = page_of([distances])
    assert page == page_of([distances])
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in page


def test_a_name_cannot_end_the_script_of_a_page(distances):
    named = replace(distances, tasks=["</script><script>alert(1)</script>", "b", "c", "d"])
    assert page_of([named]).count("</script>") == page_of([distances]).count("</script>")


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_draws_the_page_without_an_error(distances, tmp_path):
    directed = replace(distances, distance="kl", symmetric=False)
    (tmp_path / "page.html").write_text(page_of([distances, directed]))
    drawn = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{tmp_path / 'page.html'}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in drawn.stderr
    assert drawn.stdout.count("<rect") == 16
    assert drawn.stdout.count("<circle") == 4
    assert "$c" in drawn.stdout


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    with pytest.raises(DistancesError, match="cannot be read"):
        load_distances(tmp_path / "d.parquet")
