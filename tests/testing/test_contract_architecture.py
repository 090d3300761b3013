"""Architectures that ship keep the contract of architectures; each way to break it is named."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mml_core.testing import ArchitectureContract


@pytest.mark.long
class TestResNet(ArchitectureContract):
    architecture = "ResNet"
    kwargs: ClassVar[dict[str, Any]] = {
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [8, 8, 8, 8],
    }


@pytest.mark.long
class TestUNet(ArchitectureContract):
    architecture = "UNet"
    kwargs: ClassVar[dict[str, Any]] = {"channels": [8, 16], "strides": [2], "num_res_units": 1}


@pytest.mark.long
class TestTimm(ArchitectureContract):
    architecture = "timm"
    kwargs: ClassVar[dict[str, Any]] = {"model": "test_resnet"}
    channels = (3,)


PLUGIN = """
from mml_core.plugins import ArchitectureSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_architectures():
    for name in {names!r}:
        task_types = ["semantic_segmentation" if name == "BackboneThatSegments" else "classification"]
        yield ArchitectureSpec(name=name, target=f"mml_nets.nets:{{name}}", task_types=task_types)
"""
NETS = """
import random
import torch
from torch import nn

class Good(nn.Module):
    feature_dim = 4

    def __init__(self, task_type, in_channels, out_channels, image_size):
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 3)

    def forward(self, images):
        return self.first(images).relu().mean((2, 3))

class WrongFeatureDim(Good):
    feature_dim = 5

class NoFeatureDim(Good):
    feature_dim = None

class BackboneThatSegments(Good):
    pass

class Unused(Good):
    def __init__(self, *args):
        super().__init__(*args)
        self.spare = nn.Linear(2, 2)

class OwnRandomness(Good):
    def __init__(self, *args):
        super().__init__(*args)
        self.first.weight.data *= random.random()

class DropsInEvaluation(Good):
    def forward(self, images):
        return nn.functional.dropout(super().forward(images), training=True)

class LooksAtTheBatch(Good):
    def forward(self, images):
        return super().forward(images - images.mean())

class KeepsInMemory(Good):
    def __init__(self, *args):
        super().__init__(*args)
        self.factor = torch.rand(4)

    def forward(self, images):
        return super().forward(images) * self.factor

class NotFinite(Good):
    def forward(self, images):
        return super().forward(images) * 0 / 0

class InfiniteSlope(Good):
    def forward(self, images):
        return (super().forward(images) * 0).sqrt()

class Detached(Good):
    def forward(self, images):
        return super().forward(images).detach() + 0 * sum(p.sum() for p in self.parameters())
"""
FAULTS = {
    "WrongFeatureDim": (
        "test_it_puts_out_what_its_task_type_needs",
        r"WrongFeatureDim for classification, 1x32x32: it puts out \(4, 4\), feature_dim=5 says \(4, 5\)",
    ),
    "NoFeatureDim": (
        "test_it_puts_out_what_its_task_type_needs",
        r"it puts out \(4, 4\), 2 outputs without a feature_dim need \(4, 2\)",
    ),
    "BackboneThatSegments": (
        "test_it_puts_out_what_its_task_type_needs",
        "says feature_dim=4, and a backbone cannot segment",
    ),
    "Unused": ("test_gradients_reach_every_parameter", r"no gradient reaches spare\.weight, spare\.bias"),
    "OwnRandomness": ("test_its_weights_are_those_of_the_seed", r"first\.weight differ between two networks"),
    "DropsInEvaluation": ("test_it_predicts_the_same_each_time", "other values each time"),
    "LooksAtTheBatch": ("test_it_predicts_the_same_each_time", "depend on the other images of its batch"),
    "KeepsInMemory": ("test_its_weights_are_all_it_is", "keep what it needs in parameters and buffers"),
    "NotFinite": ("test_a_step_trains_it", "the loss of a step of training is nan"),
    "InfiniteSlope": (
        "test_gradients_reach_every_parameter",
        r"the gradient of first\.weight.* is not finite",
    ),
    "Detached": ("test_gradients_reach_every_parameter", "all gradients are zero"),
}


@pytest.fixture
def contract_of(inline_plugin):
    """The contract of one of the architectures above."""
    inline_plugin("nets", PLUGIN.format(names=["Good", *FAULTS]), {"nets.py": NETS})

    def of(name: str) -> ArchitectureContract:
        class Contract(ArchitectureContract):
            architecture = name

        return Contract()

    return of


@pytest.mark.parametrize(("name", "test", "message"), [(name, *rest) for name, rest in FAULTS.items()])
def test_a_fault_is_named(contract_of, tmp_path, name, test, message):
    arguments = [tmp_path] if "weights_are_all" in test or "trains" in test else []
    with pytest.raises(AssertionError, match=message):
        getattr(contract_of(name), test)(*arguments)


def test_what_a_training_leaves_on_purpose_can_be_named(contract_of):
    contract = contract_of("Unused")
    contract.without_gradient = ("spare.",)
    contract.test_gradients_reach_every_parameter()


def test_a_good_architecture_has_no_fault(contract_of, tmp_path):
    contract = contract_of("Good")
    for name in dir(contract):
        if name.startswith("test_"):
            arguments = [tmp_path] if "weights_are_all" in name or "trains" in name else []
            getattr(contract, name)(*arguments)
