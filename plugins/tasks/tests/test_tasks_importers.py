"""Importers make tasks of files as people have them, and say in one line what is wrong with those."""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mml_core.cli.main import main
from mml_core.tasks.index import TaskIndex


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def image(path, seed=None, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        rng = np.random.default_rng(abs(hash(str(path))) % 2**32 if seed is None else seed)
        pixels = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def add(*arguments, folds=2):
    return main(["tasks", "add", *map(str, arguments), "--name", "mine", "--folds", str(folds)])


def refused(capsys, *arguments):
    assert add(*arguments) == 2
    return capsys.readouterr().err


def mine(workplace):
    return TaskIndex(workplace / "data").get("mine")


def samples(task):
    return {row["sample_id"]: row for row in map(task.samples.row, range(len(task.samples)))}


def test_a_folder_of_classes(workplace, capsys):
    for name in ("grade 2", "grade 10"):
        for i in range(4):
            image(workplace / "in" / name / f"p{i // 2}_{i}.png")
    (workplace / "in" / "grade 2" / "notes.txt").write_text("")
    (workplace / "in" / ".hidden").write_text("")
    assert add("folder", "in", "--subject", "^(p[0-9])_", "--keywords", "a, b", "--license", "CC0") == 0
    task = mine(workplace)
    assert task.idx_to_class == {"0": "grade 2", "1": "grade 10"}
    assert (task.keywords, task.license, task.num_samples) == (["a", "b"], "CC0", {"train": 8, "test": 0})
    rows = samples(task)
    assert rows["grade 2/p0_0.png"]["group"] == "p0"
    assert rows["grade 2/p0_0.png"]["fold"] == rows["grade 10/p0_1.png"]["fold"]
    assert "Left out 1 files that are no images: notes.txt" in capsys.readouterr().err


def test_official_splits_and_an_external_test_set(workplace):
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for name in "ab":
            for i in range(count):
                image(workplace / "in" / split / name / f"{split}{i}.png")
    for name in "ab":
        image(workplace / "other" / name / "far.png")
    assert add("folder", "in", "--test", "other") == 0
    rows = samples(mine(workplace))
    assert mine(workplace).num_samples == {"train": 12, "test": 6}
    assert (rows["val/a/val0.png"]["split"], rows["val/a/val0.png"]["original_split"]) == ("train", "val")
    assert rows["test/a/test0.png"]["split"] == "test"
    assert rows["external_test/a/far.png"]["original_split"] == "external test"


def test_folders_behind_links_are_read_once_and_empty_ones_are_named(workplace, capsys):
    for name in ("in/a", "in/b", "elsewhere"):
        for i in range(2):
            image(workplace / name / f"{i}.png")
    (workplace / "in" / "linked").symlink_to("../elsewhere")
    (workplace / "in" / "a" / "loop").symlink_to("..")
    (workplace / "in" / "hollow" / "deeper").mkdir(parents=True)
    assert add("folder", "in") == 0
    assert mine(workplace).class_counts == {"0": 2, "1": 2, "2": 2}
    assert mine(workplace).class_names == ["a", "b", "linked"]
    warnings = capsys.readouterr().err
    assert "Left out 1 folders without an image: hollow." in warnings
    assert "Left out 1 folders that were read under another name: loop." in warnings


def test_splits_beside_other_folders_are_no_classes(workplace, capsys):
    for name in ("train/a", "train/b", "test/a", "test/b", "extra/c"):
        image(workplace / "in" / name / "x.png")
    assert "holds the splits test, train, and beside them extra" in refused(capsys, "folder", "in")
    for name in "abt":
        image(workplace / "kinds" / {"t": "test"}.get(name, name) / "x.png")
    image(workplace / "kinds" / "a" / "y.png")
    assert add("folder", "kinds") == 0
    assert "'test' in kinds was taken for a class, as a, b are" in capsys.readouterr().err


def test_what_is_wrong_with_a_folder(workplace, capsys):
    image(workplace / "one" / "only" / "x.png")
    assert "1 class (only)" in refused(capsys, "folder", "one")
    image(workplace / "flat" / "x.png")
    assert "lies in no folder of a class" in refused(capsys, "folder", "flat")
    assert "Did you mean 'flat'" in refused(capsys, "folder", "flatt")
    (workplace / "empty").mkdir()
    assert "no images" in refused(capsys, "folder", "empty")
    assert "no regular expression" in refused(capsys, "folder", "one", "--subject", "(")
    for name in "ab":
        image(workplace / "bad" / name / "x.png")
    (workplace / "bad" / "a" / "y.png").write_bytes(b"no image")
    assert "Image bad/a/y.png is in no known format" in refused(capsys, "folder", "bad")
    assert TaskIndex(workplace / "data").names() == []


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_list_with_all_columns(workplace, kind):
    rows = []
    for i in range(8):
        image(workplace / "pictures" / f"{i}.png")
        split = "testing" if i > 5 else "training"
        row = {"file": f"pictures/{i}.png", "y": "cat" if i % 2 else "dog", "who": f"p{i}", "use": split}
        rows.append({**row, "fold": i % 3, "key": f"k{i}"})
    if kind == "csv":
        table(workplace / "list.csv", rows)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), workplace / "list.parquet")
    options = ["--image", "file", "--label", "y", "--subject", "who", "--split", "use", "--fold", "fold"]
    assert add("csv", f"list.{kind}", *options, "--id", "key") == 0
    task = mine(workplace)
    assert (task.class_names, task.num_folds, task.num_samples) == (
        ["cat", "dog"],
        3,
        {"train": 6, "test": 2},
    )
    row = samples(task)["k4"]
    assert (row["fold"], row["group"], row["original_split"], row["label"]) == (1, "p4", "training", 1)
    assert row["image"] == "images/pictures/4.png"


