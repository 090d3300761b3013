"""Each type of task goes all the way, from files as people have them to predictions of new ones.

Created from a list, preprocessed into a store, trained, predicted, tested, drawn; then the stored model
predicts the images of the test split anew, from their files, and has to say the same. Last, its predictions
are calibrated where they can be, and combined.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from mml_core.learning.calibration import METHODS
from mml_core.learning.plots import PLOTS
from mml_core.learning.predictions import load_predictions
from mml_core.tasks.index import TaskIndex
from mml_core.testing.fixtures import CommandRunner, MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]
pytest.importorskip("mml_tasks")

Pixels = np.ndarray
PREPROCESSING = ["preprocessing.id=tiny", "preprocessing.height=16", "preprocessing.width=16"]
SPLITS = ["train"] * 12 + ["test"] * 4 + ["unlabelled"] * 2


def draw(number: int, channels: int, top: int) -> Pixels:
    """An image of a size of its own, brighter in odd samples, with a bright square; (H, W, C), float."""
    random = np.random.default_rng(number)
    pixels = random.uniform(0, 0.4, (16 + number % 3, 18 - number % 2, channels)) + 0.2 * (number % 2)
    pixels[4:12, 4:12] += 0.3
    return np.rint(pixels * top)


def save_eight(path: Path, number: int, channels: int) -> None:
    pixels = draw(number, channels, 255).astype(np.uint8)
    if channels == 4:
        pixels[..., 3] = 255 - 10 * number
    Image.fromarray(pixels.squeeze()).save(path)


def save_sixteen(path: Path, number: int, channels: int) -> None:
    pixels = draw(number, channels, 65535).astype(np.uint16).squeeze()
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def save_dicom(path: Path, number: int, channels: int) -> None:
    """A slice of a scanner: twelve bits, a modality transform to Hounsfield units, and a window of them."""
    pydicom = pytest.importorskip("pydicom")
    pixels = draw(number, channels, 4095).astype(np.uint16).squeeze()
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file = pydicom.dataset.FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    file.Rows, file.Columns = pixels.shape
    file.PhotometricInterpretation, file.SamplesPerPixel, file.PixelRepresentation = "MONOCHROME2", 1, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.RescaleSlope, file.RescaleIntercept = 1, -1024
    file.WindowCenter, file.WindowWidth = 1000, 3000
    file.PixelData = pixels.tobytes()
    file.save_as(path, enforce_file_format=True)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Files and targets of a task.

    Attributes:
        task_type: Its type.
        suffix: Of its images.
        save: Writes one image.
        channels: Of the files.
        expected: Channels and bits of the task.
        targets: Column to what stands in it, by the number of the sample.
        options: Further options of the importer.
        metrics: Metrics that have to be numbers.
        masks: Numbers that stand in masks beside 0.
    """

    task_type: str
    suffix: str = ".png"
    save: Callable[[Path, int, int], None] = save_eight
    channels: int = 1
    expected: tuple[int, int] = (1, 8)
    targets: dict[str, Callable[[int], object]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    metrics: tuple[str, ...]
    masks: tuple[int, ...] = ()


CASES = {
    "classification, RGB": Case(
        task_type="classification",
        channels=3,
        expected=(3, 8),
        targets={"label": lambda n: ("dark", "bright")[n % 2]},
        metrics=("accuracy", "auroc"),
    ),
    "classification, DICOM of 12 bits": Case(
        task_type="classification",
        suffix=".dcm",
        save=save_dicom,
        expected=(1, 16),
        targets={"label": lambda n: ("dark", "bright")[n % 2]},
        metrics=("accuracy", "auroc"),
    ),
    "hard labels, RGBA": Case(
        task_type="multilabel",
        channels=4,
        expected=(3, 8),
        targets={"odd": lambda n: n % 2, "third": lambda n: int(n % 3 == 0)},
        metrics=("accuracy", "auroc"),
    ),
    "soft labels, JPEG": Case(
        task_type="multilabel",
        suffix=".jpg",
        targets={"odd": lambda n: 0.9 if n % 2 else 0.2, "third": lambda n: 0.25 * (n % 4)},
        metrics=("accuracy",),
    ),
    "one value, 16 bits": Case(
        task_type="regression",
        save=save_sixteen,
        expected=(1, 16),
        targets={"age": lambda n: 40 + 5 * (n % 2)},
        metrics=("mae", "r2"),
    ),
    "two values, TIFF of 16 bits": Case(
        task_type="regression",
        suffix=".tif",
        save=save_sixteen,
        expected=(1, 16),
        targets={"age": lambda n: 40 + 5 * (n % 2), "dose": lambda n: 0.1 * n},
        metrics=("mae", "r2"),
    ),
    "masks, RGB of 16 bits": Case(
        task_type="semantic_segmentation",
        suffix=".npy",
        save=save_sixteen,
        channels=3,
        expected=(3, 16),
        masks=(1,),
        metrics=("dice",),
    ),
    "masks with pixels to ignore": Case(
        task_type="semantic_segmentation",
        options=("--ignore-index", "255"),
        masks=(1, 255),
        metrics=("dice",),
    ),
}


def write(case: Case, folder: Path) -> list[str]:
    """Write images, masks and the list of them, and return the columns of targets."""
    folder.mkdir()
    rows = []
    for number, split in enumerate(SPLITS):
        row: dict[str, object] = {"file": f"{number}{case.suffix}", "split": split}
        case.save(folder / f"{number}{case.suffix}", number, case.channels)
        known = split != "unlabelled"
        row |= {name: value(number) if known else "" for name, value in case.targets.items()}
        if case.masks:
            mask = np.zeros(draw(number, 1, 1).shape[:2], dtype=np.uint8)
            if number % 4:  # every fourth mask is empty
                mask[4:12, 4:12] = case.masks[0]
                mask[0] = case.masks[-1]
            Image.fromarray(mask).save(folder / f"mask{number}.png")
            row["mask"] = f"mask{number}.png" if known else ""
        rows.append(row)
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return [name for name in rows[0] if name not in ("file", "split")]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_task_goes_all_the_way(mml: CommandRunner, mml_project: MMLProject, case: Case) -> None:
    labels = write(case, mml_project.root / "files")
    given = ["--image", "file", "--split", "split", "--label", ",".join(labels), "--type", case.task_type]
    if case.masks:
        given += ["--classes", "background,square"]
    files = mml_project.root / "files"
    added = mml(
        "tasks", "add", "csv", f"{files}/list.csv", *given, *case.options, "--name", "t", "--folds", "2"
    )
    assert added.code == 0, added.err
    task = TaskIndex(mml_project.data).get("t")
    assert (task.channels, task.bit_depth) == case.expected
    assert task.num_samples == {"train": 12, "test": 4, "unlabelled": 2}

    assert mml("run", "--mode=preprocess", "--tasks=t", *PREPROCESSING).code == 0
    training = [
        "run",
        "--mode=train",
        "--tasks=t",
        "mode.folds=[0]",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "loader.batch_size=4",
        "metrics.intervals.method=none",
        f"metrics.plots=[{','.join(PLOTS)}]",
        *PREPROCESSING,
    ]
    trained = mml(*training)
    assert trained.code == 0, trained.err
    project = mml_project.path()
    drawn = [path.name for path in project.glob("PLOTS/t/*.png")]
    for name in (name for name, (task_types, _) in PLOTS.items() if case.task_type in task_types):
        assert sum(each.startswith(f"{name}_test") for each in drawn) == 1
    scores = [
        row
        for file in project.glob("METRICS/t/*.parquet")
        for row in pq.read_table(file).to_pylist()
        if row.get("split") == "test" and row["metric"] in case.metrics
    ]
    assert {row["metric"] for row in scores} == set(case.metrics)
    assert all(math.isfinite(row["value"]) for row in scores)

    (predicted,) = project.glob("PREDICTIONS/t/*.parquet")
    parts = {part.split: part for part in load_predictions(predicted)}
    assert {split: len(part.sample_ids) for split, part in parts.items()} == {
        "val": 6,
        "test": 4,
        "unlabelled": 2,
    }
    (model,) = project.glob("MODELS/t/*.json")
    out = mml_project.root / "new.parquet"
    images = mml_project.root / "new"
    images.mkdir()
    for name in parts["test"].sample_ids:
        (images / name).write_bytes((files / name).read_bytes())
    again = mml("predict", str(model), str(images), "--out", str(out), "--json")
    assert again.code == 0, again.err
    (anew,) = load_predictions(out)
    found = dict(zip(anew.sample_ids, anew.outputs, strict=True))
    for name, output in zip(parts["test"].sample_ids, parts["test"].outputs, strict=True):
        if case.masks:  # predicted masks are those of the image's own pixels
            assert found[name].shape == draw(int(Path(name).stem), 1, 1).shape[:2]
            assert int(found[name].max()) <= 1
        else:
            torch.testing.assert_close(found[name], output, rtol=1e-4, atol=1e-4)
    assert len(json.loads(again.out)["predictions"]) == 4

    if METHODS[case.task_type]:
        chosen = ["mode.subroutines=[calibrate]", f"mode.calibration.method={METHODS[case.task_type][-1]}"]
    else:  # masks have no probabilities; those of a second training vote with them
        assert mml(*training, "--proj=second", "seed=7").code == 0
        chosen = ["mode.subroutines=[ensemble]", "reuse.predictions=[default,second]"]
    done = mml("run", "--mode=postprocess", "--tasks=t", *chosen, "metrics.intervals.method=none")
    assert done.code == 0, done.err
    assert "Before and after" in done.out
    (after,) = set(project.glob("PREDICTIONS/t/*.parquet")) - {predicted}
    assert {part.split for part in load_predictions(after)} >= {"val", "test", "unlabelled"}
