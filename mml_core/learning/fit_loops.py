"""Lightning's training loops, with the end of every batch as a place to save, and to go on from."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from lightning.fabric.utilities.data import _set_sampler_epoch
from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from typing_extensions import override

from mml_core.learning import fit_state
from mml_core.learning.saving import Saving

_STATE = "mml_fit"


def install(trainer: Trainer) -> EpochLoop:
    """Give a new trainer loops that it can go on from after any batch; return the inner one."""
    given = trainer.fit_loop
    trainer.fit_loop = FitLoop(trainer, given.min_epochs, given.max_epochs)
    trainer.fit_loop.epoch_loop = loop = EpochLoop(trainer, given.min_steps, given.max_steps)
    return loop


class EpochLoop(_TrainingEpochLoop):
    """The batches of an epoch.

    A checkpoint is written when a batch and the validation that follows it are over: nothing is under way
    then. Lightning would write it in the midst of both, and on resuming guess which part was done.

    Attributes:
        saving: Writes the checkpoints; None: nobody does.
        resumed: The state that the fit goes on with, until its epoch has begun again.
    """

    saving: Saving | None = None
    resumed: dict[str, Any] | None = None
    _between_batches = False

    @override
    def on_save_checkpoint(self) -> dict[str, Any]:
        """Add what goes on from between two batches; a checkpoint from elsewhere is Lightning's own."""
        state: dict[str, Any] = super().on_save_checkpoint()
        if self._between_batches and self.saving is not None:
            state[_STATE] = {**fit_state.capture(self.trainer), "seconds": self.saving.seconds}
        return state

    @override
    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self.resumed = state_dict.get(_STATE)
        if self.resumed is not None and self.saving is not None:
            self.saving.earlier_seconds = self.resumed["seconds"]

    @override
    def reset(self) -> None:
        if self.resumed is None:  # else all counters are what they were between two batches
            super().reset()

    @override
    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        state, self.resumed = self.resumed, None
        if state is not None:
            fit_state.restore_loaders(self.trainer, state)
            iter(data_fetcher)
        super().on_run_start(data_fetcher)
        if state is not None:
            fit_state.restore(self.trainer, state)
            self.restarting = False
            self.trainer.fit_loop._restarting = False  # its setter would look at the counters

    @override
    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        super().on_advance_end(data_fetcher)
        if self.saving is None:
            return
        batches, epoch_ends = self.batch_progress.total.completed, self.done
        if self.saving.wanted(batches, epoch_ends=epoch_ends) and (
            epoch_ends or self._in_order(data_fetcher)
        ):
            self._between_batches = True
            try:
                self.saving.write(batches, partial(self.trainer.save_checkpoint, weights_only=False))
            finally:
                self._between_batches = False
        self.saving.stop_if_asked()

    def _in_order(self, data_fetcher: _DataFetcher) -> bool:
        """Whether the batches that follow in this epoch can be asked for again."""
        ahead = isinstance(data_fetcher, _DataLoaderIterDataFetcher) or data_fetcher.length is None
        return not ahead and fit_state.loaders_store_their_place(self.trainer)


class FitLoop(_FitLoop):
    """The epochs of a fit."""

    epoch_loop: _TrainingEpochLoop

    @property
    def _resumes(self) -> bool:
        return isinstance(self.epoch_loop, EpochLoop) and self.epoch_loop.resumed is not None

    @property
    @override
    def done(self) -> bool:
        """Whether nothing is left; an epoch that is gone on with has yet to end."""
        return not self._resumes and super().done

    @override
    def reset(self) -> None:
        if self._resumes:
            torch.set_grad_enabled(True)
        else:
            super().reset()

    @override
    def on_advance_start(self) -> None:
        if not self._resumes:
            super().on_advance_start()
            return
        self.setup_data()
        assert self._combined_loader is not None
        for loader in self._combined_loader.flattened:
            _set_sampler_epoch(loader, self.trainer.current_epoch)
