"""Importers of data that is no folder of images: MedMNIST's files, COCO's annotations, datasets of torch."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mml_tasks.importers.coco_masks import SegmentationError, counts_of, region
from mml_tasks.importers.torch_dataset import add_samples
from PIL import Image

from mml_core.cli.main import main
from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.errors import CreationError
from mml_core.tasks.index import TaskIndex

RANDOM = np.random.default_rng(0)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add(*arguments):
    return main(["tasks", "add", *map(str, arguments), "--name", "mine", "--folds", "2"])


def refused(capsys, *arguments):
    assert add(*arguments) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    return said


def mine(workplace):
    return TaskIndex(workplace / "data").get("mine")


def rows_of(task):
    return {row["sample_id"]: row for row in map(task.samples.row, range(len(task.samples)))}


def pixels_of(task, name, column="image"):
    return np.asarray(Image.open(task.dataset_root / rows_of(task)[name][column]))


def medmnist(path, labels=None, shape=(5, 5), **arrays):
    """Write a file as MedMNIST's are: 6 images for training, 4 for validation, 4 for testing."""
    made = {}
    for split, count in (("train", 6), ("val", 4), ("test", 4)):
        made[f"{split}_images"] = RANDOM.integers(0, 256, (count, *shape), dtype=np.uint8)
        made[f"{split}_labels"] = np.arange(count)[:, None] % 2 if labels is None else labels[:count]
    np.savez_compressed(path, **{**made, **arrays})
    return made


@pytest.mark.parametrize("shape", [(5, 5), (5, 7, 3)])
def test_medmnist_is_a_classification_with_its_official_splits(workplace, shape):
    made = medmnist("blood.npz", shape=shape)
    assert add("medmnist", "blood.npz", "--classes", "benign,malignant") == 0
    task = mine(workplace)
    assert (task.task_type, task.class_names) == ("classification", ["benign", "malignant"])
    assert task.num_samples == {"train": 10, "test": 4}
    np.testing.assert_array_equal(pixels_of(task, "val/000003"), made["val_images"][3])
    row = rows_of(task)["val/000003"]
    assert (row["split"], row["original_split"], row["label"]) == ("train", "val", 1)


def test_medmnist_can_be_validated_as_it_was_published(workplace):
    medmnist("blood.npz")
    assert add("medmnist", "blood.npz", "--official-val") == 0
    folds = {row["original_split"]: row["fold"] for row in rows_of(mine(workplace)).values()}
    assert (folds["val"], folds["train"]) == (0, 1)


def test_medmnist_with_several_labels_is_multilabel(workplace):
    medmnist("chest.npz", labels=np.array([[0, 1, 0], [1, 1, 0]] * 3))
    assert add("medmnist", "chest.npz") == 0
    task = mine(workplace)
    assert (task.task_type, task.class_names) == ("multilabel", ["class 0", "class 1", "class 2"])
    assert task.class_counts == {"0": 5, "1": 10, "2": 0}


def test_medmnist_can_be_a_regression(workplace):
    medmnist("retina.npz", labels=np.arange(6)[:, None])
    assert add("medmnist", "retina.npz", "--type", "regression", "--classes", "grade") == 0
    assert mine(workplace).target_names == ["grade"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"train_images": np.zeros((6, 5, 5), np.float32)}, "train_images is (6, 5, 5) of float32"),
        ({"train_images": np.zeros((6, 5, 5, 5), np.uint8)}, "volumes are not"),
        ({"train_images": np.zeros((5, 5, 5), np.uint8)}, "train has 5 images and labels of 6"),
        ({"train_labels": np.array([{}] * 6)}, "is no readable .npz file: Object arrays cannot be loaded"),
        ({"train_labels": np.array(["a"] * 6)}, "train_labels is (6,) of <U1"),
    ],
)
def test_other_arrays_are_refused(workplace, capsys, changes, why):
    medmnist("odd.npz", **changes)
    assert why in refused(capsys, "medmnist", "odd.npz")


def test_no_npz_is_refused(workplace, capsys):
    (workplace / "x.npz").write_bytes(b"PK\x03\x04 nothing")
    assert "x.npz is no readable .npz file" in refused(capsys, "medmnist", "x.npz")
    np.savez("y.npz", a=np.zeros(3))
    assert "y.npz has no train_images and train_labels" in refused(capsys, "medmnist", "y.npz")
    assert "Did you mean 'y.npz'" in refused(capsys, "medmnist", "z.npz")