def test_an_external_list_may_use_the_same_file_names(workplace):
    for place, seed in (("here", 1), ("there", 2)):
        for i in range(4):
            image(workplace / place / f"{i}.png", seed=10 * seed + i)
            masks(workplace / place, [f"m{i}"])
        table(workplace / place / "list.csv", [{"file": f"{i}.png", "mask": f"m{i}.png"} for i in range(4)])
    options = ["--image", "file", "--label", "mask", "--type", "semantic_segmentation", "--classes", "a,b"]
    assert add("csv", "here/list.csv", *options, "--test", "there/list.csv") == 0
    rows = samples(mine(workplace))
    root = mine(workplace).dataset_root
    assert rows["external_test/0.png"]["mask"] == "masks/external_test/m0.png"
    for row in rows.values():
        assert hashlib.sha256((root / row["image"]).read_bytes()).hexdigest() == row["sha256"]
    assert len({row["sha256"] for row in rows.values()}) == 8


def test_files_outside_the_root_never_take_the_place_of_others(workplace, capsys):
    given = ["../out/a.png", "../out/deep/a.png", "a.png"]
    for name in given:
        image(workplace / "in" / name)
    (workplace / "in").mkdir(exist_ok=True)
    table(workplace / "in" / "list.csv", [{"file": name, "y": i % 2} for i, name in enumerate(given)])
    options = ["--image", "file", "--label", "y"]
    assert add("csv", "in/list.csv", *options) == 0
    assert set(samples(mine(workplace))) == {"outside/0/a.png", "outside/1/a.png", "a.png"}
    image(workplace / "in" / "outside" / "0" / "a.png")
    table(
        workplace / "in" / "list.csv",
        [{"file": name, "y": i % 2} for i, name in enumerate([*given, "outside/0/a.png"])],
    )
    error = refused(capsys, "csv", "in/list.csv", *options, "--force")
    assert "in/outside/0/a.png and in/../out/a.png would both become images/outside/0/a.png" in error


