"""Progress of a fit: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

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
    """One rich progress bar per fit, prediction or test, in batches, with the last metrics beside it.

    Args:
        label: What is being trained.
        stream: A terminal.
    """

    def __init__(self, label: str, stream: TextIO) -> None:
        self.label = label
        self.stream = stream
        self._progress: Any = None
        self._bar: Any = None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = trainer.estimated_stepping_batches * max(1, trainer.accumulate_grad_batches)
        self._open(None if steps == float("inf") else int(steps))

    @override
    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self._progress.advance(self._bar)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        text = f"{describe_position(trainer)}{describe_metrics(trainer.callback_metrics)}"
        self._progress.update(self._bar, metrics=text)

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
        self._progress.advance(self._bar)

    @override
    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _open(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._close()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=Console(file=self.stream),
        )
        self._bar = self._progress.add_task(self.label, total=total, metrics="")
        self._progress.start()

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def describe_position(trainer: Trainer) -> str:
    """Return how far a fit is, by epochs or by steps."""
    done = trainer.current_epoch if trainer.state.finished else trainer.current_epoch + 1
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        return f"epoch {min(done, trainer.max_epochs)}/{trainer.max_epochs}"
    return f"step {trainer.global_step}/{trainer.max_steps}"


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """Return the metrics of a fit in one short line, losses first."""
    names = sorted(metrics, key=lambda name: (not name.endswith("loss"), name))
    return "".join(f", {name} {float(metrics[name]):.4g}" for name in names)