def test_a_polygon_covers_the_pixels_whose_centres_it_holds():
    found = region([[1, 1, 5, 1, 5, 4, 1, 4]], 6, 7)
    expected = np.zeros((6, 7), bool)
    expected[1:4, 1:5] = True
    np.testing.assert_array_equal(found, expected)
    two = region([[0, 0, 1, 0, 1, 1, 0, 1], [6, 5, 7, 5, 7, 6, 6, 6]], 6, 7)
    assert np.argwhere(two).tolist() == [[0, 0], [5, 6]]


def test_run_lengths_go_down_the_columns():
    expected = np.zeros((6, 5), bool)
    expected[1:4, 2:4] = True
    expected[5, 0] = True
    runs = {"size": [6, 5], "counts": [5, 1, 7, 3, 3, 3, 8]}
    np.testing.assert_array_equal(region(runs, 6, 5), expected)


def test_compressed_run_lengths_are_those_of_cocos_api():
    assert counts_of("5172L05") == [5, 1, 7, 3, 3, 3, 8]  # pycocotools.mask.encode of the mask above
    long = "05<000EO;100FN:200GM9300HL840050K050K050K050K050K050K050K050"
    assert counts_of(long)[:6] == [0, 5, 12, 5, 12, 5]


@pytest.mark.parametrize(
    ("segmentation", "why"),
    [
        ({"size": [6, 5], "counts": [5, 1]}, "sum up to 6, the image has 30 pixels"),
        ({"size": [5, 6], "counts": [30]}, r"of size \[5, 6\], the image is 6 x 5"),
        ({"size": [6, 5], "counts": [-1, 31]}, "neither whole numbers nor text"),
        ({"size": [6, 5], "counts": "5172L0P"}, "end within a number"),
        ({"size": [6, 5], "counts": "5 "}, "the character ' '"),
        ([[1, 1, 2, 2]], "a polygon has 2 finite corners"),
        ([[1, 1, 2, 2, 3]], "no list of x, y"),
        ("text", "it is str, neither polygons nor run lengths"),
    ],
)
def test_what_is_no_segmentation_is_refused(segmentation, why):
    with pytest.raises(SegmentationError, match=why):
        region(segmentation, 6, 5)


def coco(path, annotations, images=4):
    """Write annotations, and images of 8 x 8 pixels in the folder ``pictures``."""
    listed = []
    for number in range(images):
        file = path.parent / "pictures" / f"{path.stem}{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
        listed.append({"id": 10 + number, "file_name": file.name, "height": 8, "width": 8})
    categories = [{"id": 7, "name": "polyp"}, {"id": 3, "name": "tool"}]
    content = {"images": listed, "categories": categories, "annotations": annotations}
    path.write_text(json.dumps(content))
    return content


def square(image, category, corner, **more):
    points = [corner, corner, corner + 4, corner, corner + 4, corner + 4, corner, corner + 4]
    return {"id": 1, "image_id": image, "category_id": category, "segmentation": [points], **more}


def test_coco_annotations_become_masks(workplace):
    crowd = {"size": [8, 8], "counts": [0, 16, 48]}
    coco(
        workplace / "a.json",
        [
            square(10, 7, 0),
            square(10, 3, 2),
            {"id": 2, "image_id": 10, "category_id": 7, "segmentation": crowd, "iscrowd": 1},
        ],
    )
    coco(workplace / "b.json", [square(11, 7, 4)], images=2)
    assert add("coco", "a.json", "pictures", "--test-annotations", "b.json") == 0
    task = mine(workplace)
    assert (task.class_names, task.ignore_index) == (["background", "tool", "polyp"], 255)
    assert task.num_samples == {"train": 4, "test": 2}
    expected = np.zeros((8, 8), np.uint8)
    expected[:, :2] = 255
    expected[:4, :4] = 2
    expected[2:6, 2:6] = 1
    np.testing.assert_array_equal(pixels_of(task, "train/a0.png", "mask"), expected)
    assert not pixels_of(task, "train/a1.png", "mask").any()
    assert pixels_of(task, "test/b1.png", "mask").sum() == 32


