"""What the optimiser is given: rates by layer, spared weights, and gradients gathered over batches."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mml_core.learning.factory import recipe_of
from mml_core.learning.module import MMLModule
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.parameter_groups import trained_parameters
from mml_core.learning.trainer import create_trainer

OUTPUT = TaskOutput(task="t", task_type="classification", width=10)


class Net(nn.Module):
    feature_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.deep = nn.Conv2d(4, 4, 3)

    def layer_groups(self) -> list[tuple[str, ...]]:
        return [("stem",), ("deep",)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.deep(self.stem(images)).mean((2, 3))


def groups_of(net: nn.Module, heads: nn.Module, **options: Any) -> list[tuple[list[str], float, Any]]:
    both = nn.ModuleDict({"network": net, "heads": heads})
    names = {parameter: name for name, parameter in both.named_parameters()}
    found = trained_parameters(net, heads, {"lr": 1.0, **options})
    return [
        ([names[each] for each in group["params"]], group["lr"], group.get("weight_decay"))
        for group in found
        if isinstance(group, dict)
    ]


def test_each_layer_learns_slower_than_the_one_after_it() -> None:
    found = groups_of(Net(), nn.Linear(4, 2), layer_decay=0.5)
    assert [(names[0], lr) for names, lr, _ in found] == [
        ("network.stem.0.weight", 0.25),
        ("network.deep.weight", 0.5),
        ("heads.weight", 1.0),
    ]


def test_without_a_head_the_last_layer_has_the_whole_rate() -> None:
    assert [lr for _, lr, _ in groups_of(Net(), nn.Identity(), layer_decay=0.5)] == [0.5, 1.0]


def test_norms_and_biases_can_be_spared_from_decay() -> None:
    found = groups_of(Net(), nn.Linear(4, 2), decay_norms_and_biases=False)
    spared = [name for names, _, decay in found if decay == 0 for name in names]
    assert spared == [
        "network.stem.0.bias",
        "network.stem.1.weight",
        "network.stem.1.bias",
        "network.deep.bias",
        "heads.bias",
    ]


def test_frozen_parameters_are_in_no_group() -> None:
    net = Net()
    net.stem.requires_grad_(False)
    assert len(groups_of(net, nn.Linear(4, 2), layer_decay=0.5)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer_decay": 0}, "optimizer.layer_decay is 0"),
        ({"layer_decay": 1.5}, "up to 1"),
        ({"decay_norms_and_biases": "no"}, "write true or false"),
        ({"layer_decay": 0.5}, "needs a network of several layers, found 1"),
    ],
)
def test_impossible_groups_are_refused(options: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        trained_parameters(nn.Linear(1, 1), nn.Identity(), {"lr": 1.0, **options})


@pytest.mark.parametrize(
    "clipping",
    [{}, {"gradient_clip_val": 0.05}, {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}],
)
def test_gathered_gradients_are_means_also_at_the_end_of_an_epoch(
    clipping: Any, digits: Any, learning_config: Any, tmp_path: Path
) -> None:
    cfg = learning_config(optimizer={"name": "sgd", "lr": 0.5}, lr_scheduler={"name": "none"})
    cfg["trainer"] |= {
        "max_epochs": 2,
        "limit_train_batches": 5,
        "limit_val_batches": 0,
        "accumulate_grad_batches": 3,
        "accelerator": "cpu",
        **clipping,
    }
    torch.manual_seed(0)
    model = MMLModule(Net(), [OUTPUT], recipe_of(cfg))
    plain = copy.deepcopy(nn.Sequential(model.network, model.head("t")))
    create_trainer(cfg, default_root_dir=tmp_path).fit(model, datamodule=digits())

    loader = digits().train_dataloader()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.5)
    for _ in range(2):
        batches = [batch for _, batch in zip(range(5), loader, strict=False)]
        for window in (batches[:3], batches[3:]):
            losses = [nn.functional.cross_entropy(plain(b["image"]), b["target"]) for b in window]
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()
            if clipping.get("gradient_clip_algorithm") == "value":
                nn.utils.clip_grad_value_(plain.parameters(), 0.01)
            elif clipping:
                nn.utils.clip_grad_norm_(plain.parameters(), 0.05)
            optimizer.step()
    for found, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
