"""What is best on near tasks is proposed first, and a proposal's worth is measured on tasks left out."""

from __future__ import annotations

import pytest
from mml_suggest.distances import Distances, load_distances
from mml_suggest.options import Options, SuggestError
from mml_suggest.ranking import leave_each_out, rank

GIVEN = {"distances": "d.parquet", "metric": "val/accuracy", "direction": "max"}
SCORES = {
    "near": {"small": 0.9, "large": 0.6},
    "middle": {"small": 0.4, "large": 0.8, "huge": 0.6},
    "far": {"small": 0.1, "large": 0.5},
}
DISTANCES = Distances({("new", "near"): 1.0, ("middle", "new"): 2.0, ("new", "far"): 4.0})


def table(path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("task_a", "task_b", "distance", "value")
    pq.write_table(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), path)
    return path


def test_each_neighbour_votes_with_one_over_its_distance() -> None:
    small, large, huge = rank("new", SCORES, DISTANCES, 3)  # weights 1, 1/2 and 1/4
    assert (small.blueprint, small.voters) == ("small", ("near",))
    assert small.votes == pytest.approx(4 / 7)
    assert (large.blueprint, large.voters, large.votes) == ("large", ("middle", "far"), pytest.approx(3 / 7))
    assert (huge.blueprint, huge.votes, huge.relative) == ("huge", 0.0, pytest.approx(0.5))
    assert large.relative == pytest.approx((1 * 0 + 0.5 * 1 + 0.25 * 1) / 1.75)


def test_only_so_many_of_the_nearest_are_asked() -> None:
    assert [each.blueprint for each in rank("new", SCORES, DISTANCES, 1)] == ["small", "large"]


def test_the_scores_of_the_task_itself_are_not_looked_at() -> None:
    with_own = {**SCORES, "new": {"large": 1.0, "small": 0.0}}
    assert rank("new", with_own, DISTANCES, 3) == rank("new", SCORES, DISTANCES, 3)


def test_an_identical_task_decides_alone() -> None:
    distances = Distances({("new", "near"): 0.0, ("new", "middle"): 2.0, ("new", "far"): 4.0})
    assert rank("new", SCORES, distances, 3)[0].votes == pytest.approx(1.0)


def test_what_is_below_zero_counts_as_zero_and_all_at_zero_share_the_weight() -> None:
    distances = Distances({("new", "near"): -0.01, ("new", "middle"): 0.0, ("new", "far"): 0.5})
    large, small, _ = rank("new", SCORES, distances, 2)
    assert (large.blueprint, large.votes, large.voters) == ("large", 0.5, ("middle",))
    assert (small.blueprint, small.votes, small.voters) == ("small", 0.5, ("near",))


@pytest.mark.parametrize("unit", [1e-300, 5e-324, 1e300])
def test_the_unit_of_distances_does_not_matter(unit) -> None:
    distances = Distances({("new", task): unit for task in SCORES})
    assert sum(each.votes for each in rank("new", SCORES, distances, 3)) == pytest.approx(1)


def test_names_decide_between_equally_near_tasks_and_equally_good_blueprints() -> None:
    scores = {"b": {"y": 0.9, "x": 0.9}, "a": {"z": 0.5, "x": 0.5}, "c": {"w": 1.0}}
    for order in (["a", "b", "c"], ["c", "b", "a"]):
        given = {task: scores[task] for task in order}
        distances = Distances({("new", task): 1.0 for task in order})
        (first, *_) = rank("new", given, distances, 2)
        assert (first.blueprint, first.voters) == ("x", ("a", "b"))


def test_each_left_out_task_has_the_values_worked_out_by_hand() -> None:
    scores = {
        "a": {"x": 0.8, "y": 0.6, "z": 0.7},  # relative: 1, 0, 1/2
        "b": {"x": 0.9, "y": 0.5, "z": 0.6},  # 1, 0, 1/4
        "c": {"x": 0.2, "y": 0.6, "z": 0.3},  # 0, 1, 1/4
    }
    distances = Distances({("a", "b"): 1.0, ("a", "c"): 3.0, ("b", "c"): 2.0})
    a, b, c = leave_each_out(scores, distances, 2)
    # a: b votes x with 3/4, c votes y with 1/4. On average over b and c x has 1/2, y 1/2, z 1/4: x by name.
    assert (a.suggested, a.suggested_score, a.single, a.single_score) == ("x", 0.8, "x", 0.8)
    assert (a.mean_score, a.best_score, a.worst_score) == (pytest.approx(0.7), 0.8, 0.6)
    # b: a votes x with 2/3, c votes y with 1/3. On average over a and c x has 1/2, y 1/2, z 3/8.
    assert (b.suggested, b.suggested_score, b.single) == ("x", 0.9, "x")
    assert b.mean_score == pytest.approx(2 / 3)
    # c: a and b vote x; on average over them x has 1. Of c that is the worst, and the mean of c is 11/30.
    assert (c.suggested, c.single, c.relative(c.suggested_score)) == ("x", "x", 0.0)
    assert c.relative(c.mean_score) == pytest.approx((11 / 30 - 0.2) / 0.4)
    (first, *_) = rank("a", scores, distances, 2)
    assert (first.votes, first.relative) == (pytest.approx(3 / 4), pytest.approx(3 / 4))


