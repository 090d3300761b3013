"""Frozen layers stay as they are, bit for bit, and what is not frozen trains."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mml_core.errors import MMLError
from mml_core.learning.factory import recipe_of
from mml_core.learning.freezing import FreezeRule, freeze
from mml_core.learning.layers import layers_of
from mml_core.learning.module import MMLModule, ModelError
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.trainer import create_trainer

OUTPUT = TaskOutput(task="t", task_type="classification", width=10)


class Net(nn.Module):
    """Three layers, each with batch statistics and dropout."""

    feature_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.first = self.layer(1)
        self.second = self.layer(4)
        self.third = self.layer(4)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def layer(self, channels: int) -> nn.Module:
        block = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Dropout(0.5))
        return nn.ModuleDict({"block": block})

    def layer_groups(self) -> list[tuple[str, ...]]:
        return [("first",), ("second",), ("third",)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for layer in (self.first, self.second, self.third):
            images = layer["block"](images)  # type: ignore[operator]
        return self.pool(images).flatten(1)


def bits(module: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


@pytest.fixture
def model(learning_config: Any) -> MMLModule:
    torch.manual_seed(0)
    return MMLModule(Net(), [OUTPUT], recipe_of(learning_config()))


@pytest.mark.parametrize(
    ("mode", "frozen"),
    [
        ({"freeze": "none"}, ()),
        ({"freeze": "backbone"}, ("first", "second", "third")),
        ({"freeze": "partial"}, ("first", "second")),
        ({"freeze": "partial", "unfreeze_last": 2}, ("first",)),
        ({"freeze": "partial", "unfreeze_last": ["first"]}, ("second", "third")),
    ],
)
def test_a_training_leaves_frozen_weights_and_statistics_as_they_were(
    mode: Any, frozen: tuple[str, ...], model: MMLModule, digits: Any, learning_config: Any, tmp_path: Path
) -> None:
    before = bits(model)
    model.freeze_layers(FreezeRule.from_config(mode).frozen_layers(model.network))
    cfg = learning_config(trainer__max_epochs=1, trainer__limit_train_batches=3, trainer__accelerator="cpu")
    create_trainer(cfg, default_root_dir=tmp_path).fit(model, datamodule=digits())
    changed = {name for name, value in bits(model).items() if value != before[name]}
    kept = {name for name in before if name.startswith(tuple(f"network.{layer}." for layer in frozen))}
    assert changed == set(before) - kept


def test_frozen_layers_drop_nothing_in_training(model: MMLModule) -> None:
    model.freeze_layers(layers_of(model.network))
    images = torch.rand(2, 1, 16, 16)
    for part in (model, model.eval(), model.train()):
        assert torch.equal(part.network(images), model.network(images))
    assert model.training
    assert not model.network.training


def test_what_has_no_parameters_belongs_to_what_is_before_it() -> None:
    net = nn.Sequential(
        nn.Linear(1, 1), nn.Dropout(), nn.Linear(1, 1), nn.Sequential(nn.ReLU(), nn.Dropout())
    )
    assert freeze(net, layers_of(net)[:1]) == {"0", "1"}
    assert freeze(net, layers_of(net)[1:]) == {"", *"0123", "3.0", "3.1"}


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ({"freeze": "backbon"}, "Did you mean 'backbone'"),
        ({"freeze": "partial", "unfreeze_last": 0}, "a number of layers from 1 on"),
        ({"freeze": "partial", "unfreeze_last": []}, "a list of their names"),
        ({"freeze": "partial", "unfreeze_last": True}, "unfreeze_last is True"),
        ({"freeze": "partial", "unfreeze_last": 3}, "freezes nothing"),
        ({"freeze": "partial", "unfreeze_last": 4}, "the network has 3"),
    ],
)
def test_impossible_choices_are_refused(mode: Any, message: str, model: MMLModule) -> None:
    with pytest.raises(MMLError, match=message):
        FreezeRule.from_config(mode).frozen_layers(model.network)


def test_something_has_to_be_left_to_train(learning_config: Any) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    whole = TaskOutput(task="t", task_type="semantic_segmentation", width=2)
    model = MMLModule(net, [whole], recipe_of(learning_config()))
    with pytest.raises(OptionError, match="leaves nothing to train"):
        FreezeRule(kind="backbone").frozen_layers(net)
    with pytest.raises(ModelError, match="nothing is left to train"):
        model.freeze_layers(layers_of(net))
