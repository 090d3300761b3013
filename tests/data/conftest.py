"""Small real tasks on disk, made of image files and a sample table."""

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
    TaskDescription,
    TaskHeader,
    TaskType,
    encode_header,
)
from mml_core.tasks.samples import SampleTable

MakeTask = Callable[..., TaskDescription]


def _write_image(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    if pixels.dtype == np.uint16:
        np.save(path, pixels)
    else:
        Image.fromarray(pixels.squeeze()).save(path)


@pytest.fixture
def make_task(tmp_path: Path) -> MakeTask:
    """Return a function that installs a task of random images in the data folder ``tmp_path / "data"``."""

    def make(
        name: str = "toy",
        task_type: TaskType = TaskType.CLASSIFICATION,
        *,
        samples: int = 20,
        size: tuple[int, int] = (12, 10),
        unequal: bool = False,
        channels: int = 1,
        bit_depth: int = 8,
        classes: int = 3,
        seed: int = 0,
        groups: Sequence[str | None] = (None,),
        ignore_index: int | None = None,
    ) -> TaskDescription:
        data = tmp_path / "data"
        root = data / "datasets" / name
        root.mkdir(parents=True)
        generator = np.random.default_rng(seed)
        dtype = np.uint8 if bit_depth == 8 else np.uint16
        extents = [(size[0] + (row % 3 if unequal else 0), size[1]) for row in range(samples)]
        suffix = ".png" if bit_depth == 8 else ".npy"
        columns: dict[str, Any] = {
            "sample_id": [f"s{row}" for row in range(samples)],
            "image": [f"{row}{suffix}" for row in range(samples)],
            "split": ["test" if row % 5 == 4 else "train" for row in range(samples)],
            "fold": [-1 if row % 5 == 4 else row % 2 for row in range(samples)],
            "group": [groups[row % len(groups)] for row in range(samples)],
        }
        for row, extent in enumerate(extents):
            pixels = generator.integers(
                0, np.iinfo(dtype).max, (*extent, channels), dtype=dtype, endpoint=True
            )
            _write_image(root / columns["image"][row], pixels)
            if task_type is TaskType.SEGMENTATION:
                _write_image(
                    root / f"{row}.mask.png", generator.integers(0, classes, extent).astype(np.uint8)
                )
        columns["sha256"] = [
            hashlib.sha256((root / image).read_bytes()).hexdigest() for image in columns["image"]
        ]
        if task_type is TaskType.CLASSIFICATION:
            columns["label"] = [row % classes for row in range(samples)]
        elif task_type is TaskType.MULTILABEL:
            columns["labels"] = generator.integers(0, 2, (samples, classes))
        elif task_type is TaskType.REGRESSION:
            columns["value"] = generator.random((samples, 2))
        elif task_type is TaskType.SEGMENTATION:
            columns["mask"] = [f"{row}.mask.png" for row in range(samples)]
        folder = data / "tasks" / name
        folder.mkdir(parents=True)
        digest = SampleTable.write(folder / SAMPLES_FILE, columns)
        named = task_type in (TaskType.CLASSIFICATION, TaskType.MULTILABEL, TaskType.SEGMENTATION)
        heights, widths = zip(*extents, strict=True)
        header = TaskHeader(
            name=name,
            task_type=task_type,
            dataset=name,
            idx_to_class={str(index): f"class {index}" for index in range(classes)} if named else {},
            channels=channels,
            sizes=Sizes(
                min_height=min(heights), min_width=min(widths), max_height=max(heights), max_width=max(widths)
            ),
            means=[0.5] * channels,
            stds=[0.25] * channels,
            num_samples={
                split: columns["split"].count(split)
                for split in ("train", "test")
                if split in columns["split"]
            },
            num_folds=2,
            target_names=["a", "b"] if task_type is TaskType.REGRESSION else [],
            bit_depth=bit_depth,
            ignore_index=ignore_index,
            samples_sha256=digest,
        )
        (folder / HEADER_FILE).write_bytes(encode_header(header))
        return TaskDescription(header, folder, data)

    return make