def test_the_scores_of_a_task_left_out_choose_nothing() -> None:
    scores = {"a": {"x": 0.8, "y": 0.6}, "b": {"x": 0.9, "y": 0.5}, "c": {"x": 0.4, "y": 0.6}}
    distances = Distances({("a", "b"): 1.0, ("a", "c"): 3.0, ("b", "c"): 2.0})
    before = leave_each_out(scores, distances, 2)[0]
    after = leave_each_out({**scores, "a": {"x": -7.0, "y": 99.0}}, distances, 2)[0]
    assert (before.suggested, before.single) == (after.suggested, after.single)


def test_left_out_tasks_tell_near_choices_from_the_single_best() -> None:
    scores = {  # two kinds of tasks: small is best on a and b, large on c, d and e
        **{task: {"small": 0.9, "large": 0.7} for task in ("a", "b")},
        **{task: {"small": 0.5, "large": 0.8} for task in ("c", "d", "e")},
    }
    kinds = {"a": 0, "b": 0, "c": 1, "d": 1, "e": 1}
    distances = Distances({(s, t): 1.0 + 9 * (kinds[s] != kinds[t]) for s in kinds for t in kinds})
    rows = leave_each_out(scores, distances, 1)
    assert [row.suggested for row in rows] == ["small", "small", "large", "large", "large"]
    assert all(row.relative(row.suggested_score) == 1.0 for row in rows)
    assert [row.single for row in rows[:2]] == ["large", "large"]
    assert rows[0].mean_score == pytest.approx(0.8)
    assert rows[0].relative(rows[0].single_score) == 0.0


def test_a_task_that_shares_no_blueprint_is_not_measured() -> None:
    scores = {
        "a": {"x": 1.0, "y": 0.5},
        "b": {"x": 1.0, "y": 0.2},
        "c": {"z": 1.0, "w": 0.0},
        "d": {"x": 1.0},
    }
    distances = Distances({(s, t): 1.0 for s in scores for t in scores})
    assert [row.task for row in leave_each_out(scores, distances, 3)] == ["a", "b"]


def test_a_distance_counts_from_the_new_task_where_both_orders_are_known(tmp_path) -> None:
    rows = [("a", "b", "fid", 1.0), ("b", "a", "fid", 2.0), ("b", "c", "fid", 3.0), ("a", "a", "fid", 0.0)]
    distances = load_distances(table(tmp_path / "d.parquet", rows), None)
    assert [distances.between("a", "b"), distances.between("b", "a"), distances.between("c", "b")] == [
        1,
        2,
        3,
    ]
    with pytest.raises(SuggestError, match="does not know how far 'c' is from 'a'; it knows a, b, c"):
        distances.require(["c"], ["a", "b"])


@pytest.mark.parametrize(
    ("rows", "name", "message"),
    [
        ([("a", "b", "fid", 1.0), ("a", "b", "mmd", 1.0)], None, "choose one by mode.distance=fid|mmd."),
        ([("a", "b", "fid", 1.0)], "fidd", "has no distance 'fidd'. Did you mean 'fid'?"),
        ([("a", "b", "fid", float("nan"))], None, "has the fid nan from 'a' to 'b', where a finite number"),
        ([("a", "b", "fid", float("inf"))], None, "has the fid inf from 'a' to 'b'"),
        ([("a", "b", "fid", None)], None, "has the fid None from 'a' to 'b'"),
        ([("a", "b", "fid", 1.0)] * 2, None, "has the fid from 'a' to 'b' twice"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path, rows, name, message) -> None:
    with pytest.raises(SuggestError) as caught:
        load_distances(table(tmp_path / "d.parquet", rows), name)
    assert message in str(caught.value)


def test_what_is_no_table_is_refused(tmp_path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "text").write_text("task_a,task_b")
    pq.write_table(pa.table({"task_a": ["a"], "value": [1.0]}), tmp_path / "lacks")
    for name in ("text", "lacks", "nothing"):
        with pytest.raises(SuggestError, match="is no table of distances"):
            load_distances(tmp_path / name, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neighbors": 3}, "Unknown option 'mode.neighbors'. Did you mean 'neighbours'?"),
        (
            {"distances": "???"},
            "mode.distances is missing; name a Parquet file, or reuse:distances, with reuse.distances naming "
            "the project of a run of mode similarity.",
        ),
        ({"neighbours": 0}, "mode.neighbours is 0; write a whole number from 1."),
        ({"metric": []}, "mode.metric is []; write a metric such as val/accuracy, or a list."),
        ({"direction": "up"}, "mode.direction is 'up'; write max or min."),
    ],
)
def test_an_option_that_cannot_be_is_named(changes, message) -> None:
    with pytest.raises(SuggestError) as caught:
        Options.read({**GIVEN, **changes})
    assert str(caught.value) == message