def test_a_list_says_the_same_in_every_format(workplace):
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [image(workplace / f"{i}.png").name for i in range(6)]
    labels = [" 1", "2 ", "1", "2", "", ""]
    table(
        workplace / "list.csv",
        [
            {"file": file, "y": label, "use": "train" if label else "unlabelled"}
            for file, label in zip(files, labels, strict=True)
        ],
    )
    columns = {
        "file": files,
        "y": [1.0, 2.0, 1.0, 2.0, float("nan"), None],
        "use": [*["train "] * 4, *[" unlabelled"] * 2],
    }
    pq.write_table(pa.table(columns), workplace / "list.parquet")
    digests = set()
    for kind in ("csv", "parquet"):
        options = ["--image", "file", "--label", "y", "--split", "use", "--force"]
        assert add("csv", f"list.{kind}", *options) == 0
        digests.add((mine(workplace).samples_sha256, *mine(workplace).class_names))
    assert len(digests) == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_two_columns_of_one_name_are_refused(workplace, capsys, kind):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (workplace / "list.csv").write_text("file,y,y,,\n0.png,a,b,,\n")
    doubled = pa.table([["0.png"], ["a"], ["b"]], names=["file", "y", "y"])
    pq.write_table(doubled, workplace / "list.parquet")
    error = refused(capsys, "csv", f"list.{kind}", "--image", "file", "--label", "y")
    assert "several columns of the name 'y'" in error


def test_labels_may_be_indices_of_the_classes_that_are_named(workplace):
    given = listed(workplace, y=[0, 1, 1, 0])
    assert add(*given, "--label", "y", "--classes", "benign,malignant") == 0
    assert mine(workplace).class_names == ["benign", "malignant"]
    assert mine(workplace).samples.numpy("label").tolist() == [0, 1, 1, 0]
    assert add(*given, "--label", "y", "--classes", "1,0", "--force") == 0
    assert mine(workplace).samples.numpy("label").tolist() == [1, 0, 0, 1]


def listed(workplace, **columns):
    rows = [{"file": image(workplace / f"{i}.png").name} for i in range(4)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    table(workplace / "list.csv", rows)
    return "csv", "list.csv", "--image", "file"


def test_a_regression_of_two_values(workplace):
    assert add(*listed(workplace, x=[1, 2, 3, 4], y=[0.5] * 4), "--label", "x,y", "--type", "regression") == 0
    task = mine(workplace)
    assert task.target_names == ["x", "y"]
    np.testing.assert_array_equal(task.samples.numpy("value"), [[1, 0.5], [2, 0.5], [3, 0.5], [4, 0.5]])


def test_several_labels_in_one_cell_or_in_columns(workplace):
    assert add(*listed(workplace, tags=["a|b", "", "b", "a"]), "--label", "tags", "--type", "multilabel") == 0
    np.testing.assert_array_equal(mine(workplace).samples.numpy("labels"), [[1, 1], [0, 0], [0, 1], [1, 0]])
    given = listed(workplace, p=[1, 0, 0.5, 0], q=[0, 0, 1, 1])
    assert add(*given, "--label", "p,q", "--type", "multilabel", "--force") == 0
    assert mine(workplace).class_names == ["p", "q"]


def test_an_image_may_be_listed_twice_but_not_for_training_and_test(workplace, capsys):
    rows = [{"file": image(workplace / f"{i}.png").name, "y": str(i % 2), "use": "train"} for i in range(4)]
    table(workplace / "list.csv", [*rows, {**rows[0], "use": "train"}])
    options = ["--image", "file", "--label", "y", "--split", "use"]
    assert add("csv", "list.csv", *options) == 0
    assert "0.png#4" in samples(mine(workplace))
    table(workplace / "list.csv", [*rows, {**rows[0], "use": "test"}])
    assert "both in training and test" in refused(capsys, "csv", "list.csv", *options, "--force")
    assert add("csv", "list.csv", *options, "--force", "--on-leakage", "warn") == 0


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"label": "abab"}, ["--label", "lable"], "no column 'lable' (--label). Did you mean 'label'"),
        ({"label": "aaaa"}, ["--label", "label"], "1 class (a)"),
        (
            {"y": ["1", "2", "three", "4"]},
            ["--label", "y", "--type", "regression"],
            "row 3: 'three' in",
        ),
        ({"y": ["1", "2", "", "4"]}, ["--label", "y", "--type", "regression"], "row 3: column 'y' is empty"),
        ({"y": ["1", "2", "nan", "4"]}, ["--label", "y", "--type", "regression"], "row 3: 'nan'"),
        (
            {"y": "abab", "s": ["train", "tset", "test", "val"]},
            ["--label", "y", "--split", "s"],
            "row 2: 'tset'",
        ),
        ({"y": "abab", "f": ["0", "1", "0.5", "1"]}, ["--label", "y", "--fold", "f"], "row 3: fold 0.5"),
        ({"y": "abab"}, [], "--label is needed"),
        ({"y": "abab"}, ["--label", "y", "--type", "unlabelled"], "predicts nothing"),
        (
            {"y": "abab"},
            ["--label", "y", "--classes", "a,c"],
            "row 2: Sample '1.png' of task 'mine': 'b' is no",
        ),
        (
            {"y": ["cat", "cats", "cta", "cat"]},
            ["--label", "y", "--classes", "cat,cats"],
            "Did you mean 'cat'",
        ),
    ],
)
def test_what_is_wrong_with_a_list(workplace, capsys, columns, options, message):
    error = refused(capsys, *listed(workplace, **columns), *options)
    assert message in error
    assert error.count("\n") == 1
    assert error.count("list.csv") <= 1
    assert not error.rstrip().endswith(("..", "?."))
    assert TaskIndex(workplace / "data").names() == []


