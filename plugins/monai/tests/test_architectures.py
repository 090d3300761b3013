"""Every network that is registered is built through the registry and tried on grey and colour images."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from mml_core.plugins import PluginManager
from mml_core.plugins.registry import UnknownNameError

MANAGER = PluginManager.discover()
ENTRIES = [entry for entry in MANAGER.architectures.items() if entry.provider == "mml-plugin-monai"]
# What is quick enough to be tried every time, made small where its size is free.
QUICK: dict[str, dict[str, Any]] = {
    "ResNet": {},
    "ResNet10": {},
    "DenseNet": {"init_features": 8, "growth_rate": 4, "block_config": (2, 2)},
    "EfficientNetB0": {},
    "ViT": {"hidden_size": 24, "mlp_dim": 48, "num_layers": 2, "num_heads": 3},
    "UNet": {},
    "BasicUNet": {"features": (8, 8, 16, 16, 32, 8)},
    "DynUNet": {},
    "SegResNet": {},
    "VNet": {},
}
SIZE = (64, 64)
CLASSES = 3


def cases() -> list[Any]:
    return [
        pytest.param(
            entry,
            QUICK.get(entry.record.name, {}),
            id=entry.record.name,
            marks=() if entry.record.name in QUICK else pytest.mark.long,
        )
        for entry in ENTRIES
    ]


def test_all_of_the_plugin_are_there() -> None:
    from mml_monai.plugin import BACKBONES, SEGMENTATION_NETS

    names = {entry.record.name for entry in ENTRIES}
    assert names == {*BACKBONES, *SEGMENTATION_NETS}
    assert names >= set(QUICK)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "rgb"])
@pytest.mark.parametrize(("entry", "kwargs"), cases())
def test_a_network_takes_images_of_its_task_type(entry: Any, kwargs: dict[str, Any], channels: int) -> None:
    build = MANAGER.resolve(entry)
    task_type = entry.record.task_types[0]
    network = build(task_type, channels, CLASSES, SIZE, **kwargs).eval()
    with torch.inference_mode():
        outputs = network(torch.randn(2, channels, *SIZE))
    if task_type == "semantic_segmentation":
        assert outputs.shape == (2, CLASSES, *SIZE)
        assert not hasattr(network, "feature_dim")
    else:
        assert isinstance(network.feature_dim, int)
        assert outputs.shape == (2, network.feature_dim)
    assert torch.isfinite(outputs).all()


@pytest.mark.parametrize("name", ["UNet", "BasicUNet", "DynUNet", "SegResNet", "VNet"])
def test_segmentation_nets_take_odd_sizes(name: str) -> None:
    entry = next(entry for entry in ENTRIES if entry.record.name == name)
    network = MANAGER.resolve(entry)("semantic_segmentation", 1, 2, (37, 50), **QUICK[name]).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 1, 37, 50)).shape == (1, 2, 37, 50)


@pytest.mark.parametrize("name", ["ResNet", "DenseNet", "ViT", "UNet", "DynUNet", "SegResNet"])
def test_every_parameter_is_trained(name: str) -> None:
    """What a net does not use would be saved, and stop training on several devices."""
    entry = next(entry for entry in ENTRIES if entry.record.name == name)
    network = MANAGER.resolve(entry)(entry.record.task_types[0], 1, 2, SIZE, **QUICK[name])
    network(torch.randn(2, 1, *SIZE)).square().sum().backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


def test_a_wrong_name_gives_near_matches() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean .*ResNet50"):
        MANAGER.architectures.get("ResNet5O")


@pytest.mark.parametrize("preset", ["resnet_tiny", "unet_tiny", "vit_tiny"])
def test_presets_name_registered_networks(preset: str) -> None:
    from mml_core.config.compose import compose

    cfg = compose([f"arch={preset}"], MANAGER)
    entry = next(entry for entry in ENTRIES if entry.record.name == cfg.arch.name)
    MANAGER.resolve(entry)(entry.record.task_types[0], 1, 2, SIZE, **cfg.arch.kwargs)


def test_the_hook_module_imports_nothing_heavy() -> None:
    probe = "import sys, mml_monai.plugin; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    heavy = {"torch", "monai", "lightning", "numpy", "omegaconf", "hydra", "pandas", "pyarrow"}
    assert not heavy & set(done.stdout.split())
