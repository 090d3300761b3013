"""A trainer whose fits go on where an earlier attempt was killed, and stop where nothing is lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from typing_extensions import override

from mml_core.learning.averaging import AveragedWeights
from mml_core.learning.checkpoints import FitCheckpoints
from mml_core.learning.fit_loops import install
from mml_core.learning.saving import CheckpointRule, Interruptions, Saving

log = logging.getLogger(__name__)


class StepFits:
    """The fits of one step, each with checkpoints of its own; what they are called by is their order.

    Args:
        folder: Where this attempt at the step keeps its checkpoints.
        earlier: Where earlier attempts did, newest first.
        interruptions: What asks the step to stop.
    """

    def __init__(
        self, folder: Path, earlier: Sequence[Path] = (), interruptions: Interruptions | None = None
    ) -> None:
        self.interruptions = interruptions
        self._folder = folder
        self._earlier = tuple(earlier)
        self._begun = 0

    def begin(self, keep: int) -> FitCheckpoints:
        """Return the checkpoints of the next fit."""
        name = f"fit-{self._begun}"
        self._begun += 1
        return FitCheckpoints(self._folder / name, [folder / name for folder in self._earlier], keep)


class StepTrainer(Trainer):
    """A Lightning trainer of which a fit, killed anywhere, goes on in a later attempt as if nothing had been.

    Signals are the affair of the process: it sets no handlers.

    Args:
        fits: The fits of the step.
        rule: When checkpoints are written; None: never, and nothing is resumed.
        label: What is trained, for the log.
        **arguments: Those of Lightning's trainer.

    Attributes:
        fit_seconds: How long the last fit took, those of its parts included that earlier attempts did.
    """

    def __init__(
        self, *, fits: StepFits, rule: CheckpointRule | None = None, label: str = "fit", **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self._signal_connector = _NoSignals(self)
        self._fits = fits
        self._rule = rule
        self._label = label
        self._loop = install(self) if rule is not None else None
        self.fit_seconds = 0.0

    @override
    def fit(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: Any = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train, from the newest whole checkpoint of an earlier attempt at the step where there is one.

        A request to stop waits for the end of the running batch and of the validation after it; a checkpoint
        is written then.

        Args:
            model: What is trained.
            train_dataloaders: Loaders. With ``state_dict`` and ``load_state_dict``, which mml's own have, the
                fit can go on within an epoch, else from the end of one.
            val_dataloaders: Loaders.
            datamodule: What makes the loaders otherwise.
            ckpt_path: A checkpoint to begin with where no earlier attempt left one.
            weights_only: Of no account: nothing but tensors and plain values is ever read.
        """
        arguments: dict[str, Any] = {
            "train_dataloaders": train_dataloaders,
            "val_dataloaders": val_dataloaders,
            "datamodule": datamodule,
            "ckpt_path": ckpt_path,
        }
        began = time.monotonic()
        if self._rule is None or self._loop is None:
            super().fit(model, **arguments)
            self._validate_average(model, val_dataloaders, datamodule)
            self.fit_seconds = time.monotonic() - began
            return
        checkpoints = self._fits.begin(self._rule.keep)
        found = checkpoints.newest_whole()
        if found is not None:
            log.info("%s: goes on from the checkpoint %s", self._label, found)
            arguments["ckpt_path"] = found
        self._loop.saving = Saving(checkpoints, self._rule, self._fits.interruptions)
        with self._stopping_between_batches():
            super().fit(model, **arguments)
        self._validate_average(model, val_dataloaders, datamodule)
        self.fit_seconds = self._loop.saving.seconds

    def _validate_average(
        self, model: LightningModule, loaders: Any, datamodule: LightningDataModule | None
    ) -> None:
        """Validate an average of weights that the module has since the fit has ended."""
        made: list[Callback] = self.callbacks  # type: ignore[attr-defined]  # Lightning sets it elsewhere
        unseen = any(isinstance(each, AveragedWeights) and each.unseen for each in made)
        if unseen and any(self.num_val_batches):
            super().validate(model, loaders, datamodule=datamodule, verbose=False)

    @contextmanager
    def _stopping_between_batches(self) -> Iterator[None]:
        interruptions = self._fits.interruptions
        if interruptions is None:
            yield
            return
        with interruptions.polled():
            try:
                yield
            except Exception:
                interruptions.check()  # the signal may have gone to the processes of the loaders, too
                raise


class _NoSignals(_SignalConnector):
    """Leaves the handlers of the process in place: Lightning's would print, and end a fit in its own way."""

    @override
    def register_signal_handlers(self) -> None:
        self.received_sigterm = False
