"""A tiny backbone and tiny tasks, so that these tests need no other plugin."""

from __future__ import annotations

import pytest

PLUGIN = """
from mml_core.plugins import ArchitectureSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_architectures():
    types = ("classification", "multilabel", "regression")
    return [
        ArchitectureSpec(name="dot", target="mml_dot.net:build", task_types=types),
        ArchitectureSpec(name="segmenter", target="mml_dot.net:build", task_types=("semantic_segmentation",)),
    ]
"""
NET = """
import torch

class Dot(torch.nn.Sequential):
    feature_dim = 4

def build(task_type, in_channels, out_channels, image_size, **cfg):
    layers = (torch.nn.Conv2d(in_channels, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return Dot(*layers)
"""
COMMON = ("trainer.accelerator=cpu", "arch.name=dot", "preprocessing=none")
PLAIN = ("mode.plots=[]",)


@pytest.fixture
def dot(inline_plugin, tiny_task):
    """Install the network and three tasks over the same images; gives the overrides that all runs need."""
    inline_plugin("dot", PLUGIN, {"net.py": NET})
    for task_type in ("classification", "multilabel", "regression"):
        tiny_task(task_type)
    return COMMON


@pytest.fixture
def similarity(dot, mml):
    """Run the mode: ``similarity("mode.distances=[fid]", tasks="a,b", proj="p")``."""

    def run(*overrides, tasks="tiny_classification,tiny_multilabel", proj="default"):
        return mml("run", "--mode=similarity", f"--tasks={tasks}", f"--proj={proj}", *dot, *PLAIN, *overrides)

    return run
