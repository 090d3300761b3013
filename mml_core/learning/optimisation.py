"""Optimisers and learning-rate schedules by name, from the groups ``optimizer`` and ``lr_scheduler``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler as schedules

from mml_core.learning import rate_factors
from mml_core.learning.averaging_rules import SwaRule
from mml_core.learning.options import OptionError, choose, require_arguments
from mml_core.learning.parameter_groups import GroupRule
from mml_core.learning.rate_factors import Factor
from mml_core.learning.selection import Monitor

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "asgd": torch.optim.ASGD,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
INTERVALS = ("step", "epoch")


def build_optimizer(
    parameters: Iterable[nn.Parameter] | list[dict[str, Any]], config: dict[str, Any]
) -> torch.optim.Optimizer:
    """Make the optimiser.

    Args:
        parameters: What it updates, or groups of it (see ``trained_parameters``).
        config: ``{name, lr, …}``; whatever follows, but ``layer_decay`` and ``decay_norms_and_biases``, is an
            argument of the optimiser of ``torch.optim``.

    Raises:
        OptionError: If the name or an argument is unknown or refused.
    """
    options = dict(config)
    factory: type[torch.optim.Optimizer] = choose("optimizer", options.pop("name", None), OPTIMIZERS)
    GroupRule.pop_from(options)
    require_arguments("optimizer", factory, options, managed=("params",))
    if isinstance(options.get("betas"), list):
        options["betas"] = tuple(options["betas"])
    try:
        return factory(parameters, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError(f"optimizer: {' '.join(str(error).split())}") from error


def validate_schedule(config: dict[str, Any]) -> None:
    """Check the group ``lr_scheduler`` without building anything.

    Raises:
        OptionError: If the name, the interval or an argument is unknown.
    """
    options = dict(config)
    name = options.pop("name", None) or "none"
    make = choose("lr_scheduler", name, {**FACTORS, **OTHERS})
    interval = options.pop("interval", "step")
    if interval not in INTERVALS:
        raise OptionError(f"lr_scheduler.interval must be 'step' or 'epoch', found '{interval}'.")
    require_arguments("lr_scheduler", make, options, managed=("optimizer", "length"))
    if name == "onecycle" and interval != "step":
        raise OptionError("lr_scheduler=onecycle follows every step; set lr_scheduler.interval=step.")
    if name == PLATEAU:
        plateau_monitor(config)
        if config.get("interval") != "epoch":
            raise OptionError("lr_scheduler=plateau follows validations; set lr_scheduler.interval=epoch.")


def plateau_monitor(config: dict[str, Any]) -> Monitor | None:
    """Return what a schedule of the group ``lr_scheduler`` watches; None for one that watches nothing.

    Raises:
        OptionError: It is no monitor.
    """
    if config.get("name") != PLATEAU:
        return None
    return Monitor.of("lr_scheduler", config.get("monitor", "val/loss"), config.get("direction", "auto"))


def build_schedule(
    optimizer: torch.optim.Optimizer,
    config: dict[str, Any],
    *,
    total_steps: int,
    total_epochs: int,
    validated_every: int = 1,
    swa: SwaRule | None = None,
) -> dict[str, Any] | None:
    """Make the learning-rate schedule in the form Lightning wants, or None.

    Args:
        optimizer: Whose learning rate it moves.
        config: ``{name, interval, …}``.
        total_steps: Optimiser steps of the whole fit.
        total_epochs: Epochs of the whole fit.
        validated_every: Epochs from one validation to the next, which a plateau is looked for in.
        swa: What sets the learning rate of the last epochs; None: nothing but the schedule does.
    """
    validate_schedule(config)
    options = dict(config)
    name = options.pop("name", None) or "none"
    if name == "none" and swa is None:
        return None
    interval = options.pop("interval", "step")
    length = max(1, total_steps if interval == "step" else total_epochs)
    try:
        if swa is not None:
            factor = choose("lr_scheduler for callbacks.swa:", name, FACTORS)(length, **options)
            schedule = _averaged(optimizer, factor, swa, per_epoch=length / total_epochs, epochs=total_epochs)
        elif name in FACTORS:
            schedule = schedules.LambdaLR(optimizer, FACTORS[name](length, **options))
        else:
            schedule = OTHERS[name](optimizer, length, **options)
    except (TypeError, ValueError) as error:
        raise OptionError(f"lr_scheduler: {' '.join(str(error).split())}") from error
    made = {"scheduler": schedule, "interval": interval, "frequency": 1, "name": "lr"}
    monitor = plateau_monitor(config)
    return made if monitor is None else {**made, "monitor": monitor.name, "frequency": validated_every}


def _averaged(
    optimizer: torch.optim.Optimizer,
    base: Factor,
    rule: SwaRule,
    *,
    per_epoch: float,
    epochs: int,
) -> schedules.LRScheduler:
    """Follow a schedule up to where averaging begins, then anneal to the rate of that, as torch's SWALR does.

    Args:
        optimizer: Whose learning rate it moves.
        base: Factor of the schedule at each of its steps.
        rule: When averaging begins, and its rate.
        per_epoch: Steps of the schedule in an epoch.
        epochs: Epochs of the fit.
    """
    begin, anneal = round(rule.start_epoch(epochs) * per_epoch), rule.anneal_epochs * per_epoch
    reached = base(begin)
    wanted = reached if rule.lr is None else rule.lr / float(optimizer.defaults["lr"])

    def factor(step: int) -> float:
        if step < begin:
            return base(step)
        share = min(1.0, (step - begin) / anneal) if anneal else 1.0
        moved = share if rule.anneal == "linear" else 0.5 * (1 - math.cos(math.pi * share))
        return reached + (wanted - reached) * moved

    return schedules.LambdaLR(optimizer, factor)


def _onecycle(
    optimizer: torch.optim.Optimizer,
    length: int,
    *,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    cycle_momentum: bool = True,
) -> schedules.LRScheduler:
    peaks = [float(group["lr"]) for group in optimizer.param_groups]
    anneal: Any = anneal_strategy
    return schedules.OneCycleLR(
        optimizer,
        max_lr=peaks,
        total_steps=max(2, length),
        pct_start=pct_start,
        anneal_strategy=anneal,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=cycle_momentum and any(key in optimizer.defaults for key in ("betas", "momentum")),
    )


def _plateau(
    optimizer: torch.optim.Optimizer,
    length: int,
    *,
    monitor: str = "val/loss",
    direction: str = "auto",
    factor: float = 0.1,
    patience: int = 5,
    threshold: float = 1e-4,
    cooldown: int = 0,
    min_lr: float = 0.0,
) -> schedules.LRScheduler:
    if patience < 0 or cooldown < 0:
        raise ValueError(f"patience and cooldown are numbers of validations, found {patience} and {cooldown}")
    return schedules.ReduceLROnPlateau(
        optimizer,
        mode=Monitor.of("lr_scheduler", monitor, direction).direction,
        factor=factor,
        patience=patience,
        threshold=threshold,
        cooldown=cooldown,
        min_lr=min_lr,
    )


PLATEAU = "plateau"
FACTORS: dict[str, Callable[..., Factor]] = {
    "none": rate_factors.none,
    "constant": rate_factors.constant,
    "cosine": rate_factors.cosine,
    "polynomial": rate_factors.polynomial,
    "step": rate_factors.step,
}
"""Schedules that are a factor of each step, so that averaging can take over from them."""
OTHERS: dict[str, Callable[..., schedules.LRScheduler]] = {"onecycle": _onecycle, PLATEAU: _plateau}
