"""Silencing exactly those messages of Lightning that tell a user of mml nothing."""

from __future__ import annotations

import logging
import warnings

# Each is either advertisement, or says what the config says already, or advises against a choice mml made.
LOG_LINES = (
    "GPU available:",
    "TPU available:",
    "HPU available:",
    "💡 Tip:",
    "`Trainer.fit` stopped:",
    "`Trainer(limit_",
    "`Trainer(val_check_interval",
    "`Trainer(overfit_batches",
    "LOCAL_RANK:",
    "Using bfloat16 Automatic Mixed Precision",
    "Using 16bit Automatic Mixed Precision",
    "You are using a CUDA device",  # and could have torch multiply less precisely
    "Restoring states from the checkpoint path at",
    "Restored all states from the checkpoint at",
    "Loading `train_dataloader` to estimate number of stepping batches.",
    "`weights_only` was not set",
    "Batch size ",
    "The batch size ",
    "Finished batch size finder",
    "Reached the maximum batch size limit",
)
WARNINGS = (
    r"The '\w+_dataloader' does not have many workers",
    r"The number of training batches \(\d+\) is smaller than the logging interval",
    r"Checkpoint directory .* exists and is not empty",
    r"Experiment logs directory .* exists and is not empty",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"Your `IterableDataset` has `__len__` defined",
    r"You are using `torch.load` with `weights_only=False`",
    r"Starting from v1.9.0, `tensorboardX` has been removed",
    r"You defined a `validation_step` but have no `val_dataloader`",
    r"Found \d+ module\(s\) in eval mode at the start of training",  # frozen parts
    r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`",
    r"GPU available but not used",
)
LOGGERS = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
    "lightning.pytorch.trainer.connectors.checkpoint_connector",
    "lightning.pytorch.tuner.batch_size_scaling",
    "lightning.pytorch.accelerators.cuda",
)


class _Unneeded(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().lstrip().startswith(LOG_LINES)


_FILTER = _Unneeded()


def silence_lightning() -> None:
    """Drop the listed messages; everything else passes, once. May be called any number of times."""
    if logging.root.handlers:
        _print_once()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)  # a filter is added once only
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=f".*{message}")


def _print_once() -> None:
    """Take away the handler by which Lightning prints what the root logger prints as well."""
    logger = logging.getLogger("lightning")
    for handler in [each for each in logger.handlers if type(each) is logging.StreamHandler]:
        logger.removeHandler(handler)
