"""Steps of modes over features see the images that features were taken of, by the same backbone."""

from __future__ import annotations

import json

import pytest

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
from mml_core.plugins import ArchitectureSpec, SchedulerSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_architectures():
    return [ArchitectureSpec(name="dot", target="mml_look.net:build", task_types=("classification",))]

@hookimpl
def mml_schedulers():
    return [SchedulerSpec(name="look", target="mml_look.scheduler:Look",
                          defaults={"samples": None, "split": None, "normalisation": None, "model": None})]
"""
NET = """
import torch

class Dot(torch.nn.Sequential):
    feature_dim = 4

def build(task_type, in_channels, out_channels, image_size, **cfg):
    layers = (torch.nn.Conv2d(in_channels, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return Dot(*layers)
"""
SCHEDULER = """
from pathlib import Path
from mml_core.api import FeatureScheduler, load_features

class Look(FeatureScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        extracted = self.plan_features()
        model = self.plan_backbone()
        for task, handle in zip(self.cfg.task_list, extracted, strict=True):
            self.add_step("look", task, *model, after=(handle,))

    def look(self, task, *model):
        import torch
        from lightning.pytorch import LightningModule

        class Viewer(LightningModule):
            def __init__(self, network):
                super().__init__()
                self.network = network

            def predict_step(self, batch, batch_idx, dataloader_idx=0):
                with torch.enable_grad():
                    values = self.network(batch["image"])
                    values.sum().backward()
                return values.detach().tolist()

        (found,) = self.results.by_method("extract_features")
        features = load_features(Path(found["features"]))
        shown = [row for rows in self.show_images(task, features, Viewer, *model) for row in rows]
        return {"shown": shown, "extracted": features.values.tolist()}
"""
COMMON = ("trainer.accelerator=cpu", "arch.name=dot", "preprocessing=none")


@pytest.fixture
def look(inline_plugin, tiny_task, mml):
    """Run a mode that looks at the images of a task: ``look("seed=1", proj="p")``."""
    inline_plugin("look", PLUGIN, {"net.py": NET, "scheduler.py": SCHEDULER})
    tiny_task("classification")

    def run(*overrides, proj="default"):
        return mml("run", "--mode=look", "--tasks=tiny_classification", f"--proj={proj}", *COMMON, *overrides)

    return run


def test_the_images_that_features_were_taken_of_are_shown_in_their_order(look, mml_project):
    done = look("mode.samples=6", "loader.batch_size=4")
    assert done.code == 0, done.err
    (record,) = mml_project.path().glob("runs/*/steps/look*.json")
    seen = json.loads(record.read_text())["body"]["value"]
    assert len(seen["shown"]) == 6
    for shown, extracted in zip(seen["shown"], seen["extracted"], strict=True):
        assert shown == pytest.approx(extracted, rel=1e-5, abs=1e-6)


def test_features_of_another_backbone_are_refused_before_work(look, mml_project):
    assert look("seed=1", proj="first").code == 0
    refused = look("seed=2", "reuse.features=first", proj="second")
    assert refused.code == 2
    assert "differ in weights" in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    same = look("seed=1", "reuse.features=first", proj="third")
    assert same.code == 0, same.err


def test_a_sample_that_is_gone_is_named(tiny_task):
    from mml_core.learning.feature_sources import with_samples_of
    from mml_core.learning.features import Features, FeaturesError

    features = Features(
        task="tiny_classification",
        task_type="classification",
        sample_ids=["00", "gone"],
        splits=[],
        values=[],
    )
    with pytest.raises(FeaturesError, match="has no sample 'gone'"):
        with_samples_of(tiny_task("classification"), features)
