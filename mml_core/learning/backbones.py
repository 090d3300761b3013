"""Backbones that features come from: of a stored model, of any architecture, or the pixels themselves."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mml_core.learning.features import TARGETS, Features, FeaturesError

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule
    from torch import nn

    from mml_core.plugins import PluginManager
    from mml_core.tasks.description import TaskDescription
    from mml_core.tasks.models import ModelStorage

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Means and standard deviations of ImageNet, on 0 to 1, that published weights expect."""
KINDS = "classification"
"""A backbone is built as for this type of task: without anything behind its features."""
PARTS: tuple[Literal["train", "test", "unlabelled"], ...] = ("train", "test", "unlabelled")


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """What turns images into features, the same for all tasks.

    Attributes:
        network: Images (B, C, H, W) to features (B, D).
        preprocessing: The config group ``preprocessing`` that images go through.
        normalisation: Means and standard deviations that images are normalised by; None for those of each
            task's own training split.
        description: What it is, JSON; equal for backbones that make equal features.
    """

    network: nn.Module
    preprocessing: Mapping[str, Any]
    normalisation: tuple[list[float], list[float]] | None
    description: dict[str, Any]


def stored_backbone(model: ModelStorage, plugins: PluginManager) -> Backbone:
    """Return the backbone of a stored model, with its own preprocessing and normalisation.

    Raises:
        FeaturesError: It has none, as models for segmentation do.
    """
    from mml_core.learning.pipeline import load_model, load_pipeline
    from mml_core.storage.hashing import sha256_file

    pipeline = load_pipeline(model.pipeline)
    network = load_model(pipeline, model.weights, plugins).network
    _require_features(network, pipeline.architecture.name)
    normalisation = pipeline.normalisation[model.task]
    description = {
        "kind": "model",
        "architecture": pipeline.architecture.to_json(),
        "in_channels": pipeline.in_channels,
        "image_size": list(pipeline.image_size),
        "preprocessing": pipeline.preprocessing,
        "normalisation": normalisation,
        "weights": {"task": model.task, "sha256": sha256_file(model.weights)},
    }
    return Backbone(
        network=network,
        preprocessing=pipeline.preprocessing,
        normalisation=(normalisation["means"], normalisation["stds"]),
        description=description,
    )


def given_backbone(
    cfg: Any,
    plugins: PluginManager,
    *,
    channels: int,
    image_size: tuple[int, int],
    normalisation: str,
) -> Backbone:
    """Return the backbone of ``arch``, with the weights that ``arch.weights`` names or random ones.

    Random weights depend on ``seed`` of the config alone: they are the same for all tasks.

    Args:
        cfg: The composed config; ``arch``, ``preprocessing`` and ``seed`` are read.
        plugins: Where architectures are registered.
        channels: Of the images.
        image_size: Height and width of the images.
        normalisation: ``imagenet`` or ``task``.

    Raises:
        FeaturesError: The architecture is no backbone.
        WeightsError: Weights cannot be read, or do not fit.
    """
    import torch

    from mml_core.learning.architectures import build_network, choose_architecture
    from mml_core.learning.factory import start
    from mml_core.learning.module import MMLModule
    from mml_core.learning.options import section
    from mml_core.learning.outputs import TaskOutput

    architecture = choose_architecture(cfg.get("arch"), KINDS)
    seed = int(cfg.get("seed", 42))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(
            architecture,
            plugins,
            task_type=KINDS,
            in_channels=channels,
            out_channels=2,  # a backbone ignores it
            image_size=image_size,
        )
        _require_features(network, architecture.name)
        model = MMLModule(network, [TaskOutput(task="features", task_type=KINDS, width=2)])
        start(cfg, model)
    found = getattr(model, "initial_weights", None) or {}
    description: dict[str, Any] = {
        "kind": "architecture",
        "architecture": architecture.to_json(),
        "in_channels": channels,
        "image_size": list(image_size),
        "preprocessing": section(cfg, "preprocessing"),
        "normalisation": normalisation,
        "weights": {"sha256": found["sha256"]} if found else {"random": seed},
    }
    means = [IMAGENET[0][channel] if channels == 3 else sum(IMAGENET[0]) / 3 for channel in range(channels)]
    stds = [IMAGENET[1][channel] if channels == 3 else sum(IMAGENET[1]) / 3 for channel in range(channels)]
    return Backbone(
        network=model.network,
        preprocessing=description["preprocessing"],
        normalisation=(means, stds) if normalisation == "imagenet" else None,
        description=description,
    )


