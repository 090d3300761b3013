"""Class weights and focal losses follow their formulas, and know nothing of what is held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mml_core.learning.factory import create_model
from mml_core.learning.focal import BinaryFocalLoss, FocalLoss, PixelFocalLoss
from mml_core.learning.losses import DiceCELoss, build_loss
from mml_core.learning.module import ModelError
from mml_core.learning.options import OptionError
from mml_core.learning.trainer import create_trainer
from mml_core.plugins import PluginManager

WEIGHT = torch.tensor([1.0, 2.0, 5.0])


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def classes(*shape: int) -> Tensor:
    return torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(1))


# -- focal losses


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_without_focus_it_is_the_cross_entropy(smoothing: float, weight: Tensor | None, soft: bool) -> None:
    logits = drawn(7, 3)
    target = drawn(7, 3).softmax(1) if soft else classes(7)
    expected = functional.cross_entropy(logits, target, weight=weight, label_smoothing=smoothing)
    loss = FocalLoss(gamma=0, weight=weight, label_smoothing=smoothing)
    assert loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_is_that_of_the_paper(gamma: float) -> None:
    logits, target = drawn(7, 3), classes(7)
    p = logits.softmax(1)[torch.arange(7), target]
    expected = -((1 - p) ** gamma * p.log()).mean()
    assert FocalLoss(gamma=gamma)(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_binary_focal_is_that_of_the_paper(gamma: float) -> None:
    logits, target = drawn(6, 4), (drawn(4, 6).T > 0).float()
    p = logits.sigmoid()
    right = torch.where(target == 1, p, 1 - p)
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    expected = -((1 - right) ** gamma * right.log() * torch.where(target == 1, weight, 1.0)).mean()
    loss = BinaryFocalLoss(gamma=gamma, pos_weight=weight)
    assert loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)


def test_focal_of_pixels_is_that_of_samples_without_those_to_ignore() -> None:
    logits, target = drawn(2, 3, 4, 6), classes(2, 4, 6)
    expected = FocalLoss(weight=WEIGHT)(
        logits[..., :4].movedim(1, -1).reshape(-1, 3), target[..., :4].flatten()
    )
    target[..., 4:] = 255
    assert PixelFocalLoss(weight=WEIGHT, ignore_index=255)(logits, target).item() == pytest.approx(
        expected.item(), rel=1e-6
    )
    assert PixelFocalLoss(ignore_index=255)(logits, torch.full((2, 4, 6), 255)).item() == 0


@pytest.mark.parametrize("make", [FocalLoss, BinaryFocalLoss], ids=["classes", "labels"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_what_is_quite_right_has_a_gradient_that_is_a_number(
    make: Callable[..., nn.Module], gamma: float
) -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    target = torch.tensor([0]) if make is FocalLoss else torch.tensor([[1.0, 0.0]])
    make(gamma=gamma)(logits, target).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


# -- the option class_weights


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_class_weights_are_the_argument_weight(name: str) -> None:
    logits, target = drawn(7, 3), classes(7)
    by_option = build_loss("classification", {"classification": {"name": name, "class_weights": [1, 2, 5]}})
    by_argument = build_loss(
        "classification", {"classification": {"name": name, "kwargs": {"weight": [1, 2, 5]}}}
    )
    assert by_option(logits, target) == by_argument(logits, target)


def test_class_weights_count_in_the_cross_entropy_of_dice_ce() -> None:
    logits, target = drawn(2, 3, 4, 4), classes(2, 4, 4)
    plain, weighted = DiceCELoss(), DiceCELoss(weight=WEIGHT)
    change = functional.cross_entropy(logits, target, weight=WEIGHT) - functional.cross_entropy(
        logits, target
    )
    found = weighted(logits, target) - plain(logits, target)
    assert found.item() == pytest.approx(change.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("task_type", "chosen", "message"),
    [
        ("regression", {"name": "mse", "class_weights": [1]}, "no classes to weight"),
        ("classification", {"name": "cross_entropy", "class_weights": "balancd"}, "write balanced"),
        ("classification", {"name": "cross_entropy", "class_weights": [1, -1]}, "write balanced"),
        (
            "classification",
            {"name": "cross_entropy", "class_weights": [1, 2], "kwargs": {"weight": [1, 2]}},
            "which are the same",
        ),
        ("classification", {"name": "torch.nn:PoissonNLLLoss", "class_weights": [1, 2]}, "takes no 'weight'"),
        ("classification", {"name": "focal", "kwargs": {"gamma": -1}}, "gamma must be"),
    ],
)
def test_impossible_weights_are_refused(task_type: str, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_loss(task_type, {task_type: chosen})


# -- balanced weights


@pytest.fixture
def balanced(learning_config: Any, task_like: Any) -> Any:
    """A model of the digits whose classes are to be balanced, and its config."""
    cfg = learning_config(loss__classification__class_weights="balanced", trainer__max_steps=2)
    cfg["trainer"]["accelerator"] = "cpu"
    return create_model(cfg, task_like("digits", "classification", 10), PluginManager.discover()), cfg


def test_a_model_that_nobody_has_balanced_is_not_trained(balanced: Any, digits: Any, tmp_path: Path) -> None:
    model, cfg = balanced
    with pytest.raises(ModelError, match=r"call model\.balance_classes"):
        create_trainer(cfg, default_root_dir=tmp_path).fit(model, datamodule=digits("label"))


def test_a_balanced_model_has_the_weights_in_its_loss(balanced: Any, digits: Any, tmp_path: Path) -> None:
    model, cfg = balanced
    weights = [float(number) for number in range(1, 11)]
    model.balance_classes("digits", weights)
    create_trainer(cfg, default_root_dir=tmp_path).fit(model, datamodule=digits("label"))
    logits, target = drawn(5, 10), torch.tensor([0, 3, 9, 9, 1])
    expected = functional.cross_entropy(logits, target, weight=torch.tensor(weights))
    assert model.loss_of("digits")(logits, target).item() == pytest.approx(expected.item())
    assert model.class_weights == {"digits": weights}
