"""Options of the trainer with which a fit would train nothing, or validate nothing that is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mml_core.learning.options import OptionError, is_number, is_whole, section
from mml_core.learning.tuning import Search


def check_fit(cfg: Any) -> None:
    """Refuse a fit that has no step, or is not what it is called.

    Raises:
        OptionError: It says what to set.
    """
    trainer = section(cfg, "trainer")
    for key in ("max_epochs", "max_steps", "limit_train_batches"):
        if _is_zero(trainer.get(key)):
            raise OptionError(f"trainer.{key} is {trainer[key]}, so that nothing would be trained; raise it.")
    gathered = trainer.get("accumulate_grad_batches", 1)
    if not is_whole(gathered, least=1):
        raise OptionError(f"trainer.accumulate_grad_batches is {gathered!r}; write a whole number from 1.")
    search, size = Search.from_config(cfg), section(cfg, "loader").get("batch_size")
    if search.batch_size and isinstance(size, int) and size > search.max_batch_size:
        raise OptionError(
            f"tune.batch_size begins with loader.batch_size={size}, which is above"
            f" tune.max_batch_size={search.max_batch_size}; lower the one, or raise the other."
        )
    _refuse_twice_balanced(cfg)


def require_validation(settings: Iterable[str], trainer: Mapping[str, Any]) -> None:
    """Refuse a training that never validates where something looks at its validations.

    Args:
        settings: What looks at values of the validation fold.
        trainer: The config group ``trainer``.

    Raises:
        OptionError: No validation would take place.
    """
    names = " and ".join(settings)
    if not names or trainer.get("fast_dev_run"):
        return
    if _is_zero(trainer.get("limit_val_batches")):
        raise OptionError(
            f"{names} waits for validations, and trainer.limit_val_batches=0 allows none; raise it, or set it"
            " to null."
        )
    every, epochs = trainer.get("check_val_every_n_epoch") or 1, trainer.get("max_epochs")
    if isinstance(epochs, int) and 0 < epochs < every:
        raise OptionError(
            f"{names} waits for validations, and the first would come after epoch {every}"
            f" (trainer.check_val_every_n_epoch) of {epochs} (trainer.max_epochs); validate more often."
        )


def _refuse_twice_balanced(cfg: Any) -> None:
    loss = section(cfg, "loss").get("classification") or {}
    if loss.get("class_weights") == "balanced" and section(cfg, "sampling").get("name") == "balanced":
        raise OptionError(
            "sampling=balanced and loss.classification.class_weights=balanced both make up for rare classes,"
            " which would then count for too much; set sampling=default, or class_weights=null."
        )


def _is_zero(value: Any) -> bool:
    return is_number(value) and value == 0
