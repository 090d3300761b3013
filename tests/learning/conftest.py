"""Digits as a task, without files: a description as learning sees it, and a data module over arrays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

import mml_core
from mml_core.learning.options import plain

CONF = Path(mml_core.__file__).parent / "config/conf"


def make_task_like(name: str, task_type: str, num_outputs: int, channels: int = 1, size: int = 16) -> Any:
    """What learning reads off a TaskStruct."""
    return SimpleNamespace(
        name=name,
        task_type=task_type,
        num_outputs=num_outputs,
        channels=channels,
        means=[0.5] * channels,
        stds=[0.5] * channels,
        sizes=SimpleNamespace(min_height=size, min_width=size, max_height=size, max_width=size),
        preprocessing="none",
    )


class ArrayBatches(Dataset):
    def __init__(self, images: torch.Tensor, targets: torch.Tensor, rows: np.ndarray) -> None:
        self.images, self.targets, self.rows = images, targets, torch.as_tensor(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: list[int]) -> dict[str, torch.Tensor]:
        rows = self.rows[torch.as_tensor(positions)]
        return {"image": self.images[rows], "target": self.targets[rows], "index": rows}


class ArrayModule(LightningDataModule):
    """Images and targets in memory; the order of an epoch depends on seed and epoch only."""

    def __init__(self, images, targets, train, val, test, batch_size=64, seed=0) -> None:
        super().__init__()
        self.images, self.targets, self.batch_size, self.seed = images, targets, batch_size, seed
        self.rows = {"train": train, "val": val, "test": test}

    def _loader(self, part: str, shuffle: bool) -> DataLoader:
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(
            ArrayBatches(self.images, self.targets, self.rows[part]),
            batch_size=self.batch_size,
            shuffle=shuffle,
            drop_last=shuffle,
            generator=generator,
            collate_fn=lambda batch: batch,
        )

    def train_dataloader(self):
        return self._loader("train", True)

    def val_dataloader(self):
        return self._loader("val", False)

    def predict_dataloader(self):
        return self._loader("test", False)


def digits_module(kind: str = "label", size: int = 16, batch_size: int = 64) -> ArrayModule:
    """scikit-learn's digits: a third to test, a third of the rest to validate."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.images / 16.0, dtype=torch.float32)[:, None]
    if size != 8:
        images = torch.nn.functional.interpolate(images, size=(size, size), mode="bilinear")
    images = (images - images.mean()) / images.std()
    labels = torch.tensor(digits.target)
    targets = {
        "label": labels,
        "value": labels[:, None].float(),
        "labels": torch.stack([labels % 2, labels > 4], 1).float(),
        "mask": (images[:, 0] > 0.5).long(),
    }[kind]
    order = np.random.default_rng(0).permutation(len(labels))
    test, val, train = order[:450], order[450:900], order[900:]
    return ArrayModule(images, targets, train, val, test, batch_size)


@pytest.fixture(scope="session", name="task_like")
def task_like_fixture() -> Any:
    """``task_like(name, task_type, num_outputs)``."""
    return make_task_like


@pytest.fixture(scope="session")
def learning_config() -> Any:
    """``learning_config(optimizer__lr=0.1)``: the defaults, changed."""
    return default_config


@pytest.fixture(scope="session")
def digits() -> Any:
    """``digits(kind)``: a data module over scikit-learn's digits."""
    return digits_module


def default_config(**changes: Any) -> dict[str, Any]:
    """The default option of every group this part reads, as plain values."""
    cfg: dict[str, Any] = {}
    for group in (
        "arch",
        "optimizer",
        "lr_scheduler",
        "loss",
        "metrics",
        "trainer",
        "tune",
        "callbacks",
        "logging",
    ):
        with (CONF / group / "default.yaml").open(encoding="utf-8") as file:
            option = yaml.safe_load(file)
        if list(option) == ["defaults"]:
            with (CONF / group / f"{option['defaults'][0]}.yaml").open(encoding="utf-8") as file:
                option = yaml.safe_load(file)
        cfg[group] = option
    cfg["callbacks"]["progress"] = "none"
    for key, value in changes.items():
        group, _, rest = key.partition("__")
        if not rest:
            cfg[group] = value
            continue
        node = cfg[group]
        *path, last = rest.split("__")
        for part in path:
            node = node[part]
        node[last] = value
    return plain(cfg)


@pytest.fixture(scope="session")
def operations() -> Any:
    """``with operations() as used:`` notes the names of the operations that torch is asked for."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):
        def __enter__(self) -> list[str]:
            self.used: list[str] = []
            super().__enter__()
            return self.used

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.used.append(str(func))
            return func(*args, **(kwargs or {}))

    return Recorder


@pytest.fixture(scope="session")
def install_task() -> Any:
    """``install_task(data, name)``: install a task of a few tiny images of two classes."""
    return install_tiny_task


def install_tiny_task(
    data: Path,
    name: str,
    *,
    samples: int = 40,
    size: int = 8,
    seed: int = 0,
    num_folds: int = 2,
    single_class_fold: bool = False,
    subjects: int = 0,
) -> None:
    """Bright images and dark ones, with noise; every fifth is for testing. Images may be of so many subjects.

    With ``single_class_fold`` the images of fold 0 are all dark; without folds all samples are for testing.
    """
    import hashlib

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

    root, folder = data / "datasets" / name, data / "tasks" / name
    root.mkdir(parents=True)
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    tested = [row % 5 == 4 or not num_folds for row in range(samples)]
    folds = [-1 if test else row % num_folds for row, test in enumerate(tested)]
    labels = [0 if single_class_fold and fold == 0 else row // 2 % 2 for row, fold in enumerate(folds)]
    for row, label in enumerate(labels):
        pixels = generator.integers(0, 200, (size, size)) + 55 * label
        Image.fromarray(pixels.astype(np.uint8)).save(root / f"{row}.png")
    images = [f"{row}.png" for row in range(samples)]
    digest = SampleTable.write(
        folder / SAMPLES_FILE,
        {
            "sample_id": [f"s{row}" for row in range(samples)],
            "image": images,
            "split": ["test" if test else "train" for test in tested],
            "fold": folds,
            "label": labels,
            "group": [f"p{row % subjects}" if subjects else None for row in range(samples)],
            "sha256": [hashlib.sha256((root / image).read_bytes()).hexdigest() for image in images],
        },
    )
    header = TaskHeader(
        name=name,
        task_type=TaskType.CLASSIFICATION,
        dataset=name,
        idx_to_class={"0": "dark", "1": "bright"},
        channels=1,
        sizes=Sizes(min_height=size, min_width=size, max_height=size, max_width=size),
        means=[0.5],
        stds=[0.25],
        num_samples={"train": tested.count(False), "test": tested.count(True)},
        num_folds=num_folds,
        samples_sha256=digest,
    )
    (folder / HEADER_FILE).write_bytes(encode_header(header))
