"""Schedules of the learning rate follow the formulas they are named after."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as torch_schedules

from mml_core.learning.optimisation import build_schedule
from mml_core.learning.options import OptionError

RATE = 0.5


def optimizer_of() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)


def rates_of(schedule: Any, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates


def rates(steps: int, **config: Any) -> list[float]:
    """The learning rate at each step of a fit of so many."""
    optimizer = optimizer_of()
    made = build_schedule(optimizer, config, total_steps=steps, total_epochs=4)
    assert made is not None
    return rates_of(made["scheduler"], optimizer, steps)


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
def test_polynomial_is_that_of_torch(power: float) -> None:
    optimizer = optimizer_of()
    reference = torch_schedules.PolynomialLR(optimizer, total_iters=20, power=power)
    expected = rates_of(reference, optimizer, 20)
    assert rates(20, name="polynomial", power=power) == pytest.approx(expected, abs=1e-12)


def test_polynomial_ends_at_the_share_that_is_to_be_left() -> None:
    assert rates(1001, name="polynomial", power=0.9, min_factor=0.2)[-1] == pytest.approx(
        0.2 * RATE, abs=1e-3
    )


def test_constant_rises_and_stays() -> None:
    found = rates(20, name="constant", warmup=0.2)
    assert found == pytest.approx([RATE * share for share in (0.2, 0.4, 0.6, 0.8)] + [RATE] * 16)


@pytest.mark.parametrize("name", ["cosine", "polynomial", "constant"])
def test_warming_up_delays_what_follows(name: str) -> None:
    warm, cold = rates(40, name=name, warmup=0.5), rates(20, name=name, warmup=0.0)
    assert warm[20:] == pytest.approx(cold)
    assert warm[:20] == pytest.approx([RATE * (step + 1) / 21 for step in range(20)])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "polynomial", "power": 0}, "power must be above 0"),
        ({"name": "polynomial", "powr": 1}, "Did you mean 'power'"),
        ({"name": "constant", "warmup": 1.0}, "warmup is a share of the fit"),
        ({"name": "constant", "warmup": "short"}, "warmup"),
    ],
)
def test_impossible_options_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_schedule(optimizer_of(), config, total_steps=10, total_epochs=1)