def test_crowds_can_be_of_their_class(workplace):
    coco(workplace / "a.json", [square(10, 7, 0, iscrowd=1)])
    assert add("coco", "a.json", "pictures", "--crowds", "class") == 0
    assert (mine(workplace).ignore_index, mine(workplace).class_counts["2"]) == (None, 16)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda c: c["annotations"].append(square(99, 7, 0)),
            "is of image 99, which is not among its images",
        ),
        (lambda c: c["annotations"].append(square(10, 9, 0)), "is of category 9, which is not among its cat"),
        (lambda c: c["images"][0].update(file_name="../../x.png"), "'../../x.png', outside of pictures"),
        (
            lambda c: c["images"][0].update(file_name="x.png"),
            "There is no image pictures/x.png, which a.json",
        ),
        (lambda c: c["images"][0].update(height=9), "a.json is 9 x 8, its image is 8 x 8 pixels"),
        (lambda c: c["annotations"].append(square(10, 7, 0, segmentation=[[1]])), "annotation 1 is wrong"),
        (lambda c: c.pop("images"), "is no file of COCO annotations"),
    ],
)
def test_wrong_annotations_are_refused(workplace, capsys, spoil, why):
    content = coco(workplace / "a.json", [])
    spoil(content)
    (workplace / "a.json").write_text(json.dumps(content))
    assert why in refused(capsys, "coco", "a.json", "pictures")


MODULE = """
import numpy as np
import torch
from torch.utils.data import Dataset

class Spots(Dataset):
    classes = ["dark", "bright"]

    def __init__(self, count, train=True, kind="label", scale=1.0):
        self.random = np.random.default_rng(int(train))
        self.images = self.random.integers(0, 256, (count, 3, 6, 5), dtype=np.uint8)
        self.kind, self.scale = kind, scale

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        image = torch.from_numpy(self.images[number])
        target = {
            "label": number % 2,
            "labels": torch.tensor([1.0, 0.25]),
            "value": torch.tensor([number, 2.5]),
            "mask": (image[0] > 99).long(),
        }[self.kind]
        return image / 255 * self.scale, target
"""


@pytest.fixture
def spots(workplace, monkeypatch):
    (workplace / "modules").mkdir()
    (workplace / "modules" / "spots.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(workplace / "modules"))
    return "spots:Spots"


def test_a_dataset_of_torch_is_taken_without_loss(workplace, spots):
    assert add("torch", spots, "--arg", "count=8", "--test-arg", "train=false") == 0
    task = mine(workplace)
    assert (task.class_names, task.num_samples) == (["dark", "bright"], {"train": 8, "test": 8})
    import spots as module

    expected = module.Spots(8).images[5].transpose(1, 2, 0)
    np.testing.assert_array_equal(pixels_of(task, "train/000005"), expected)
    assert rows_of(task)["train/000005"]["label"] == 1


@pytest.mark.parametrize(
    ("kind", "task_type", "options", "expected"),
    [
        ("labels", "multilabel", [], {"labels": [1.0, 0.25]}),
        ("value", "regression", ["--targets", "age,dose"], {"value": [5.0, 2.5]}),
        ("mask", "semantic_segmentation", [], {"mask": "masks/train/000005.png"}),
    ],
)
def test_targets_of_every_type_are_taken(workplace, spots, kind, task_type, options, expected):
    given = ["--arg", "count=8", "--arg", f"kind={kind}", "--type", task_type, *options]
    assert add("torch", spots, *given) == 0
    row = rows_of(mine(workplace))["train/000005"]
    assert {key: row[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["spots:Spot"], "cannot be imported: module 'spots' has no attribute 'Spot'"),
        (["nowhere:Spots"], "cannot be imported: No module named 'nowhere'. Is its folder in PYTHONPATH?"),
        (["spots"], "'spots' names no dataset"),
        (["spots:Spots"], "called with {} raises TypeError"),
        (["spots:Spots", "--arg", "count"], "--arg 'count' is no KEY=VALUE"),
        (
            ["spots:Spots", "--arg", "count=4", "--arg", "scale=2"],
            "Item 0 of train cannot be used: its image is",
        ),
        (["spots:Spots", "--arg", "count=4", "--arg", "scale=0.7"], "no scaled image of 8 bits"),
        (["spots:Spots", "--arg", "count=4", "--arg", "kind=none"], "Item 0 of train raises KeyError"),
        (
            ["spots:Spots", "--arg", "count=4", "--arg", "kind=value", "--type", "regression"],
            "2 values for 1 targets",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused(workplace, spots, capsys, arguments, why):
    assert why in refused(capsys, "torch", *arguments)


def test_samples_can_be_added_from_python(tmp_path):
    builder = TaskBuilder(name="t", task_type="classification", dataset="t", dataset_root=tmp_path)
    builder.describe(idx_to_class=["a", "b"])
    add_samples(builder, [(np.zeros((4, 4), np.uint8), "b")], split="test")
    assert (builder.samples[0].sample_id, builder.samples[0].target) == ("test/000000", 1)
    with pytest.raises(CreationError, match="has no length or no items"):
        add_samples(builder, iter([]))
