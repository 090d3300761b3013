"""A task is made of what its creator described, or refused with the sample that is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.creation import create_task, import_task
from mml_core.tasks.datasets import create_dataset, read_manifest, verify_dataset, write_manifest
from mml_core.tasks.description import TaskDescription, decode_header
from mml_core.tasks.errors import CreationError, DamagedTaskError, ImageError, LeakageError
from mml_core.tasks.finishing import CreationOptions, finish_task
from mml_core.tasks.index import TaskIndex

CLASSES = {"classification": ["a", "b"], "multilabel": ["a", "b"], "semantic_segmentation": ["no", "yes"]}


class Workshop:
    """A dataset in the making, and a task over it."""

    def __init__(self, folder, task_type="classification"):
        self.root = folder / "datasets" / "made"
        self.out = folder / "tasks" / "made"
        self.root.mkdir(parents=True)
        self.out.mkdir(parents=True)
        self.data = folder
        self.builder = TaskBuilder(name="made", task_type=task_type, dataset="made", dataset_root=self.root)
        if task_type in CLASSES:
            self.builder.describe(idx_to_class=CLASSES[task_type])
        self.count = 0

    def image(self, pixels=None, name=None):
        self.count += 1
        name = name or f"{self.count}.png"
        if pixels is None:
            pixels = np.random.default_rng(self.count).integers(0, 256, (4, 4), dtype=np.uint8)
        Image.fromarray(pixels).save(self.root / name)
        return name

    def add(self, **changes):
        fields = {"sample_id": f"s{self.count + 1}", **changes}
        fields.setdefault("image", self.image())
        self.builder.add(**fields)

    def finish(self, **options) -> TaskDescription:
        write_manifest(self.root, "made")
        self.warnings = finish_task(self.builder, self.out, CreationOptions(**{"num_folds": 2, **options}))
        header = decode_header((self.out / "task.json").read_bytes(), self.out)
        return TaskDescription(header, self.out, self.data)


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


def test_statistics_are_those_of_the_training_pixels(workshop):
    rng = np.random.default_rng(1)
    train = [rng.integers(0, 256, (3 + i, 5, 3), dtype=np.uint8) for i in range(4)]
    for i, pixels in enumerate(train):
        workshop.add(sample_id=f"t{i}", image=workshop.image(pixels), label=i % 2)
    workshop.add(image=workshop.image(np.zeros((9, 2, 3), np.uint8)), label=0, split="test")
    task = workshop.finish()
    flat = np.concatenate([pixels.reshape(-1, 3) for pixels in train]) / 255
    np.testing.assert_allclose(task.means, flat.mean(axis=0))
    np.testing.assert_allclose(task.stds, flat.std(axis=0))
    sizes = task.sizes
    assert (sizes.min_height, sizes.min_width, sizes.max_height, sizes.max_width) == (3, 2, 9, 5)
    assert (task.channels, task.bit_depth) == (3, 8)
    assert task.class_counts == {"0": 2, "1": 2}
    assert task.num_samples == {"train": 4, "test": 1}
    task.verify()


def test_grey_and_colour_go_together(workshop):
    workshop.add(image=workshop.image(np.full((2, 2), 51, np.uint8)), label=0)
    workshop.add(image=workshop.image(np.full((2, 2, 4), [102, 0, 51, 7], np.uint8)), label=1)
    task = workshop.finish()
    np.testing.assert_allclose(task.means, [0.3, 0.1, 0.2])


def test_four_channels_of_an_array_are_no_transparency(workshop):
    for i in range(2):
        np.save(workshop.root / f"{i}.npy", np.full((2, 2, 4), [102, 0, 51, 153 + i], np.uint8))
        workshop.add(image=f"{i}.npy", label=i)
    task = workshop.finish()
    assert task.channels == 4
    np.testing.assert_allclose(task.means, [0.4, 0.0, 0.2, 0.6], atol=0.002)
    workshop.add(image=workshop.image(np.full((2, 2, 4), 7, np.uint8)), label=1)
    with pytest.raises(CreationError, match=r"Images of \[3, 4\] channels do not go together"):
        workshop.finish()


def test_sixteen_bits_are_on_the_same_scale(workshop):
    for i in range(2):
        workshop.add(image=workshop.image(np.full((2, 2), 13107 + i, np.uint16)), label=i)
    task = workshop.finish()
    assert task.bit_depth == 16
    np.testing.assert_allclose(task.means, [0.2], atol=1e-4)


def test_a_segmentation_counts_pixels_and_keeps_empty_masks(tmp_path):
    workshop = Workshop(tmp_path, "semantic_segmentation")
    for i in range(4):
        mask = np.zeros((4, 4), np.uint8)
        mask[: i % 2] = 1
        workshop.add(mask=workshop.image(mask, name=f"m{i}.png"))
    assert workshop.finish().class_counts == {"0": 56, "1": 8}


def test_a_regression_has_names_means_and_stds(tmp_path):
    workshop = Workshop(tmp_path, "regression")
    workshop.builder.describe(target_names=["x", "y"])
    for i in range(4):
        workshop.add(value=[float(i), 2.0])
    task = workshop.finish()
    assert (task.target_names, task.num_outputs) == (["x", "y"], 2)
    np.testing.assert_allclose(task.target_means, [1.5, 2.0])
    np.testing.assert_allclose(task.target_stds, [np.std([0, 1, 2, 3]), 0.0])
    np.testing.assert_array_equal(task.samples.numpy("value")[:, 0], [0, 1, 2, 3])


def test_multilabel_and_unlabelled_samples(tmp_path):
    workshop = Workshop(tmp_path, "multilabel")
    for i in range(4):
        workshop.add(labels=[i % 2, 0.25])
    workshop.add(split="unlabelled")
    task = workshop.finish()
    assert task.class_counts == {"0": 2, "1": 0}
    assert task.num_samples == {"train": 4, "test": 0, "unlabelled": 1}
    assert np.isnan(task.samples.numpy("labels")[4]).all()
    assert "class 'b' has no training sample" in workshop.warnings[0]


def test_folds_follow_groups_and_copies_of_an_image(workshop):
    same = np.full((4, 4), 7, np.uint8)
    for i in range(12):
        workshop.add(
            label=i % 2, group=f"g{i // 3}", **({"image": workshop.image(same)} if i in (0, 11) else {})
        )
    table = workshop.finish().samples
    folds = table.numpy("fold")
    for start in range(0, 12, 3):
        assert len(set(folds[start : start + 3].tolist())) == 1
    assert folds[0] == folds[11]


def test_folds_that_are_given_are_kept(workshop):
    for i in range(6):
        workshop.add(label=i % 2, fold=i % 3)
    task = workshop.finish()
    assert task.num_folds == 3
    assert task.samples.numpy("fold").tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("folds", [[0, 0], [0, 2], [None, 1]])
def test_folds_with_gaps_are_refused(workshop, folds):
    for i, fold in enumerate(folds):
        workshop.add(label=i, fold=fold)
    with pytest.raises(CreationError, match="fold"):
        workshop.finish()


@pytest.mark.parametrize("what", ["image", "group"])
@pytest.mark.parametrize(
    ("sides", "leak"),
    [
        ([{}, {}, {}, {"split": "test"}], "both in training and test: train 'x0' = test 'x3'"),
        (
            [{"fold": 0}, {"fold": 0}, {"fold": 1}, {"fold": 1}],
            "in more than one fold: fold 0 'x0' = fold 1 'x3'",
        ),
    ],
)
def test_leakage_is_refused_or_warned_of(workshop, what, sides, leak):
    same = np.full((4, 4), 7, np.uint8)
    for i, side in enumerate(sides):
        shared = {"image": workshop.image(same)} if what == "image" else {"group": "g"}
        workshop.add(sample_id=f"x{i}", label=i % 2, **side, **(shared if i in (0, 3) else {}))
    with pytest.raises(LeakageError, match=f"1 {what}s are {leak}"):
        workshop.finish()
    workshop.finish(on_leakage="warn")
    assert leak in workshop.warnings[0]


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"label": 2}, "label 2 is none of the 2 classes"),
        ({"label": "c"}, "'c' is no class"),
        ({"label": 0.7}, "label 0.7 is neither a class name nor a whole number"),
        ({}, "label is missing"),
        ({"label": 0, "value": 1.0}, "takes no value"),
        ({"label": 0, "split": "val"}, "split 'val'"),
        ({"label": 0, "split": "test", "fold": 1}, "fold 1"),
        ({"label": 0, "image": "../x.png"}, "not below"),
        ({"label": 0, "image": "/x.png"}, "not below"),
        ({"label": 0, "sample_id": "taken"}, "taken by another"),
    ],
)
def test_a_sample_that_does_not_fit_is_named(workshop, sample, message):
    workshop.add(sample_id="taken", label=0)
    fields = {"sample_id": "this one", "image": "1.png", **sample}
    with pytest.raises(CreationError, match=message) as caught:
        workshop.builder.add(**fields)
    assert f"'{fields['sample_id']}'" in str(caught.value)


def test_every_image_is_decoded_and_compared(workshop):
    for i in range(4):
        workshop.add(label=i % 2)
    write_manifest(workshop.root, "made")
    path = workshop.root / "3.png"
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(DamagedTaskError, match=r"3\.png"):
        finish_task(workshop.builder, workshop.out, CreationOptions(num_folds=2))
    write_manifest(workshop.root, "made")
    with pytest.raises(ImageError, match=r"3\.png is damaged"):
        finish_task(workshop.builder, workshop.out, CreationOptions(num_folds=2))


def test_masks_have_to_fit(tmp_path):
    workshop = Workshop(tmp_path, "semantic_segmentation")
    workshop.add(mask=workshop.image(np.full((4, 4), 2, np.uint8)))
    with pytest.raises(ImageError, match="has the class 2"):
        workshop.finish()
    other = Workshop(tmp_path / "other", "semantic_segmentation")
    other.add(mask=other.image(np.zeros((4, 5), np.uint8)))
    with pytest.raises(ImageError, match="4 x 5, its image is 4 x 4"):
        other.finish()


def test_a_seed_makes_the_same_task_again(tmp_path, plugins):
    digests = []
    for place in ("one", "two"):
        create_dataset(plugins.datasets.get("paint"), tmp_path / place)
        create_task(plugins.tasks.get("colours"), tmp_path / place)
        header = TaskIndex(tmp_path / place).get("colours").header
        digests.append((header.dataset_sha256, header.samples_sha256))
    assert digests[0] == digests[1]


def test_what_is_there_is_kept_until_forced(colours, plugins):
    spec, dataset = plugins.tasks.get("colours"), plugins.datasets.get("paint")
    assert not create_dataset(dataset, colours).created
    assert not create_task(spec, colours).created
    made = create_task(spec, colours, CreationOptions(num_folds=3, force=True))
    assert made.created
    assert TaskIndex(colours).get("colours").num_folds == 3
    assert create_dataset(dataset, colours, force=True).created
    assert verify_dataset(colours / "datasets" / "paint") == []
    assert [path.name for path in (colours / "datasets").iterdir()] == ["paint"]


def test_a_task_is_not_kept_over_a_dataset_that_is_another_now(colours, plugins):
    spec, dataset = plugins.tasks.get("colours"), colours / "datasets" / "paint"
    manifest = dataset / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"CC0", b"MIT"))
    with pytest.raises(CreationError, match="made over another version of the dataset 'paint'"):
        create_task(spec, colours)
    dataset.rename(colours / "away")
    with pytest.raises(CreationError, match="but not its dataset"):
        create_task(spec, colours)
    with pytest.raises(CreationError, match="is over the dataset 'paint', not over 'prints'"):
        create_task(dataclasses.replace(spec, dataset="prints"), colours)


def test_a_dataset_whose_replacement_was_killed_is_put_back_for_its_task(colours, plugins):
    dataset = colours / "datasets" / "paint"
    dataset.rename(colours / "datasets" / f".paint.{'0' * 16}.replaced")
    assert not create_task(plugins.tasks.get("colours"), colours).created
    assert verify_dataset(dataset) == []


def test_a_damaged_dataset_is_not_kept(colours, plugins):
    (colours / "datasets" / "paint" / ".DS_Store").write_bytes(b"x")
    assert not create_dataset(plugins.datasets.get("paint"), colours).created
    (colours / "datasets" / "paint" / "red" / "00.png").write_bytes(b"x")
    with pytest.raises(DamagedTaskError, match=r"red/00\.png: changed since .*mode\.force=true"):
        create_dataset(plugins.datasets.get("paint"), colours)


def test_a_task_without_its_dataset_says_so(tmp_path, plugins):
    with pytest.raises(CreationError, match="needs the dataset 'paint'"):
        create_task(plugins.tasks.get("colours"), tmp_path)
    assert list((tmp_path / "tasks").iterdir()) == []


def test_differences_from_a_manifest_are_listed(colours):
    folder = colours / "datasets" / "paint"
    assert len(read_manifest(folder).files) == 24
    (folder / "red" / "00.png").write_bytes(b"x")
    (folder / "green" / "01.png").unlink()
    (folder / "more.png").write_bytes(b"x")
    assert verify_dataset(folder) == [
        "more.png: not in the manifest",
        "green/01.png: missing",
        "red/00.png: changed since the dataset was published",
    ]


def test_a_failed_import_publishes_nothing(tmp_path):
    def fill(root):
        (root / "broken.png").write_bytes(b"no image")
        builder = TaskBuilder(name="mine", task_type="classification", dataset="mine", dataset_root=root)
        builder.describe(idx_to_class=["a", "b"])
        builder.add(sample_id="s", image="broken.png", label=0)
        return builder

    with pytest.raises(ImageError, match=r"broken\.png"):
        import_task(fill, "mine", tmp_path)
    assert list((tmp_path / "datasets").iterdir()) == [] == list((tmp_path / "tasks").iterdir())


def test_an_import_never_replaces_a_plugins_dataset(colours):
    with pytest.raises(CreationError, match="that a plugin made"):
        import_task(lambda root: pytest.fail("was asked to fill it"), "paint", colours)


def test_pixels_to_ignore_are_of_no_class(tmp_path):
    workshop = Workshop(tmp_path, "semantic_segmentation")
    workshop.builder.describe(ignore_index=255)
    for i in range(4):
        mask = np.zeros((4, 4), np.uint8)
        mask[0], mask[1] = 1, 255
        workshop.add(mask=workshop.image(mask, name=f"m{i}.png"))
    task = workshop.finish()
    assert (task.ignore_index, task.num_outputs) == (255, 2)
    assert task.class_counts == {"0": 32, "1": 16}
    workshop.add(mask=workshop.image(np.full((4, 4), 7, np.uint8), name="odd.png"))
    with pytest.raises(ImageError, match=r"odd\.png has the class 7, the task has 0 to 1, and ignores 255"):
        workshop.finish()


@pytest.mark.parametrize(
    ("task_type", "index", "why"),
    [
        ("semantic_segmentation", 1, "2 classes and an ignore_index of 1: it has to be from 2 to 255"),
        ("semantic_segmentation", 256, "from 2 to 255"),
        ("classification", 255, "of type classification: only masks have pixels to ignore"),
    ],
)
def test_an_ignore_index_is_above_all_classes_of_a_segmentation(tmp_path, task_type, index, why):
    with pytest.raises(CreationError, match=why):
        Workshop(tmp_path, task_type).builder.describe(ignore_index=index)
