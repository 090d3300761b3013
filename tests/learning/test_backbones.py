"""Backbones: what features are made of, of which samples, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

from mml_core.learning.backbones import extract_features, given_backbone, pixels_of
from mml_core.learning.features import Features, FeaturesError
from mml_core.learning.options import OptionError
from mml_core.plugins import ArchitectureSpec, hookimpl
from mml_core.schedulers.feature_options import FeatureOptions

pytest_plugins = ["mml_core.testing.fixtures"]

CFG = {"preprocessing": {"id": "none"}, "loader": {"batch_size": 5}}
TYPES = ("classification", "multilabel", "regression", "semantic_segmentation", "unlabelled")


# -- options


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ({"of": "feature"}, "Did you mean 'features'"),
        ({"split": "trian"}, "Did you mean 'train'"),
        ({"normalisation": "image"}, "imagenet"),
        ({"samples": 1}, "mode.samples must be a whole number from 2, or null, found 1"),
        ({"samples": True}, "found True"),
    ],
)
def test_impossible_options_are_refused(mode, said):
    with pytest.raises(OptionError, match=said):
        FeatureOptions.from_config(mode)


# -- backbones


class Mean(torch.nn.Module):
    """The mean of each channel, times a weight that is drawn."""

    feature_dim = 1

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(1))

    def forward(self, images):
        return images.mean((2, 3)) * self.weight


def mean(task_type, in_channels, out_channels, image_size):
    return Mean()


def plain(task_type, in_channels, out_channels, image_size):
    return torch.nn.Flatten()


class Plugin:
    @hookimpl
    def mml_architectures(self):
        for name in ("mean", "plain"):
            yield ArchitectureSpec(name=name, target=f"{__name__}:{name}", task_types=("classification",))


@pytest.fixture
def given(plugin_manager):
    """Make the backbone of an architecture of this file: ``given("mean", seed=1)``."""
    plugin_manager.register(Plugin(), "mml-plugin-here")

    def make(name, *, seed=1, normalisation="task"):
        cfg = {**CFG, "arch": {"name": name}, "seed": seed}
        return given_backbone(
            cfg, plugin_manager, channels=1, image_size=(16, 16), normalisation=normalisation
        )

    return make


def extract(backbone, task, mml_project, **options) -> Features:
    return extract_features(
        backbone,
        task,
        lambda: Trainer(accelerator="cpu", logger=False, barebones=True),
        cfg=CFG,
        data_root=mml_project.data,
        **options,
    )


def pixels_on_disk(task) -> dict[str, np.ndarray]:
    samples = task.samples
    paths = [task.dataset_root / path for path in samples.column("image").to_pylist()]
    names = samples.column("sample_id").to_pylist()
    return {name: np.asarray(Image.open(path)) for name, path in zip(names, paths, strict=True)}


def test_pixels_are_those_of_the_images_on_zero_to_one(tiny_task, mml_project):
    task = tiny_task("classification")
    found = extract(pixels_of(CFG, channels=1, image_size=(16, 16)), task, mml_project)
    images = pixels_on_disk(task)
    assert sorted(found.sample_ids) == sorted(images)
    for name, row in zip(found.sample_ids, found.values, strict=True):
        np.testing.assert_allclose(row, images[name].reshape(-1) / 255, rtol=1e-6)
    labels = dict(zip(task.samples.column("sample_id").to_pylist(), task.samples.numpy("label"), strict=True))
    assert found.targets.tolist() == [labels[name] for name in found.sample_ids]


def test_a_backbone_sees_images_normalised_as_those_of_the_task(given, tiny_task, mml_project):
    task = tiny_task("regression")
    backbone = given("mean")
    found = extract(backbone, task, mml_project)
    images = pixels_on_disk(task)
    weight = backbone.network.weight.item()
    for name, row in zip(found.sample_ids, found.values, strict=True):
        brightness = (images[name].mean() / 255 - task.means[0]) / task.stds[0]
        assert row[0] == pytest.approx(brightness * weight, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("task_type", TYPES)
def test_tasks_of_every_type_have_features(tiny_task, mml_project, task_type):
    task = tiny_task(task_type)
    found = extract(pixels_of(CFG, channels=1, image_size=(16, 16)), task, mml_project)
    assert found.values.shape == (16, 256)
    assert (found.targets is None) == (task_type in TYPES[3:])


def test_some_samples_are_drawn_by_the_seed_from_a_split(tiny_task, mml_project):
    task, backbone = tiny_task("classification"), pixels_of(CFG, channels=1, image_size=(16, 16))
    drawn = [
        extract(backbone, task, mml_project, splits=("train",), samples=5, seed=seed).sample_ids
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [len(names) for names in drawn] == [5, 5, 5]
    assert all(int(name) < 12 for names in drawn for name in names)  # the others are for testing


def test_a_split_without_samples_is_named(tiny_task, mml_project):
    backbone = pixels_of(CFG, channels=1, image_size=(16, 16))
    with pytest.raises(FeaturesError, match="no samples in the split unlabelled"):
        extract(backbone, tiny_task("classification"), mml_project, splits=("unlabelled",))


def test_random_weights_are_those_of_the_seed_whatever_was_drawn_before(given):
    first = given("mean")
    torch.rand(3)
    again, other = given("mean"), given("mean", seed=2)
    assert torch.equal(first.network.weight, again.network.weight)
    assert not torch.equal(first.network.weight, other.network.weight)
    assert first.description == again.description != other.description
    json.dumps(first.description)


def test_a_net_without_features_is_refused(given):
    with pytest.raises(FeaturesError, match="plain puts out no features"):
        given("plain")
