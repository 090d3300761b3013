"""`mml predict` applies stored models to images of no task, and needs nothing of the training data."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mml_core.learning.predictions import Predictions, load_predictions
from mml_core.learning.probabilities import probabilities
from mml_core.testing.fixtures import CommandRunner, Result

pytest_plugins = ["mml_core.testing.fixtures"]


@pytest.fixture(scope="module")
def trained(training) -> Path:
    """Results of a training on two folds of a task of each type, and the images, without the data."""
    root = training.root
    training.run(20, ["--proj=joint", "--tasks=kind", "mode.co_tasks.tasks=[size]", "mode.folds=1"])
    for name in training.tasks:
        images = root / "images" / name
        images.mkdir(parents=True)
        for path in (root / "data" / "datasets" / name).glob("[0-9]*.png"):
            if ".mask" not in path.name:
                shutil.copy(path, images)
    shutil.rmtree(root / "data")
    return root


def model(task: str, number: int = 1) -> str:
    return f"results/default/MODELS/{task}/model_{number:04d}.json"


def seen_at_test(task: str, fold: int) -> Predictions:
    """What the training predicted of the test split."""
    (file,) = Path(f"results/default/PREDICTIONS/{task}").glob(f"fold{fold}_*.parquet")
    return next(part for part in load_predictions(file) if part.split == "test")


def written(file: str) -> dict[str, Any]:
    (found,) = load_predictions(Path(file))
    assert found.split == "unlabelled"
    assert found.targets is None
    return dict(zip(found.sample_ids, found.outputs, strict=True))


def image_of(sample_id: str, task: str) -> str:
    return f"{sample_id.removeprefix(task)}.png"


def content(result: Result) -> dict[str, Any]:
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.mark.parametrize("task", ["kind", "signs", "size", "shape"])
def test_a_model_predicts_what_it_predicted_when_it_was_tested(
    mml: CommandRunner, workplace: Path, task: str
) -> None:
    result = mml("predict", model(task), f"images/{task}", "--out", "p.parquet", "--batch-size", "3")
    assert result.code == 0, result.err
    found, expected = written("p.parquet"), seen_at_test(task, fold=0)
    assert len(found) == 20
    for sample, output in zip(expected.sample_ids, expected.outputs, strict=True):
        torch.testing.assert_close(found[image_of(sample, task)], output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", ["kind", "signs"])
def test_models_of_several_folds_predict_by_their_mean_probability(
    mml: CommandRunner, workplace: Path, training, task: str
) -> None:
    said = content(mml("predict", f"default/{task}", f"images/{task}", "--json"))
    rows = {row["image"]: row["probabilities"] for row in said["predictions"]}
    parts = [seen_at_test(task, fold) for fold in (0, 1)]
    kind = str(training.tasks[task])
    chances = np.mean([probabilities(kind, part.outputs.double().numpy()) for part in parts], axis=0)
    assert said["models"] == 2
    for sample, expected in zip(parts[0].sample_ids, chances, strict=True):
        assert list(rows[image_of(sample, task)].values()) == pytest.approx(expected, abs=1e-5)


def test_models_of_several_folds_predict_the_mean_of_their_values(
    mml: CommandRunner, workplace: Path
) -> None:
    said = content(mml("predict", "default/size", "images/size", "--json"))
    rows = {row["image"]: row["values"]["value"] for row in said["predictions"]}
    parts = [seen_at_test("size", fold) for fold in (0, 1)]
    means = torch.stack([part.outputs for part in parts]).mean(0)[:, 0].tolist()
    for sample, expected in zip(parts[0].sample_ids, means, strict=True):
        assert rows[image_of(sample, "size")] == pytest.approx(expected, abs=1e-3)


def test_a_model_of_several_tasks_predicts_the_one_that_is_asked_for(
    mml: CommandRunner, workplace: Path
) -> None:
    own = content(mml("predict", "joint/kind", "images/kind", "--json"))
    other = content(mml("predict", "joint/kind", "images/kind", "--task", "size", "--json"))
    assert (own["task_type"], other["task_type"]) == ("classification", "regression")
    assert list(other["predictions"][0]["values"]) == ["value"]


def test_the_table_names_classes_and_probabilities(mml: CommandRunner, workplace: Path) -> None:
    result = mml("predict", "default/kind", "images/kind/0.png")
    heading, row = result.out.splitlines()[1:]
    assert heading.split() == ["image", "class", "probability", "p(dark)", "p(bright)"]
    assert row.split()[0] == "0.png"
    assert row.split()[1] in ("dark", "bright")


def test_masks_are_written_as_png_too(mml: CommandRunner, workplace: Path) -> None:
    assert mml("predict", model("shape"), "images/shape", "--out", "out/p.parquet").code == 0
    for name, mask in written("out/p.parquet").items():
        np.testing.assert_array_equal(np.asarray(Image.open(f"out/p_masks/{name}")), mask.numpy())


@pytest.mark.parametrize("task", ["kind", "shape"])
def test_images_of_other_sizes_are_predicted_at_their_own(
    mml: CommandRunner, workplace: Path, task: str
) -> None:
    Image.new("L", (24, 16)).save(f"images/{task}/wide.png")
    result = mml("predict", model(task), f"images/{task}", "--out", "p.parquet")
    assert result.code == 0, result.err
    found = written("p.parquet")
    assert len(found) == 21
    if task == "shape":
        assert found["wide.png"].shape == (16, 24)
        assert found["0.png"].shape == (8, 8)


def test_images_that_cannot_be_used_are_named_and_the_others_predicted(
    mml: CommandRunner, workplace: Path
) -> None:
    folder = Path("images/kind")
    (folder / "damaged.png").write_bytes((folder / "0.png").read_bytes()[:40])
    Image.new("RGB", (8, 8)).save(folder / "colour.png")
    (folder / "notes.txt").write_text("")
    result = mml("predict", "default/kind", str(folder), "--out", "p.parquet")
    assert result.code == 1
    assert "damaged.png is" in result.err
    assert "colour.png has 3 channels, the model takes 1: convert it to grey first" in result.err
    assert "left out 1 files that are no images: notes.txt" in result.err
    assert sorted(written("p.parquet")) == sorted(f"{number}.png" for number in range(20))


def test_nothing_is_written_over_unless_it_is_forced(mml: CommandRunner, workplace: Path) -> None:
    Path("p.parquet").write_text("mine")
    result = mml("predict", "default/kind", "images/kind", "--out", "p.parquet")
    assert (result.code, Path("p.parquet").read_text()) == (2, "mine")
    assert "There is p.parquet already" in result.err
    assert mml("predict", "default/kind", "images/kind", "--out", "p.parquet", "--force").code == 0
    assert len(written("p.parquet")) == 20


def test_damaged_weights_are_not_used(mml: CommandRunner, workplace: Path) -> None:
    (weights, *_) = sorted(Path("results/default/PARAMETERS/kind").iterdir())
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    result = mml("predict", model("kind"), "images/kind")
    assert result.code == 2
    assert f"{weights.name}' (run" in result.err
    assert "so it is not used" in result.err


def test_a_model_that_was_handed_on_without_records_is_used(mml: CommandRunner, workplace: Path) -> None:
    for folder in (".mml", "runs", "PREDICTIONS", "METRICS"):
        shutil.rmtree(f"results/default/{folder}")
    Path("results").rename("elsewhere")
    assert mml("predict", "elsewhere/default/MODELS/kind/model_0001.json", "images/kind").code == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("defualt/kind", "images"), "Did you mean 'default'?"),
        (("default/kin", "images"), "no models of task 'kin'. Did you mean 'kind'"),
        (("default", "images"), "has models of several tasks. Tasks: kind, shape, signs, size;"),
        (("default/kind", "imagse"), "There is no file or folder imagse. Did you mean 'images'?"),
        (("default/kind", "results/default/METRICS"), "There are no images below"),
        (("results/default/MODELS/kind/model_9.json", "images"), "There is no stored model"),
        (("default/kind", "images", "--out", "p.csv"), "--out p.csv has to end in .parquet"),
        (("default/kind", "images", "--device", "cuda:77"), "device cuda:77 cannot be used"),
        (("default/kind", "images", "--task", "size"), "no head for task 'size', only for kind"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    mml: CommandRunner, workplace: Path, arguments: tuple[str, ...], why: str
) -> None:
    result = mml("predict", *arguments)
    assert result.code == 2
    assert why in result.err
    assert len(result.err.splitlines()) == 1
