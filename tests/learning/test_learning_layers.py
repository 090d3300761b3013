"""The layers of a network, input first: what a network says, or what its structure tells."""

from typing import Any

import pytest
import torch
from torch import nn

from mml_core.learning.factory import create_model
from mml_core.learning.layers import LayersError, last_layers, layers_of
from mml_core.plugins import PluginManager


class Stages(nn.Module):
    """A stem, two stages, and a position of its own, all behind a wrapper."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(3))
        self.stem = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.drop = nn.Dropout()
        self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.LayerNorm(2)])


class Wrapper(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


class Telling(Stages):
    groups: list[tuple[str, ...]] = [("blocks",), ("stem", "position"), ("norm",)]

    def layer_groups(self) -> list[tuple[str, ...]]:
        return self.groups


def test_structure_tells_the_layers() -> None:
    assert [layer.prefixes for layer in layers_of(Wrapper(Stages()))] == [
        ("net.stem", "net.norm", "net.drop", "net.position"),
        ("net.blocks.0",),
        ("net.blocks.1", "net.blocks.2"),
    ]


def test_a_network_may_say_them_itself() -> None:
    assert [layer.prefixes for layer in layers_of(Telling())] == Telling.groups


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([("stem",), ("norm", "blocks")], "'position' is in none"),
        ([("stem", "norm", "position"), ("blocks",), ("blocks.1",)], "'blocks.1.weight' is in the layers"),
    ],
)
def test_what_it_says_has_to_be_whole(
    groups: list[tuple[str, ...]], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Telling, "groups", groups)
    with pytest.raises(LayersError, match=message):
        layers_of(Telling())


def test_a_name_is_no_prefix_of_a_longer_word() -> None:
    (first, second) = layers_of(nn.Sequential(*[nn.Linear(1, 1) for _ in range(2)]))
    assert first.holds("0.weight")
    assert not first.holds("01.weight")
    assert not second.holds("0.weight")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (1, ["net.blocks.1"]),
        (2, ["net.blocks.0", "net.blocks.1"]),
        (["net.blocks"], ["net.blocks.0", "net.blocks.1"]),
        (["net.blocks.1", "net.norm"], ["net.stem", "net.blocks.1"]),
    ],
)
def test_the_last_layers_by_number_or_name(wanted: Any, names: list[str]) -> None:
    assert [layer.name for layer in last_layers(Wrapper(Stages()), wanted)] == names


@pytest.mark.parametrize(
    ("wanted", "message"), [(4, "the network has 3: net.stem, "), (["net.stam"], "Did you mean 'net.stem'")]
)
def test_layers_that_are_not_there_are_refused(wanted: Any, message: str) -> None:
    with pytest.raises(LayersError, match=message):
        last_layers(Wrapper(Stages()), wanted)


@pytest.mark.parametrize(
    ("name", "task_type", "kwargs"),
    [
        ("ResNet", "classification", {"block_inplanes": [2, 2, 2, 2]}),
        (
            "ViT",
            "classification",
            {"patch_size": 8, "hidden_size": 8, "mlp_dim": 8, "num_layers": 2, "num_heads": 1},
        ),
        ("DenseNet", "classification", {"block_config": [1, 1], "init_features": 4, "growth_rate": 2}),
        ("UNet", "semantic_segmentation", {"channels": [2, 4], "strides": [2]}),
    ],
)
def test_every_parameter_is_in_one_layer(
    name: str, task_type: str, kwargs: Any, task_like: Any, learning_config: Any
) -> None:
    cfg = learning_config(arch={"name": name, "kwargs": kwargs})
    network = create_model(cfg, task_like("t", task_type, 2), PluginManager.discover()).network
    layers = layers_of(network)
    assert len(layers) > 1
    for parameter, _ in network.named_parameters():
        assert sum(layer.holds(parameter) for layer in layers) == 1, parameter
