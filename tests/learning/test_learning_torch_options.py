"""Options that are handed to torch do what torch's own argument does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as torch_schedules

from mml_core.learning.losses import build_loss
from mml_core.learning.optimisation import build_optimizer, build_schedule

SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.9}
ADAM = {"name": "adam", "lr": 0.1}
VALUES = (3.0, 2.0, 2.5, 2.6, 1.9, 2.0, 2.1, 2.2, 1.0, 1.1)
"""Losses of a validation each, which a plateau is looked for in."""


def moved(optimizer_of: Any) -> list[float]:
    """A weight after each of five steps with the gradient 1, 2, …"""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer, path = optimizer_of(weight), []
    for step in range(5):
        weight.grad = torch.tensor([1.0 + step])
        optimizer.step()
        path.append(weight.item())
    return path


@pytest.mark.parametrize(
    ("config", "torchs", "option", "value"),
    [
        (SGD, torch.optim.SGD, "optimizer.nesterov", True),
        (ADAM, torch.optim.Adam, "optimizer.betas", [0.5, 0.6]),
        (ADAM, torch.optim.Adam, "optimizer.eps", 0.5),
    ],
)
def test_an_option_of_the_optimiser_changes_its_steps_as_in_torch(
    config: dict[str, Any], torchs: Any, option: str, value: Any
) -> None:
    chosen = {**config, option.partition(".")[2]: value}
    arguments = {key: value for key, value in chosen.items() if key != "name"}
    found = moved(lambda weight: build_optimizer([weight], chosen))
    assert found == moved(lambda weight: torchs([weight], **arguments))
    assert found[-1] != moved(lambda weight: build_optimizer([weight], config))[-1]


def course(made_for: Any, values: tuple[float, ...] = ()) -> list[tuple[float, float]]:
    """The learning rate and the momentum at each of ten steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    schedule, found = made_for(optimizer), []
    for step in range(10):
        (group,) = optimizer.param_groups
        found.append((float(group["lr"]), float(group["momentum"])))
        optimizer.step()
        schedule.step(*values[step : step + 1])
    return found


def built(config: dict[str, Any]) -> Any:
    def make(optimizer: torch.optim.Optimizer) -> Any:
        made = build_schedule(optimizer, config, total_steps=11, total_epochs=11)
        assert made is not None
        return made["scheduler"]

    return make


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("lr_scheduler.pct_start", 0.6),
        ("lr_scheduler.div_factor", 5.0),
        ("lr_scheduler.final_div_factor", 10.0),
        ("lr_scheduler.cycle_momentum", False),
    ],
)
def test_an_option_of_one_cycle_changes_its_course_as_in_torch(option: str, value: Any) -> None:
    changed = {option.partition(".")[2]: value}
    found = course(built({"name": "onecycle", **changed}))
    reference = course(lambda optimizer: torch_schedules.OneCycleLR(optimizer, 0.1, 11, **changed))
    assert found == reference
    assert found != course(built({"name": "onecycle"}))


def test_no_drop_is_counted_for_lr_scheduler_cooldown_validations_as_in_torch() -> None:
    plateau = {"name": "plateau", "interval": "epoch", "patience": 0}
    found = course(built({**plateau, "cooldown": 3}), VALUES)
    reference = course(
        lambda optimizer: torch_schedules.ReduceLROnPlateau(optimizer, patience=0, cooldown=3), VALUES
    )
    assert found == reference
    assert found != course(built(plateau), VALUES)


def test_loss_semantic_segmentation_target_channel_gives_masks_the_axis_that_monai_wants() -> None:
    config = {"name": "monai.losses:DiceLoss", "kwargs": {"to_onehot_y": True, "softmax": True}}
    logits, masks = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    loss = build_loss("semantic_segmentation", {"semantic_segmentation": {**config, "target_channel": True}})
    without = build_loss("semantic_segmentation", {"semantic_segmentation": config})
    assert torch.equal(loss(logits, masks), without(logits, masks.unsqueeze(1)))
