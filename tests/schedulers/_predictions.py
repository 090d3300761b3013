"""Predictions of models that never were: files in a project, as a run of training leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mml_core.files.manager import MMLFileManager
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TaskOutput
from mml_core.learning.predictions import Predictions, save_predictions
from mml_core.plugins import PluginManager
from mml_core.testing.fixtures import MMLProject

TASK = "made_up"
OF_FOLD, OF_TEST = 30, 40


def invented(
    fold: int, split: str, seed: int, *, task_type: str = CLASSIFICATION, skill: float = 1.0, count: int = 0
) -> Predictions:
    """Noisy outputs; samples and targets are the same for every seed."""
    count = count or (OF_TEST if split == "test" else OF_FOLD)
    start = {"val": fold * OF_FOLD, "outer": 5000, "test": 1000, "unlabelled": 2000, "train": 9000}[split]
    rows = np.arange(start, start + count)
    classes = np.random.default_rng(7).integers(0, 3, 20_000)[rows]
    noise = np.random.default_rng([seed, fold, start]).normal(size=(count, 3))
    truth = np.eye(3)[classes]
    outputs = torch.tensor(3 * (noise + skill * truth), dtype=torch.float32)
    targets = torch.tensor(classes)
    if task_type in (MULTILABEL, REGRESSION):
        targets = torch.tensor(truth, dtype=torch.float32)
    made = Predictions(
        output=TaskOutput(task=TASK, task_type=task_type, width=3),
        fold=fold,
        split=split,
        sample_ids=[f"s{row}" for row in rows],
        outputs=outputs,
        targets=None if split == "unlabelled" else targets,
    )
    if task_type != SEGMENTATION:
        return made
    masks = [torch.full((2, 2), int(each), dtype=torch.uint8) for each in classes]
    found = [torch.full((2, 2), int(each), dtype=torch.uint8) for each in outputs.argmax(1)]
    return replace(made, outputs=found, targets=masks if split != "unlabelled" else None)


def model(
    seed: int, folds: Sequence[int] = (0, 1), splits: Sequence[str] = ("val", "test"), **options: object
) -> dict[str, list[Predictions]]:
    """One model's predictions: name of the file → parts."""
    return {
        f"fold{fold}.parquet": [invented(fold, split, seed, **options) for split in splits]  # type: ignore[arg-type]
        for fold in folds
    }


def store(places: MMLProject, project: str, files: dict[str, list[Predictions]]) -> list[Path]:
    """Let a script save the files of one model in a project; return where they are."""
    before = set((places.path(project) / "PREDICTIONS").rglob("*.parquet"))
    manager = MMLFileManager(
        data=places.data, results=places.results, project=project, plugins=PluginManager.discover()
    )
    with manager:
        for name, parts in files.items():
            save_predictions(manager.construct_saving_path(None, "predictions", TASK, name), parts)
    return sorted(set((places.path(project) / "PREDICTIONS").rglob("*.parquet")) - before)
