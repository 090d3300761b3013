"""What looks at the validation fold to decide about a training: monitors, and early stopping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from mml_core.errors import near_matches
from mml_core.learning.options import OptionError, is_number, is_whole, require_known
from mml_core.learning.outputs import TaskOutput

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import EarlyStopping

VALIDATION = "val/"
LOSS = "loss"
DIRECTIONS = ("auto", "min", "max")


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A value that a training logs, and which way is better.

    Attributes:
        name: ``val/loss``, ``val/accuracy``, ``train/loss``; with several tasks ``val/<task>/accuracy``, too.
        direction: ``min`` or ``max``.
    """

    name: str = VALIDATION + LOSS
    direction: Literal["min", "max"] = "min"

    @classmethod
    def of(cls, group: str, name: Any, direction: Any) -> Monitor:
        """Read a monitor of the config.

        Args:
            group: Where it stands, for messages.
            name: What is logged.
            direction: ``min``, ``max``, or ``auto``: by the name of the metric.

        Raises:
            OptionError: It has no name, or its direction is none, or cannot be told from its name.
        """
        from mml_core.learning.metrics import BY_TYPE, LESS_IS_BETTER

        if not isinstance(name, str) or not name:
            raise OptionError(f"{group}.monitor must be a logged value such as val/loss, found {name!r}.")
        if direction not in DIRECTIONS:
            raise OptionError(f"{group}.direction must be {', '.join(DIRECTIONS)}, found {direction!r}.")
        metric = name.rpartition("/")[2]
        if direction == "auto":
            known = {LOSS, *(each for metrics in BY_TYPE.values() for each in metrics)}
            if metric not in known:
                raise OptionError(
                    f"{group}.monitor is '{name}', of which mml does not know whether less is better; set"
                    f" {group}.direction=min or max.{near_matches(metric, known)}"
                )
            direction = "min" if metric == LOSS or metric in LESS_IS_BETTER else "max"
        return cls(name=name, direction=direction)

    @property
    def sees_validation(self) -> bool:
        """Whether it is a value of the validation fold."""
        return self.name.startswith(VALIDATION)

    def improves(self, value: float, best: float | None) -> bool:
        """Tell whether ``value`` is better than the best so far; NaN never is, and of equals the first."""
        if value != value or best is None:
            return value == value
        return value < best if self.direction == "min" else value > best


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """The node ``callbacks.early_stopping`` of the config.

    Attributes:
        patience: Validations without improvement that are waited for.
        monitor: What has to improve.
        direction: ``auto``, ``min`` or ``max``.
        min_delta: What counts as an improvement.
        check_finite: Whether a value that is not finite stops the training, too.
    """

    patience: int
    monitor: str = VALIDATION + LOSS
    direction: str = "auto"
    min_delta: float = 0.0
    check_finite: bool = True

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> EarlyStop | None:
        """Read the node; None where it is missing or has no patience.

        Raises:
            OptionError: An option is unknown or impossible.
        """
        given = dict(options or {})
        require_known("callbacks.early_stopping", given, [field.name for field in fields(cls)])
        patience = given.get("patience")
        if patience is None:
            return None
        if not is_whole(patience, least=1):
            raise OptionError(
                f"callbacks.early_stopping.patience is {patience!r}; a whole number from 1 is needed, or null"
                " for no early stopping."
            )
        delta = given.get("min_delta", 0.0)
        if not is_number(delta) or not 0 <= delta < float("inf"):
            raise OptionError(f"callbacks.early_stopping.min_delta is {delta!r}; a number from 0 is needed.")
        return cls(**given)

    def callback(self) -> EarlyStopping:
        """Make the callback; it looks after every validation, and its state is in the checkpoints."""
        from lightning.pytorch.callbacks import EarlyStopping

        monitor = Monitor.of("callbacks.early_stopping", self.monitor, self.direction)
        return EarlyStopping(
            monitor.name,
            mode=monitor.direction,
            patience=self.patience,
            min_delta=self.min_delta,
            check_finite=self.check_finite,
            check_on_train_epoch_end=False,
        )


def logged_names(outputs: Iterable[TaskOutput], metrics: Mapping[str, Any]) -> list[str]:
    """Return the names under which a training logs losses and metrics.

    Args:
        outputs: The heads of the model.
        metrics: The config group ``metrics``.
    """
    from mml_core.learning.metrics import metric_names

    heads = list(outputs)
    names = ["train/loss", VALIDATION + LOSS]
    for head in heads:
        metrics_of_head = metric_names(dict(metrics), head.task_type)
        if len(heads) == 1:
            return names + [VALIDATION + metric for metric in metrics_of_head]
        names += [f"train/{head.task}/{LOSS}"]
        names += [f"{VALIDATION}{head.task}/{metric}" for metric in (LOSS, *metrics_of_head)]
    return names


def require_logged(group: str, monitor: Monitor, names: Iterable[str]) -> None:
    """Refuse a monitor that the training does not log.

    Raises:
        OptionError: Names what is logged, or near matches.
    """
    known = list(names)
    if monitor.name not in known:
        hint = near_matches(monitor.name, known) or f" There are {', '.join(known)}."
        raise OptionError(f"{group}.monitor is '{monitor.name}', which this training does not log.{hint}")
