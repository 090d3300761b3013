"""An installed classification of images for benchmarks, and what its trainings read and train."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mml_core.tasks.description import Sizes, TaskDescription, TaskHeader, TaskType, encode_header
from mml_core.tasks.samples import SampleTable


def install_images(
    data: Path, name: str, images: Sequence[NDArray[np.uint8]], suffix: str, classes: int = 2
) -> TaskDescription:
    """Write images (H, W, 3) of one size as files, and install a task of them with two folds."""
    root, folder = data / "datasets" / name, data / "tasks" / name
    root.mkdir(parents=True)
    folder.mkdir(parents=True)
    names = [f"{number}{suffix}" for number in range(len(images))]
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(lambda file, image: Image.fromarray(image).save(root / file, quality=90), names, images)
        )
    digest = SampleTable.write(
        folder / "samples.arrow",
        {
            "sample_id": names,
            "image": names,
            "split": ["train"] * len(names),
            "fold": [number % 2 for number in range(len(names))],
            "label": [number // 2 % classes for number in range(len(names))],
            "sha256": [hashlib.sha256((root / file).read_bytes()).hexdigest() for file in names],
        },
    )
    height, width = images[0].shape[:2]
    header = TaskHeader(
        name=name,
        task_type=TaskType.CLASSIFICATION,
        dataset=name,
        idx_to_class={str(index): f"class {index}" for index in range(classes)},
        channels=3,
        sizes=Sizes(min_height=height, min_width=width, max_height=height, max_width=width),
        means=[0.5] * 3,
        stds=[0.25] * 3,
        num_samples={"train": len(names), "test": 0},
        num_folds=2,
        samples_sha256=digest,
    )
    (folder / "task.json").write_bytes(encode_header(header))
    return TaskDescription(header, folder, data)


def noise(number: int, size: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Return so many random images of size x size."""
    generator = np.random.default_rng(seed)
    return list(generator.integers(0, 256, (number, size, size, 3), dtype=np.uint8))


def training_config(*overrides: str) -> Any:
    """Compose the config of a training of one epoch on a processor, without validation and progress."""
    from mml_core.config.compose import compose

    quiet = ["callbacks.progress=none", "trainer.accelerator=cpu", "trainer.limit_val_batches=0"]
    return compose(["mode=train", "trainer.max_epochs=1", "preprocessing=none", *quiet, *overrides])


def net_of(model: Any) -> Any:
    """Return a copy of the network of an ``MMLModule`` of one task and its head, as one module of torch."""
    from torch import nn

    (head,) = model.heads.values()
    return nn.Sequential(copy.deepcopy(model.network), copy.deepcopy(head))