def pixels_of(cfg: Any, *, channels: int, image_size: tuple[int, int]) -> Backbone:
    """Return what takes the pixels themselves for features, on 0 to 1, after ``preprocessing``."""
    from torch import nn

    from mml_core.learning.options import section

    preprocessing = section(cfg, "preprocessing")
    description = {
        "kind": "pixels",
        "in_channels": channels,
        "image_size": list(image_size),
        "preprocessing": preprocessing,
    }
    return Backbone(
        network=nn.Flatten(),
        preprocessing=preprocessing,
        normalisation=([0.0] * channels, [1.0] * channels),
        description=description,
    )


def extract_features(
    backbone: Backbone,
    task: TaskDescription,
    trainer: Callable[[], Any],
    *,
    cfg: Any,
    data_root: Path,
    splits: Sequence[str] = PARTS,
    samples: int | None = None,
    seed: int = 0,
) -> Features:
    """Show samples of a task to a backbone, whole and without augmentation.

    Args:
        backbone: What makes the features.
        task: The task.
        trainer: Makes a Lightning trainer that predicts every batch, once for each split.
        cfg: The composed config; its group ``loader`` is read.
        data_root: The data folder.
        splits: The splits whose samples are taken.
        samples: At most so many are drawn at random, without replacement; None for all.
        seed: What they are drawn by.

    Raises:
        FeaturesError: There are no samples.
    """
    import torch

    from mml_core.learning.feature_module import FeatureModule

    rows = np.concatenate([task.samples.indices(split) for split in splits])
    if not len(rows):
        raise FeaturesError(
            f"Task '{task.name}' has no samples in the split {' or '.join(splits)}; set mode.split=all, or"
            " leave the task out."
        )
    if samples is not None and samples < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, size=samples, replace=False))
    chosen = task.with_samples(task.samples.take(np.sort(rows)))
    module = FeatureModule(backbone.network)
    parts: list[Mapping[str, torch.Tensor]] = show_images(
        module, backbone, chosen, trainer, cfg=cfg, data_root=data_root, seed=seed
    )
    index = torch.cat([part["index"] for part in parts]).numpy()
    shown = chosen.samples.take(index)
    task_type = str(task.task_type.value)
    target = TARGETS.get(task_type)
    targets = np.array(shown.numpy(target)) if target in shown.column_names else None
    return Features(
        task=task.name,
        task_type=task_type,
        sample_ids=shown.column("sample_id").to_pylist(),
        splits=shown.column("split").to_pylist(),
        values=torch.cat([part["features"] for part in parts]).numpy(),
        targets=targets.astype(np.int64) if task_type == KINDS and targets is not None else targets,
        classes=task.class_names if target in ("label", "labels") else (),
        backbone=backbone.description,
    )


def show_images(
    module: LightningModule,
    backbone: Backbone,
    task: TaskDescription,
    trainer: Callable[[], Any],
    *,
    cfg: Any,
    data_root: Path,
    seed: int = 0,
) -> list[Any]:
    """Show all samples of a task to a module, whole and without augmentation, one split after another.

    Args:
        module: Its ``predict_step`` gets the batches.
        backbone: Whose preprocessing and normalisation images go through.
        task: The task.
        trainer: Makes a Lightning trainer that predicts every batch, once for each split.
        cfg: The composed config; its group ``loader`` is read.
        data_root: The data folder.
        seed: The seed of the step.

    Returns:
        What ``predict_step`` returned for each batch.
    """
    from mml_core.data.datamodule import create_datamodule

    data = create_datamodule(
        ChainMap({"preprocessing": dict(backbone.preprocessing)}, cfg),
        task,
        data_root=data_root,
        fold=None,
        seed=seed,
        normalisation=backbone.normalisation,
    )
    found: list[Any] = []
    for part in PARTS:
        if len(data.rows(part)):
            data.predict_part = part
            found += trainer().predict(module, datamodule=data)
    return found


def _require_features(network: nn.Module, name: str) -> None:
    if not hasattr(network, "feature_dim"):
        raise FeaturesError(
            f"The network {name} puts out no features (it has no feature_dim), as nets for segmentation;"
            " choose a backbone, such as arch=auto, or a model of a classification."
        )
