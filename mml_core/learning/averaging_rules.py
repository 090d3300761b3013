"""What the config says about averages of weights, and what it cannot be combined with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mml_core.learning.options import OptionError, is_number, is_whole, require_known, section

NO_AVERAGE = "callbacks.ema.decay=null or callbacks.swa.start=null"


@dataclass(frozen=True, kw_only=True)
class EmaRule:
    """An exponential moving average of the weights (Polyak and Juditsky, 1992): the node ``callbacks.ema``.

    Attributes:
        decay: Share of the average that a step of the optimiser leaves.
        warmup: Whether the share rises from 0.1 at the first step, as (1 + n) / (10 + n), up to ``decay``.
        start_epoch: The epoch that it begins with, from 0.
        validate: Whether validations look at the average, not at the weights that are trained.
    """

    decay: float
    warmup: bool = True
    start_epoch: int = 0
    validate: bool = True

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> EmaRule | None:
        """Read the node; None where it is missing or has no decay.

        Raises:
            OptionError: An option is unknown or impossible.
        """
        given = dict(options or {})
        require_known("callbacks.ema", given, [field.name for field in fields(cls)])
        if given.get("decay") is None:
            return None
        rule = cls(**given)
        _require_share("callbacks.ema.decay", rule.decay)
        for name in ("warmup", "validate"):
            if not isinstance(getattr(rule, name), bool):
                raise OptionError(f"callbacks.ema.{name} is {getattr(rule, name)!r}; write true or false.")
        epoch = rule.start_epoch
        if not is_whole(epoch, least=0):
            raise OptionError(f"callbacks.ema.start_epoch is {epoch!r}; write a number of an epoch, from 0.")
        return rule

    def decay_after(self, updates: int) -> float:
        """Return the decay of the next update."""
        return min(self.decay, (1 + updates) / (10 + updates)) if self.warmup else self.decay


@dataclass(frozen=True, kw_only=True)
class SwaRule:
    """Stochastic weight averaging (Izmailov et al., 2018): the node ``callbacks.swa``.

    Attributes:
        start: After what share of the epochs the mean over the ends of epochs begins.
        lr: The learning rate from then on; None: the one that the schedule has reached.
        anneal_epochs: Epochs in which the rate gets there.
        anneal: How: ``cos`` or ``linear``.
    """

    start: float
    lr: float | None = None
    anneal_epochs: int = 1
    anneal: str = "cos"

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> SwaRule | None:
        """Read the node; None where it is missing or has no start.

        Raises:
            OptionError: An option is unknown or impossible.
        """
        given = dict(options or {})
        require_known("callbacks.swa", given, [field.name for field in fields(cls)])
        if given.get("start") is None:
            return None
        rule = cls(**given)
        _require_share("callbacks.swa.start", rule.start)
        if rule.lr is not None and not (is_number(rule.lr) and rule.lr > 0):
            raise OptionError(f"callbacks.swa.lr is {rule.lr!r}; write a learning rate, or null.")
        epochs = rule.anneal_epochs
        if not is_whole(epochs, least=0):
            raise OptionError(f"callbacks.swa.anneal_epochs is {epochs!r}; write a number of epochs, from 0.")
        if rule.anneal not in ("cos", "linear"):
            raise OptionError(f"callbacks.swa.anneal is {rule.anneal!r}; write cos or linear.")
        return rule

    def start_epoch(self, epochs: int) -> int:
        """Return the first epoch whose end counts, of a fit of so many."""
        return int(self.start * epochs)


def check_averaging(cfg: Any) -> None:
    """Refuse averages of weights that cannot be, or that contradict what else the config asks for.

    Raises:
        OptionError: They cannot; it says what to change.
    """
    callbacks, trainer, mode = (section(cfg, group) for group in ("callbacks", "trainer", "mode"))
    ema, swa = EmaRule.from_config(callbacks.get("ema")), SwaRule.from_config(callbacks.get("swa"))
    epochs = trainer.get("max_epochs")
    best = mode.get("weights") == "best"
    if ema is not None and swa is not None:
        raise OptionError(
            f"Weights are averaged in one way only, found callbacks.ema and callbacks.swa; set {NO_AVERAGE}."
        )
    if ema is not None:
        if isinstance(epochs, int) and 0 <= epochs <= ema.start_epoch:
            raise OptionError(
                f"callbacks.ema.start_epoch={ema.start_epoch} is never reached with"
                f" trainer.max_epochs={epochs}; start earlier, or train longer."
            )
        if best and not ema.validate:
            raise OptionError(
                "mode.weights=best keeps the weights that were validated, which are not the average with"
                " callbacks.ema.validate=false; set callbacks.ema.validate=true, or mode.weights=last."
            )
    if swa is not None:
        _check_swa(section(cfg, "lr_scheduler"), callbacks, trainer, best=best)


def _check_swa(
    schedule: Mapping[str, Any], callbacks: Mapping[str, Any], trainer: Mapping[str, Any], *, best: bool
) -> None:
    name = schedule.get("name") or "none"
    if name in ("onecycle", "plateau"):
        raise OptionError(
            f"callbacks.swa takes over the learning rate of the last epochs, which lr_scheduler={name} plans"
            " or watches itself; choose lr_scheduler=cosine, polynomial, step, constant or none."
        )
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps")
    if not isinstance(epochs, int) or epochs < 1 or steps not in (None, -1):
        raise OptionError(
            "callbacks.swa begins after a share of the epochs, so their number has to be known; set"
            f" trainer.max_epochs and trainer.max_steps=-1, found {epochs} and {steps}."
        )
    if best:
        raise OptionError(
            "callbacks.swa gives the mean of several weights and mode.weights=best those of one epoch; set"
            " mode.weights=last, or callbacks.swa.start=null."
        )
    if (callbacks.get("early_stopping") or {}).get("patience") is not None:
        raise OptionError(
            "callbacks.early_stopping may end the training before callbacks.swa has averaged anything; set"
            " callbacks.early_stopping.patience=null, or callbacks.swa.start=null."
        )


def _require_share(name: str, value: Any) -> None:
    if not is_number(value) or not 0 < value < 1:
        raise OptionError(f"{name} is {value!r}; write a number above 0 and below 1, or null.")
