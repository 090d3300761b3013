"""Tags change which samples a task has, never an image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.plugins import UnknownNameError
from mml_core.tasks.errors import DamagedTaskError, TaskNameError
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.tags import Tag, parse_task_name

WORDS = st.from_regex(r"[a-z0-9][a-z0-9_.\-]{0,8}", fullmatch=True)


@given(WORDS, st.lists(st.builds(Tag, WORDS, st.lists(WORDS, max_size=3).map(tuple)), max_size=3))
def test_g21_a_name_is_read_as_it_is_written(base, tags):
    assert parse_task_name("+".join([base, *map(str, tags)])) == (base, tags)


def test_a_task_and_a_tag_may_be_named_by_their_provider(colours, plugins):
    task = get(colours, "colours-plugin:colours+mml-core:identity", plugins)
    assert task.name == "colours+mml-core:identity"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":a",
        "a:",
        "a:b:c",
        "a+:b",
        "+a",
        "a+",
        "a++b",
        "a+b?",
        "a+b??c",
        "a b",
        "../a",
        "a+b?x/y",
        "a+b?x,y",
    ],
)
def test_a_name_written_otherwise_is_refused(name):
    with pytest.raises(TaskNameError, match=r"task\+tag"):
        parse_task_name(name)


@pytest.mark.parametrize("name", ["x" * 101, "a\nb", f"a+{'x' * 101}", " " * 5000, f"a+b?{'/' * 5000}"])
def test_a_name_of_any_length_is_refused_in_one_short_line(name):
    with pytest.raises(TaskNameError) as caught:
        parse_task_name(name)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def get(data, name, plugins):
    return TaskIndex(data).get(name, plugins=plugins)


def test_identity(colours, plugins):
    task = get(colours, "colours+identity", plugins)
    assert task.name == "colours+identity"
    assert len(task.samples) == 24


def test_duplicate_repeats_samples_in_their_place(colours, plugins):
    plain, task = get(colours, "colours", plugins), get(colours, "colours+duplicate?3", plugins)
    assert task.num_samples == {"train": 54, "test": 18}
    assert task.class_counts == {index: 3 * count for index, count in plain.class_counts.items()}
    ids = task.samples.column("sample_id").to_pylist()
    assert len(set(ids)) == 72
    assert ids[:3] == ["00", "00~1", "00~2"]
    assert [task.samples.row_on_disk(row) for row in range(4)] == [0, 0, 0, 1]
    assert task.samples.row(1) == {**plain.samples.row(0), "sample_id": "00~1"}


def test_copies_of_copies_have_ids_of_their_own(colours, plugins):
    task = get(colours, "colours+duplicate?2+duplicate?3", plugins)
    ids = task.samples.column("sample_id").to_pylist()
    assert len(set(ids)) == len(ids) == 144
    assert ids[:6] == ["00", "00~2", "00~3", "00~1", "00~1~1", "00~1~2"]


def test_nested_makes_a_fold_the_test_split(colours, plugins):
    plain, task = get(colours, "colours", plugins), get(colours, "colours+nested?1", plugins)
    held_out = plain.samples.indices("train", fold=1, part="val")
    test = task.samples.indices("test")
    ids = plain.samples.column("sample_id").to_pylist()
    assert [task.samples.text("sample_id", row) for row in test] == [ids[row] for row in held_out]
    assert task.num_folds == plain.num_folds - 1
    assert sorted(set(task.samples.numpy("fold")[task.samples.indices("train")].tolist())) == [0, 1, 2, 3]
    old = {ids[row] for row in plain.samples.indices("test")}
    assert not old & set(task.samples.column("sample_id").to_pylist())
    assert task.num_samples == {"train": 18 - len(held_out), "test": len(held_out)}


def test_a_task_with_tags_is_verified_as_it_is_stored(colours, plugins):
    task = get(colours, "colours+nested?0+identity", plugins)
    task.verify()
    path = colours / "tasks" / "colours" / "samples.arrow"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedTaskError, match=r"samples\.arrow is damaged"):
        task.verify()


def test_tags_apply_one_after_the_other(colours, plugins):
    task = get(colours, "colours+nested?0+nested?0+duplicate", plugins)
    assert task.name == "colours+nested?0+nested?0+duplicate"
    assert task.num_folds == 3


@pytest.mark.parametrize(
    "tag",
    [
        "nested?9",
        "nested?x",
        "nested?-1",
        "nested",
        "duplicate?0",
        "identity?1",
        "duplicate?1?2",
        "duplicate?999999999",
        "duplicate?" + "9" * 5000,
        "identity" + "?x" * 5000,
    ],
)
def test_an_argument_that_does_not_fit_is_named(colours, plugins, tag):
    with pytest.raises(TaskNameError, match=tag.split("?")[0]) as caught:
        get(colours, f"colours+{tag}", plugins)
    assert len(str(caught.value)) < 300


def test_nested_needs_folds_to_be_left(colours, plugins):
    with pytest.raises(TaskNameError, match="three folds"):
        get(colours, "colours+nested?0+nested?0+nested?0+nested?0", plugins)


def test_an_unknown_tag_names_near_ones(colours, plugins):
    with pytest.raises(UnknownNameError, match="duplicate"):
        get(colours, "colours+dublicate", plugins)
