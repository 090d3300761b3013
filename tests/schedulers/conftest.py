"""Tiny tasks of every type on disk, with test split or without, with unlabelled samples or without."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mml_core.tasks.description import (
    HEADER_FILE,
    SAMPLES_FILE,
    Sizes,
    TaskHeader,
    TaskType,
    encode_header,
)
from mml_core.tasks.samples import SampleTable
from mml_core.testing.fixtures import CommandRunner, MMLProject, Result

QUICK = ["trainer.max_epochs=2", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
Install = Callable[..., None]
Train = Callable[..., Result]


@pytest.fixture
def install(mml_project: MMLProject) -> Install:
    """``install(name, …)``: see `install_task`."""

    def make(name: str, *arguments: Any, **options: Any) -> None:
        install_task(mml_project.data, name, *arguments, **options)

    return make


@pytest.fixture
def train(mml: CommandRunner) -> Train:
    """``train("a", *overrides)``: train on tasks ``a`` (comma-separated) in the project of the same name."""

    def run(tasks: str, *overrides: str) -> Result:
        return mml("run", "--mode=train", "--tasks", tasks, *QUICK, *overrides)

    return run


def install_task(
    data: Path,
    name: str,
    task_type: TaskType = TaskType.CLASSIFICATION,
    *,
    classes: Sequence[str] = ("dark", "bright"),
    samples: int = 30,
    num_folds: int = 3,
    test: bool = True,
    unlabelled: int = 0,
    size: int = 8,
    channels: int = 1,
    seed: int = 0,
) -> None:
    """Install a task of noisy images whose brightness tells the class; every fifth one is for testing."""
    generator = np.random.default_rng(seed)
    root, folder = data / "datasets" / name, data / "tasks" / name
    root.mkdir(parents=True)
    folder.mkdir(parents=True)
    total = samples + unlabelled
    split = ["test" if test and row % 5 == 4 else "train" for row in range(samples)]
    split += ["unlabelled"] * unlabelled
    folds = [row % num_folds if split[row] == "train" else -1 for row in range(total)]
    labels = np.array([row % len(classes) for row in range(total)])
    columns: dict[str, Any] = {
        "sample_id": [f"{name}{row}" for row in range(total)],
        "image": [f"{row}.png" for row in range(total)],
        "split": split,
        "fold": folds,
    }
    for row in range(total):
        pixels = generator.integers(0, 120, (size, size, channels))
        pixels += 120 * int(labels[row]) // max(1, len(classes) - 1)
        Image.fromarray(pixels.astype(np.uint8).squeeze()).save(root / f"{row}.png")
        if task_type is TaskType.SEGMENTATION:
            mask = (pixels[..., 0] > 100).astype(np.uint8) % len(classes)
            Image.fromarray(mask).save(root / f"{row}.mask.png")
    columns["sha256"] = [
        hashlib.sha256((root / image).read_bytes()).hexdigest() for image in columns["image"]
    ]
    labelled = np.array([each != "unlabelled" for each in split])
    if task_type is TaskType.CLASSIFICATION:
        columns["label"] = np.where(labelled, labels, -1)
    elif task_type is TaskType.MULTILABEL:
        shares = np.stack([(labels == index).astype(np.float32) for index in range(len(classes))], 1)
        columns["labels"] = np.where(labelled[:, None], shares, np.nan)
    elif task_type is TaskType.REGRESSION:
        columns["value"] = np.where(labelled[:, None], labels[:, None] * 10.0 + 3, np.nan)
    elif task_type is TaskType.SEGMENTATION:
        columns["mask"] = [f"{row}.mask.png" if labelled[row] else None for row in range(total)]
    digest = SampleTable.write(folder / SAMPLES_FILE, columns)
    named = task_type is not TaskType.REGRESSION
    header = TaskHeader(
        name=name,
        task_type=task_type,
        dataset=name,
        idx_to_class={str(index): each for index, each in enumerate(classes)} if named else {},
        channels=channels,
        sizes=Sizes(min_height=size, min_width=size, max_height=size, max_width=size),
        means=[0.5] * channels,
        stds=[0.25] * channels,
        num_samples={each: split.count(each) for each in ("train", "test", "unlabelled") if each in split},
        num_folds=num_folds,
        target_names=[] if named else ["value"],
        samples_sha256=digest,
    )
    (folder / HEADER_FILE).write_bytes(encode_header(header))
