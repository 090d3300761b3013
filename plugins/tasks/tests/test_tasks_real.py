"""The five tasks are what they say: disjoint, balanced, repeatable, and not solved pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mml_tasks import photos, plugin

from mml_core.plugins import PluginManager
from mml_core.tasks.creation import create_task
from mml_core.tasks.datasets import create_dataset, verify_dataset
from mml_core.tasks.description import TaskType
from mml_core.tasks.images import read_image, read_mask
from mml_core.tasks.index import TaskIndex

TASKS = ["digits", "digits_ink", "digits_parity", "digits_value", "photo_patches"]


def create_all(data: Path) -> TaskIndex:
    plugins = PluginManager(builtin=True)
    plugins.register(plugin, "mml-plugin-tasks")
    for spec in plugin.mml_datasets():
        create_dataset(spec, data)
        assert verify_dataset(data / "datasets" / spec.name) == []
    for spec in plugin.mml_tasks():
        create_task(spec, data)
    return TaskIndex(data)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return create_all(tmp_path_factory.mktemp("data"))


def test_there_are_five(index):
    assert index.names() == TASKS
    assert index.problems() == {}
    assert {task.task_type for task in map(index.get, TASKS)} == {
        TaskType.CLASSIFICATION,
        TaskType.REGRESSION,
        TaskType.SEGMENTATION,
    }


@pytest.mark.parametrize("name", TASKS)
def test_no_image_is_in_training_and_test(index, name):
    table = index.get(name).samples
    hashes = np.array(table.column("sha256").to_pylist())
    assert not set(hashes[table.indices("train")]) & set(hashes[table.indices("test")])
    sizes = [len(table.indices("train", fold=fold, part="val")) for fold in range(5)]
    assert max(sizes) - min(sizes) <= (max(sizes) // 10 if name == "photo_patches" else 1)


def test_the_digits_share_one_split(index):
    splits = [
        index.get(name).samples.column("split").to_pylist() for name in TASKS if name.startswith("digits")
    ]
    assert splits[0] == splits[2] == splits[3]
    assert index.get("digits").num_samples == {"train": 1347, "test": 450}
    counts = index.get("digits").class_counts.values()
    assert max(counts) - min(counts) <= 10
    assert index.get("digits_parity").idx_to_class == {"0": "even", "1": "odd"}


def test_the_targets_are_scikit_learns(index):
    from sklearn.datasets import load_digits

    expected = load_digits().target
    np.testing.assert_array_equal(index.get("digits").samples.numpy("label"), expected)
    np.testing.assert_array_equal(index.get("digits_parity").samples.numpy("label"), expected % 2)
    np.testing.assert_array_equal(index.get("digits_value").samples.numpy("value")[:, 0], expected)


def test_no_lookup_of_pixel_values_finds_the_ink(index):
    task = index.get("digits_ink")
    rows = range(len(task.samples))
    images = np.stack([read_image(task.dataset_root / task.samples.text("image", row)) for row in rows])
    masks = np.stack([read_mask(task.dataset_root / task.samples.text("mask", row)) for row in rows])
    ink = np.bincount(images[masks == 1].ravel(), minlength=256)
    seen = np.bincount(images.ravel(), minlength=256)
    best_first = np.argsort(-ink / np.maximum(seen, 1))
    dice = 2 * ink[best_first].cumsum() / (seen[best_first].cumsum() + ink.sum())
    assert dice.max() < 0.5
    assert 0.05 < masks.mean() < 0.25


def test_cells_of_a_photograph_share_no_pixel():
    photo = np.arange(200 * 300).reshape(200, 300, 1)
    areas = list(photos.cells(photo))
    pixels = np.concatenate([area.ravel() for _, _, area in areas])
    assert len(set(pixels.tolist())) == len(pixels)
    assert [split for _, split, _ in areas].count("test") == photos.ROWS


def test_patches_have_unequal_sizes_and_folds_keep_cells_whole(index):
    task = index.get("photo_patches")
    assert (task.channels, task.num_classes) == (3, 6)
    assert task.sizes.min_height < 40 < 70 < task.sizes.max_height
    folds = {}
    table = task.samples
    for group, fold in zip(table.column("group").to_pylist(), table.numpy("fold"), strict=True):
        folds.setdefault(group, set()).add(int(fold))
    assert all(len(found) == 1 for found in folds.values())


def test_a_second_creation_gives_the_same_bytes(index, tmp_path):
    again = create_all(tmp_path)
    for name in TASKS:
        first, second = index.get(name).header, again.get(name).header
        assert (first.dataset_sha256, first.samples_sha256) == (second.dataset_sha256, second.samples_sha256)
