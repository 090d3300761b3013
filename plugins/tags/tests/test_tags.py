"""Variants of a task can be trusted: disjoint folds, whole subjects, an untouched test split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mml_tags import plugin as tags_plugin

from mml_core.api import MMLError, PluginManager, SampleTable, TaskDescription, TaskType
from mml_core.tasks.description import Sizes, TaskHeader
from mml_core.tasks.tags import apply_tags, parse_task_name

pytest_plugins = ["mml_core.testing.fixtures"]

FOLDS = 3
CLASSES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def plugins():
    manager = PluginManager(builtin=True)
    manager.register(tags_plugin, "mml-plugin-tags")
    return manager


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tasks")


def table(folder: Path, rows: list[dict], **targets) -> TaskDescription:
    """A task over rows of fold (None for test), subject and class."""
    columns = {
        "sample_id": [f"s{number:03d}" for number in range(len(rows))],
        "image": [f"{number}.png" for number in range(len(rows))],
        "split": ["test" if row["fold"] is None else "train" for row in rows],
        "fold": [-1 if row["fold"] is None else row["fold"] for row in rows],
        "group": [row["subject"] for row in rows],
        **targets,
    }
    path = folder / "samples.arrow"
    path.unlink(missing_ok=True)
    SampleTable.write(path, columns)
    samples = SampleTable.open(path)
    kind = next(iter(targets), "mask")
    task_type = {
        "label": TaskType.CLASSIFICATION,
        "labels": TaskType.MULTILABEL,
        "value": TaskType.REGRESSION,
    }
    header = TaskHeader(
        name="pets",
        task_type=task_type.get(kind, TaskType.SEGMENTATION),
        dataset="pets",
        idx_to_class={} if kind == "value" else {str(i): name for i, name in enumerate(CLASSES)},
        channels=3,
        sizes=Sizes(min_height=8, max_height=8, min_width=8, max_width=8),
        means=[0.5] * 3,
        stds=[0.2] * 3,
        num_samples=samples.count_splits(),
        num_folds=FOLDS,
        target_names=["age"] if kind == "value" else [],
    )
    return TaskDescription(header, folder, folder, samples).with_samples(samples)


def pets(folder: Path, subjects: bool = False) -> TaskDescription:
    """Of each class 30 training samples and 5 test samples, in pairs of one subject where asked."""
    rows, labels = [], []
    for label in range(len(CLASSES)):
        for number in range(35):
            fold = (number // 2) % FOLDS if number < 30 else None
            subject = f"{label}/{number // 2}" if subjects else None
            rows.append({"fold": fold, "subject": subject})
            labels.append(label)
    return table(folder, rows, label=labels)


def tagged(task: TaskDescription, tags: str, plugins: PluginManager, seed: int = 42) -> TaskDescription:
    return apply_tags(task, parse_task_name(f"x+{tags}")[1], plugins, seed)


def ids(task: TaskDescription, split: str = "train", **part) -> set[str]:
    return set(task.samples.take(task.samples.indices(split, **part)).column("sample_id").to_pylist())


def labels_of(task: TaskDescription) -> dict[str, int]:
    samples = task.samples
    return dict(zip(samples.column("sample_id").to_pylist(), samples.numpy("label").tolist(), strict=True))


@st.composite
def any_task(draw):
    rows, labels = [], []
    for number in range(draw(st.integers(20, 60))):
        label = number % 3 if number < 9 else draw(st.integers(0, 2))
        fold = number // 3 if number < 9 else draw(st.sampled_from([0, 1, 2, None]))
        subject = draw(st.sampled_from([None, f"{fold}a", f"{fold}b", f"{fold}c"]))
        rows.append({"fold": fold, "subject": subject})
        labels.append(label)
    return rows, labels


TAGS = (
    st.floats(0.05, 1).map(lambda share: f"subset?{share:.3f}")
    | st.floats(0.05, 1).map(lambda share: f"shrink_train?{share:.3f}")
    | st.integers(1, 6).map(lambda count: f"shrink_equal?{count}")
    | st.tuples(*[st.integers(1, 4)] * 3).map(lambda weights: "redistribute?{}?{}?{}".format(*weights))
    | st.floats(0, 1).map(lambda share: f"confuse?{share:.3f}")
    | st.permutations(["cat", "dog"]).map(lambda names: "subclass?" + "?".join(names))
)


UNEVEN = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), *[(0, 0)] * 12]
"""Fold and class of samples nearly all of which are of one; one subject has a third and the last."""
FEW = (
    [{"fold": fold, "subject": "0a" if row in (2, 20) else None} for row, (fold, _) in enumerate(UNEVEN)],
    [label for _, label in UNEVEN],
)


@settings(max_examples=150, deadline=None)
@example(drawn=FEW, tags="shrink_train?0.125+subclass?cat?dog", seed=0)
@example(drawn=FEW, tags="shrink_train?0.125+confuse?1.000", seed=0)
@given(any_task(), st.lists(TAGS, min_size=1, max_size=2).map("+".join), st.integers(0, 9))
def test_any_tags_keep_folds_apart_subjects_together_and_the_test_split(folder, plugins, drawn, tags, seed):
    rows, labels = drawn
    task = table(folder, rows, label=labels)
    try:
        changed = tagged(task, tags, plugins, seed)
    except MMLError as refused:
        assert "\n" not in str(refused) and len(str(refused)) < 300
        return
    before = dict(zip(task.samples.column("sample_id").to_pylist(), rows, strict=True))
    for name, fold in zip(
        changed.samples.column("sample_id").to_pylist(), changed.samples.numpy("fold").tolist(), strict=True
    ):
        assert fold == (-1 if before[name]["fold"] is None else before[name]["fold"])
    assert ids(changed, "test") == {
        name for name in ids(task, "test") if "subclass" not in tags or labels_of(task)[name] != 2
    }
    if "subclass" not in tags:
        truth, found = labels_of(task), labels_of(changed)
        assert all(found[name] == truth[name] for name in ids(changed, "test"))
    for fold in range(FOLDS):
        trained, validated = ids(changed, fold=fold, part="train"), ids(changed, fold=fold, part="val")
        assert trained and validated and not trained & validated
    assert changed.num_samples == changed.samples.count_splits()
    assert len(changed.class_counts) == changed.num_classes and all(changed.class_counts.values())
    again = tagged(task, tags, plugins, seed)
    assert again.samples.rows_on_disk.tolist() == changed.samples.rows_on_disk.tolist()
    assert labels_of(again) == labels_of(changed)


@pytest.mark.parametrize("subjects", [False, True])
@pytest.mark.parametrize("tag", ["subset", "shrink_train"])
def test_a_share_is_of_every_class_and_fold_and_part_of_a_larger_one(folder, plugins, tag, subjects):
    task = pets(folder, subjects)
    kept = [tagged(task, f"{tag}?{share}", plugins) for share in ("0.2", "0.4", "1.0")]
    trained = [ids(each, part="train") for each in kept]
    assert trained[0] < trained[1] < trained[2] == ids(task)
    assert kept[0].class_counts == {"0": 6, "1": 6, "2": 6}
    truth, folds = (
        labels_of(task),
        Counter(task.samples.take(sorted(kept[0].samples.rows_on_disk)).numpy("fold")),
    )
    assert Counter(truth[name] for name in trained[0]) == {0: 6, 1: 6, 2: 6}
    assert set(folds) == {-1, 0, 1, 2}


def test_shrink_train_trains_on_what_subset_keeps_and_validates_on_whole_folds(folder, plugins):
    task = pets(folder)
    subset, shrunk = tagged(task, "subset?0.2", plugins), tagged(task, "shrink_train?0.2", plugins)
    for fold in range(FOLDS):
        assert ids(shrunk, fold=fold, part="train") == ids(subset, fold=fold, part="train")
        assert ids(shrunk, fold=fold, part="val") == ids(task, fold=fold, part="val")


def test_subset_keeps_or_drops_whole_subjects(folder, plugins):
    task = pets(folder, subjects=True)
    kept = tagged(task, "subset?40", plugins)
    train = kept.samples.take(kept.samples.indices("train"))
    assert set(Counter(train.column("group").to_pylist()).values()) == {2}
    assert 34 <= len(train) <= 46


def test_another_seed_keeps_other_samples(folder, plugins):
    task = pets(folder)
    assert ids(tagged(task, "subset?0.3", plugins, 1)) != ids(tagged(task, "subset?0.3", plugins, 2))


def test_shrink_equal_and_redistribute_keep_exact_numbers(folder, plugins):
    task = pets(folder)
    assert tagged(task, "shrink_equal?7", plugins).class_counts == {"0": 7, "1": 7, "2": 7}
    assert tagged(task, "redistribute?1?3?1.5", plugins).class_counts == {"0": 10, "1": 30, "2": 15}
    assert ids(tagged(task, "shrink_equal?4", plugins)) < ids(tagged(task, "shrink_equal?7", plugins))


def test_subclass_renumbers_the_classes_in_the_order_given(folder, plugins):
    task = pets(folder)
    changed = tagged(task, "subclass?owl?cat", plugins)
    assert changed.class_names == ["owl", "cat"]
    truth = labels_of(task)
    assert labels_of(changed) == {name: {2: 0, 0: 1}[label] for name, label in truth.items() if label != 1}
    assert changed.num_samples == {"train": 60, "test": 10}
    assert tagged(task, "subclass?2?0", plugins).class_names == ["owl", "cat"]


def test_subclass_of_a_multilabel_task_keeps_all_samples_with_these_labels(folder, plugins):
    rows = [{"fold": number % FOLDS, "subject": None} for number in range(12)]
    matrix = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    task = table(folder, rows, labels=matrix)
    changed = tagged(task, "subclass?owl", plugins)
    assert changed.class_names == ["owl"] and changed.class_counts == {"0": 4}
    assert changed.samples.numpy("labels").tolist() == matrix[:, [2]].tolist()


def test_confuse_gives_that_share_of_training_samples_another_label(folder, plugins):
    task = pets(folder)
    truth = labels_of(task)
    wrong = {
        share: {
            name: label
            for name, label in labels_of(tagged(task, f"confuse?{share}", plugins)).items()
            if label != truth[name]
        }
        for share in ("0.1", "0.3", "1")
    }
    assert [len(each) for each in wrong.values()] == [9, 27, 90]
    assert wrong["0.1"].items() < wrong["0.3"].items() < wrong["1"].items()
    assert not set(wrong["1"]) & ids(task, "test")
    among = labels_of(tagged(task, "confuse?1?cat?dog", plugins))
    assert all(among[name] == {0: 1, 1: 0, 2: 2}[truth[name]] for name in ids(task))


def test_a_rare_label_stays_in_a_subset_of_a_multilabel_task(folder, plugins):
    rows = [{"fold": number % FOLDS, "subject": None} for number in range(30)]
    matrix = np.zeros((30, 3), dtype=np.float32)
    matrix[:, 0], matrix[::2, 1], matrix[7, 2] = 1, 1, 1
    kept = tagged(table(folder, rows, labels=matrix), "subset?0.3", plugins)
    assert kept.class_counts["2"] == 1 and 8 <= kept.num_samples["train"] <= 11


def test_a_regression_can_be_made_smaller(folder, plugins):
    rows = [{"fold": number % FOLDS, "subject": None} for number in range(30)]
    task = table(folder, rows, value=np.arange(30, dtype=np.float32)[:, None])
    assert tagged(task, "subset?9", plugins).num_samples == {"train": 9, "test": 0}
    with pytest.raises(MMLError, match="type classification; 'pets' is of type regression"):
        tagged(task, "confuse?0.1", plugins)


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("subset", "subset"),
        ("subset?0.0", "above 0 up to 1"),
        ("subset?1.5", "above 0 up to 1"),
        ("subset?91", "91 of 90 training samples"),
        ("subset?many", "whole number"),
        ("subset?nan.", "above 0 up to 1"),
        ("subset?2", "leaves no sample of 'pets' in fold"),
        ("shrink_train?0.01", "one fold only"),
        ("shrink_equal?31", "class 'cat' of 'pets' has 30"),
        ("redistribute?1?1", "2 weights; 'pets' has 3 classes"),
        ("redistribute?1?1?-1", "a number above 0"),
        ("redistribute?1?1?99", "no training sample of cat, dog"),
        ("subclass?cat", "at least 2 classes"),
        ("subclass?cat?dot", "class 'dot'.*Did you mean"),
        ("subclass?cat?0", "class 'cat' more than once"),
        ("confuse?1.1", "a share from 0 up to 1"),
        ("confuse?0.1?cat", "at least two classes"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(folder, plugins, tag, says):
    with pytest.raises(MMLError, match=says) as caught:
        tagged(pets(folder), tag, plugins)
    assert "\n" not in str(caught.value)


def test_variants_train_side_by_side_over_the_same_images(mml, mml_project):
    tags = ["subset?0.1", "shrink_equal?5+confuse?0.2", "shrink_train?0.1+subclass?3?8"]
    assert mml("run", "--mode=create", "--tasks=digits", "mode.num_folds=2").code == 0
    images = sorted(mml_project.data.rglob("*.png"))
    trained = mml(
        "run",
        "--mode=train",
        "--tasks=digits",
        "preprocessing=size32",
        "trainer.max_epochs=1",
        "mode.folds=1",
        f"tagging.variants=[{','.join(tags)}]",
    )
    assert trained.code == 0
    names = {path.name for path in (mml_project.path() / "METRICS").iterdir()}
    assert names == {"digits", *(f"digits+{tag.replace('?', '%3F')}" for tag in tags)}
    assert sorted(mml_project.data.rglob("*.png")) == images