def test_a_missing_image_is_named_with_its_row(workplace, capsys):
    given = listed(workplace, y="abab")
    (workplace / "2.png").unlink()
    assert "row 3: there is no file" in refused(capsys, *given, "--label", "y")
    assert "Did you mean 'list.csv'" in refused(capsys, "csv", "lists.csv", "--image", "file", "--label", "y")


def masks(folder, names, value=255):
    for i, name in enumerate(names):
        pixels = np.zeros((6, 5), np.uint8)
        pixels[: i % 3] = value
        image(folder / f"{name}.png", pixels=pixels)


def test_pairs_of_images_and_masks(workplace):
    for name in ("a", "b", "c/d"):
        image(workplace / "images" / f"{name}.jpg")
    masks(workplace / "masks", ["a_mask", "b_mask", "c/d_mask"])
    image(workplace / "ti" / "t.png")
    masks(workplace / "tm", ["t_mask"])
    tests = ["--test-images", "ti", "--test-masks", "tm"]
    assert add("pairs", "images", "masks", *tests, "--mask-suffix", "_mask", "--classes", "skin,mole") == 0
    task = mine(workplace)
    assert (task.class_names, task.num_samples) == (["skin", "mole"], {"train": 3, "test": 1})
    assert task.class_counts == {"0": 75, "1": 15}
    assert samples(task)["train/c/d"]["mask"] == "masks/train/c/d.png"


def test_what_is_wrong_with_pairs(workplace, capsys):
    for name in "ab":
        image(workplace / "images" / f"{name}.png")
    masks(workplace / "masks", ["a"])
    assert "b.png has no mask 'b'" in refused(capsys, "pairs", "images", "masks")
    masks(workplace / "masks", ["a", "b", "x"])
    assert "x.png has no image" in refused(capsys, "pairs", "images", "masks")
    (workplace / "masks" / "x.png").unlink()
    assert "names 3 classes, the masks have" in refused(
        capsys, "pairs", "images", "masks", "--classes", "a,b,c"
    )
    assert "belong together" in refused(capsys, "pairs", "images", "masks", "--test-images", "images")
    image(workplace / "masks" / "b.png")
    assert "Mask masks/b.png has the mode RGB" in refused(capsys, "pairs", "images", "masks")
    masks(workplace / "masks", ["b", "a_mask"])
    error = refused(capsys, "pairs", "images", "masks", "--mask-suffix", "_mask")
    assert "two masks for 'a': masks/a.png and masks/a_mask.png" in error
    image(workplace / "images" / "a.jpg")
    assert "two images for 'a': images/a.jpg and images/a.png" in refused(capsys, "pairs", "images", "masks")


