"""Adapters: what they train, what stays as it is, and that the plain network is stored."""

from typing import Any

import pytest
import torch
from torch import nn

from mml_core.learning.adapters import METHODS, AdapterError, AdapterRule, add_adapters, merge_adapters
from mml_core.learning.layers import layers_of
from mml_core.learning.module import MMLModule
from mml_core.learning.optimised import Recipe
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput

OPTIONS: dict[str, dict[str, Any]] = {
    "lora": {"r": 2},
    "loha": {"r": 2},
    "lokr": {"r": 2},
    "ia3": {},
    "hra": {"r": 2},
}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(24, 8)
        self.norm, self.drop = nn.LayerNorm(8), nn.Dropout(0.5)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.norm(values + self.drop(self.proj(self.qkv(values).relu())))


class Transformer(nn.Module):
    """Holds more in linear layers than in convolutions, and batch statistics."""

    feature_dim = 8

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(1, 8, 4, 4), nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.embed(images)).flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.mean(1)


class Convolutions(nn.Module):
    """Puts out logits per pixel by its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.second, self.logits = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits(self.second(self.grouped(self.first(images)).relu()).relu())


def recipe(**options: Any) -> Recipe:
    losses = {"classification": {"name": "cross_entropy"}, "semantic_segmentation": {"name": "cross_entropy"}}
    return Recipe(**{"optimizer": {"name": "SGD", "lr": 0.1}, "loss": losses, **options})


def backbone(**options: Any) -> MMLModule:
    torch.manual_seed(0)
    return MMLModule(
        Transformer(), [TaskOutput(task="a", task_type="classification", width=2)], recipe(**options)
    )


def segmenter() -> MMLModule:
    torch.manual_seed(0)
    output = TaskOutput(task="a", task_type="semantic_segmentation", width=2)
    return MMLModule(Convolutions(), [output], recipe())


def rule(name: str = "lora", targets: tuple[str, ...] = (), **options: Any) -> AdapterRule:
    return AdapterRule(name=name, targets=targets, options={**OPTIONS[name], **options})


def train(model: MMLModule, steps: int = 3) -> None:
    model.train()
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        model(images()).square().mean().backward()
        optimizer.step()
    model.eval()


def images() -> torch.Tensor:
    return torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8)


@pytest.mark.parametrize("make", [backbone, segmenter], ids=["linear", "convolution"])
@pytest.mark.parametrize("name", METHODS)
def test_what_is_stored_is_the_plain_network_with_the_same_outputs(name: str, make: Any) -> None:
    plain = make()
    model = make()
    add_adapters(model, rule(name))
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images()), plain.eval()(images()))
    train(model)
    outputs = model(images())
    assert not torch.allclose(outputs, plain(images()), atol=1e-4)
    merge_adapters(model)
    torch.testing.assert_close(model(images()), outputs, rtol=1e-4, atol=1e-5)
    assert model.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(model.state_dict())


@pytest.mark.parametrize("name", METHODS)
def test_frozen_weights_statistics_and_dropout_stay_bit_for_bit(name: str) -> None:
    model = backbone()
    add_adapters(model, rule(name))
    kept = {
        key: each.clone()
        for key, each in model.network.state_dict().items()
        if "_layer" in key or "norm" in key
    }
    train(model)
    assert all(torch.equal(model.network.state_dict()[key], each) for key, each in kept.items())
    model.train()
    assert not model.network.blocks[0].drop.training
    assert not model.network.norm.training


def test_dropout_of_adapters_acts_in_training() -> None:
    model = backbone()
    add_adapters(model, rule(lora_dropout=0.5))
    assert model.train().network.blocks[0].qkv.lora_dropout["default"].training


def test_use_rslora_divides_by_the_root_of_the_rank() -> None:
    model, other = backbone(), backbone()
    add_adapters(model, rule(r=4, lora_alpha=8, use_rslora=True))
    add_adapters(other, rule(r=4, lora_alpha=8))
    assert model.network.blocks[0].qkv.scaling["default"] == 8 / 4**0.5
    assert other.network.blocks[0].qkv.scaling["default"] == 8 / 4


def test_use_dora_learns_the_size_of_each_weight_and_is_merged() -> None:
    model = backbone()
    add_adapters(model, rule(use_dora=True))
    sizes = {name: each for name, each in model.named_parameters() if "magnitude" in name}
    assert len(sizes) == 4
    assert all(each.requires_grad for each in sizes.values())
    before = {name: each.detach().clone() for name, each in sizes.items()}
    train(model)
    assert not any(torch.equal(before[name], each) for name, each in sizes.items())
    outputs = model(images())
    merge_adapters(model)
    torch.testing.assert_close(model(images()), outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["loha", "lokr"])
def test_module_dropout_skips_whole_adapters_in_training(name: str) -> None:
    for share, skipped in ((0.0, False), (1.0, True)):
        model = backbone()
        add_adapters(model, rule(name, module_dropout=share))
        model.train()(images()).square().mean().backward()
        adapters = [each for key, each in model.network.named_parameters() if each.requires_grad]
        assert adapters
        assert all(each.grad is None for each in adapters) is skipped


def test_only_adapters_and_heads_are_trained() -> None:
    model = backbone()
    add_adapters(model, rule())
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert all("lora_" in name or name.startswith("heads.") for name in trained)
    assert sum("lora_" in name for name in trained) == 8


def test_a_net_without_head_trains_its_last_layer_as_a_whole() -> None:
    model = segmenter()
    targets = add_adapters(model, rule())
    assert targets == ("first", "second")  # the grouped one is left out
    assert model.network.logits.weight.requires_grad


def test_linear_layers_are_chosen_where_they_hold_more_and_the_log_names_them(caplog: Any) -> None:
    caplog.set_level("INFO")
    model = backbone()
    assert add_adapters(model, rule()) == ("blocks.0.qkv", "blocks.0.proj", "blocks.1.qkv", "blocks.1.proj")
    assert "adapter lora on 4 modules (blocks.0.qkv, " in caplog.text


def test_targets_are_names_or_their_ends() -> None:
    model = backbone()
    assert add_adapters(model, rule(targets=("blocks.1.proj", "qkv"))) == (
        "blocks.0.qkv",
        "blocks.1.qkv",
        "blocks.1.proj",
    )


def test_a_fit_puts_them_in_once_and_prediction_never() -> None:
    model = backbone(adapter=rule())
    model.configure_model()
    names = list(model.state_dict())
    model.configure_model()
    assert list(model.state_dict()) == names
    assert model.adapted
    predicting = MMLModule(Transformer(), [TaskOutput(task="a", task_type="classification", width=2)])
    predicting.configure_model()
    assert not predicting.adapted


# -- refusals


def test_a_target_that_is_not_there_gives_near_matches() -> None:
    with pytest.raises(AdapterError, match=r"called 'qvk' in the network\. Did you mean .*'qkv'"):
        add_adapters(backbone(), rule(targets=("qvk",)))


def test_frozen_layers_are_refused() -> None:
    model = backbone()
    model.freeze_layers(layers_of(model.network)[:1])
    with pytest.raises(AdapterError, match=r"freezes the network itself; set mode\.freeze=none"):
        add_adapters(model, rule())


def test_rates_by_layer_are_refused() -> None:
    with pytest.raises(AdapterError, match=r"optimizer\.layer_decay has no effect"):
        add_adapters(backbone(optimizer={"name": "SGD", "lr": 0.1, "layer_decay": 0.5}), rule())


def test_options_that_peft_does_not_know_are_refused_by_name() -> None:
    with pytest.raises(OptionError, match=r"adapter\.kwargs\.lora_alfa'\. Did you mean 'lora_alpha'"):
        add_adapters(backbone(), rule(lora_alfa=3))


def test_what_peft_refuses_is_said_in_one_line() -> None:
    with pytest.raises(AdapterError, match=r"does not fit the network: .*r"):
        add_adapters(backbone(), rule(r=-1))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"name": "lorra"}, "Did you mean 'lora'"),
        ({"name": "lora", "rank": 4}, r"Unknown option 'adapter\.rank'"),
        ({"name": "lora", "targets": "qkv"}, r"adapter\.targets is 'qkv'"),
        ({"name": "lora", "targets": []}, r"adapter\.targets is \[\]"),
    ],
)
def test_impossible_groups_are_refused(group: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        AdapterRule.from_config(group)


def test_no_adapter_is_none() -> None:
    assert AdapterRule.from_config({"name": "none"}) is None
    assert AdapterRule.from_config(None) is None
