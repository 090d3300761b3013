"""A tiny network and a training that kills itself, so that these tests need no other plugin."""

from __future__ import annotations

import pytest

from mml_core.testing.tiny_tasks import create_tiny_task

PLUGIN = """
from mml_core.plugins import ArchitectureSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_architectures():
    return [ArchitectureSpec(name="dot", target="mml_dot.net:build", task_types=("classification",))]

@hookimpl
def mml_trainer_callbacks(scheduler, task):
    from mml_dot.net import Fate
    return [Fate()]
"""
NET = """
import os
import signal
import torch
from lightning.pytorch import Callback

class Dot(torch.nn.Sequential):
    feature_dim = 4

def build(task_type, in_channels, out_channels, image_size, **cfg):
    layers = (torch.nn.Conv2d(in_channels, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return Dot(*layers)

class Fate(Callback):
    def on_train_batch_start(self, trainer, module, batch, index):
        if str(trainer.current_epoch) == os.environ.get("DIES_IN_EPOCH"):
            os.kill(os.getpid(), signal.SIGKILL)
        if str(trainer.current_epoch) == os.environ.get("FAILS_IN_EPOCH"):
            raise ValueError("no more batches")
"""
TRAIN = (
    "run",
    "--mode=train",
    "--tasks=tiny_classification",
    "trainer.max_epochs=3",
    "trainer.accelerator=cpu",
    "arch.name=dot",
    "preprocessing=none",
    "mode.folds=[0]",
    "metrics.intervals.method=none",
)


@pytest.fixture
def dot(inline_plugin, mml_project):
    """Install the network and the task; ``dot`` is the command that trains for three epochs."""
    inline_plugin("dot", PLUGIN, {"net.py": NET})
    create_tiny_task(mml_project.data, "classification")
    return TRAIN