def test_images_and_masks_may_share_a_folder(workplace):
    for name in "ab":
        image(workplace / "both" / f"{name}.png")
    masks(workplace / "both", ["a_mask", "b_mask"])
    assert add("pairs", "both", "both", "--mask-suffix", "_mask") == 0
    assert set(samples(mine(workplace))) == {"train/a", "train/b"}


def test_a_task_of_that_name_is_not_replaced(workplace, capsys):
    given = [*listed(workplace, y="abab"), "--label", "y"]
    assert add(*given) == 0
    assert "already" in refused(capsys, *given)
    assert add(*given, "--force") == 0


@pytest.mark.parametrize("name", ["digits", "sklearn_digits", "x" * 101, "Mine"])
def test_a_name_that_is_a_plugin_s_or_none_is_refused(workplace, capsys, name):
    given = [*listed(workplace, y="abab"), "--label", "y"]
    assert main(["tasks", "add", *given, "--name", name]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"--name '{name[:60]}'" in error


@pytest.mark.parametrize("image", range(4))
def test_g16_an_import_killed_at_any_image_leaves_nothing_and_the_next_completes(workplace, image):
    given = [*listed(workplace, y="abab"), "--label", "y", "--name", "mine", "--folds", "2"]
    code = (
        "import os, signal, sys, shutil\n"
        "real = shutil.copyfile\n"
        "def copyfile(source, target):\n"
        f"    if str(source).endswith('{image}.png'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(source, target)\n"
        "shutil.copyfile = copyfile\n"
        "from mml_core.cli.main import main\n"
        "main(['tasks', 'add', *sys.argv[1:]])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, *given], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    data = workplace / "data"
    assert not (data / "tasks" / "mine").exists()
    assert not (data / "datasets" / "mine").exists()
    assert add(*given[:-4]) == 0
    assert [path.name for path in (data / "datasets").iterdir()] == ["mine"]


def test_without_the_plugin_the_command_says_what_to_install(workplace, capsys):
    assert main(["tasks", "add", "folder", "x", "--name", "mine", "--no-plugins"]) == 2
    assert "pip install mml-plugin-tasks" in capsys.readouterr().err
    assert main(["tasks", "add", "foldr", "x", "--name", "mine"]) == 2
    assert "Did you mean 'folder'" in capsys.readouterr().err


def test_values_to_ignore_are_no_class(workplace):
    for i in range(4):
        image(workplace / "images" / f"{i}.png")
        mask = np.zeros((6, 5), np.uint8)
        mask[0], mask[1] = 200, 99
        image(workplace / "masks" / f"{i}.png", pixels=mask)
    assert add("pairs", "images", "masks", "--classes", "background,lesion", "--ignore-index", 99) == 0
    task = mine(workplace)
    assert (task.class_names, task.ignore_index) == (["background", "lesion"], 255)
    assert task.class_counts == {"0": 80, "1": 20}
    stored = np.asarray(Image.open(task.dataset_root / samples(task)["train/0"]["mask"]))
    assert sorted(np.unique(stored)) == [0, 1, 255]


def test_a_list_names_what_masks_ignore(workplace, capsys):
    for i in range(4):
        image(workplace / f"{i}.png")
        image(workplace / f"m{i}.png", pixels=np.full((6, 5), 255 if i else 1, np.uint8))
    table(workplace / "list.csv", [{"file": f"{i}.png", "mask": f"m{i}.png"} for i in range(4)])
    given = ("csv", "list.csv", "--image", "file", "--label", "mask", "--type", "semantic_segmentation")
    given += ("--classes", "background,lesion")
    assert "m1.png has the class 255, the task has 0 to 1." in refused(capsys, *given)
    assert add(*given, "--ignore-index", 255) == 0
    assert (mine(workplace).ignore_index, mine(workplace).class_counts) == (255, {"0": 0, "1": 30})
