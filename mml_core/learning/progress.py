"""Progress of a fit: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from mml_core.data.progress import Bar, open_bar
from mml_core.learning.history import TRAINING, VALIDATION
from mml_core.learning.options import choose

SECONDS_BETWEEN_LINES = 10.0


def make_progress(style: str, label: str, stream: TextIO | None = None) -> Callback | None:
    """Make the callback that shows progress.

    Args:
        style: ``auto`` (rich on a terminal, else plain), ``rich``, ``plain`` or ``none``.
        label: What is being trained, as shown.
        stream: Where to; standard error where None, so that results on standard output stay clean.
    """
    target = sys.stderr if stream is None else stream
    kind = choose(
        "callbacks.progress", style, {"auto": "auto", "rich": "rich", "plain": "plain", "none": "none"}
    )
    if kind == "auto":
        kind = "rich" if target.isatty() else "plain"
    if kind == "none":
        return None
    return RichBar(label, target) if kind == "rich" else PlainLines(label, target)


class PlainLines(Callback):
    """Prints a line when an epoch ends: at most one in a while, and always the last one of a fit.

    Args:
        label: What is being trained.
        stream: Where to.
        seconds: Least time between two lines.
    """

    def __init__(self, label: str, stream: TextIO, seconds: float = SECONDS_BETWEEN_LINES) -> None:
        self.label = label
        self.stream = stream
        self.seconds = seconds
        self._shown = 0.0
        self._began = 0.0

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = self._shown = time.monotonic()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if time.monotonic() - self._shown >= self.seconds:
            self._print(trainer)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def _print(self, trainer: Trainer) -> None:
        self._shown = time.monotonic()
        print(
            f"{self.label}: {describe_position(trainer)}, {self._shown - self._began:.1f} s"
            f"{describe_metrics(trainer.callback_metrics)}",
            file=self.stream,
            flush=True,
        )


class RichBar(Callback):
    """One bar per fit or prediction, in batches, with loss and leading metric beside it.

    Args:
        label: What is being trained.
        stream: A terminal.
    """

    def __init__(self, label: str, stream: TextIO) -> None:
        self.label = label
        self.stream = stream
        self._bar: Bar | None = None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = trainer.estimated_stepping_batches * max(1, trainer.accumulate_grad_batches)
        done = trainer.fit_loop.epoch_loop.batch_progress.total.completed  # of an earlier attempt
        self._open(None if steps == float("inf") else int(steps), done)

    @override
    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self._advance()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.tell(f"{describe_leading(trainer)}{describe_position(trainer)}")

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    @override
    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        counts = trainer.num_predict_batches
        total = sum(counts) if isinstance(counts, list) else counts
        self._open(None if total == float("inf") else int(total))

    @override
    def on_predict_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self._advance()

    @override
    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _open(self, total: int | None, done: int = 0) -> None:
        self._close()
        self._bar = open_bar(self.label, total, self.stream)
        self._advance(done)

    def _advance(self, batches: int = 1) -> None:
        if self._bar is not None:
            self._bar.advance(batches)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def describe_position(trainer: Trainer) -> str:
    """Return how far a fit is, by epochs or by steps."""
    done = trainer.current_epoch if trainer.state.finished else trainer.current_epoch + 1
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        return f"epoch {min(done, trainer.max_epochs)}/{trainer.max_epochs}"
    return f"step {trainer.global_step}/{trainer.max_steps}"


def describe_leading(trainer: Trainer) -> str:
    """Return the training loss and the leading metric of a fit, as short as can be."""
    loss, shown = f"{TRAINING}loss", trainer.progress_bar_metrics
    names = [name for name in shown if name == loss or not name.endswith("/loss")]
    names.sort(key=lambda name: name != loss)
    return "".join(f"{name.rpartition('/')[2]} {shown[name]:.3g}, " for name in names)


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """Return the losses and metrics of a fit in one short line, losses first."""
    names = [name for name in metrics if name.startswith((TRAINING, VALIDATION))]
    names.sort(key=lambda name: (not name.endswith("loss"), name))
    return "".join(f", {name} {float(metrics[name]):.4g}" for name in names)
