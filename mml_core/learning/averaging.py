"""Averages of the weights of a fit, which are what is validated and stored; resumed bit for bit.

Unlike Lightning's callbacks these copy no whole module, leave weights that are not trained exactly as they
are and batch statistics of frozen layers alone, and keep all they know in the checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from lightning.fabric.utilities.data import _set_sampler_epoch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer import call
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from typing_extensions import override

from mml_core.learning.averaging_rules import EmaRule, SwaRule
from mml_core.learning.module import MMLModule, ModelError


def make_averaging(callbacks: Mapping[str, Any]) -> AveragedWeights | None:
    """Make the callback that the config group ``callbacks`` asks for; None where it asks for none.

    Raises:
        OptionError: An option is unknown or impossible.
    """
    ema, swa = EmaRule.from_config(callbacks.get("ema")), SwaRule.from_config(callbacks.get("swa"))
    if ema is not None:
        return MovingAverage(ema)
    return None if swa is None else EpochMean(swa)


class AveragedWeights(Callback):
    """Holds an average of the weights, and gives it to the module when the fit ends.

    Attributes:
        validates: Whether validations within the fit look at the average.
    """

    validates = False

    def __init__(self) -> None:
        self._average: dict[str, Tensor] = {}
        self._updates = 0
        self._live: dict[str, Tensor] = {}

    def averaged(self, module: LightningModule) -> Iterator[tuple[str, Tensor]]:
        """Yield what is averaged, the tensors of the module themselves."""
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                yield name, parameter.data

    @property
    def unseen(self) -> bool:
        """Whether there is an average that no validation of the fit has looked at."""
        return bool(self._average) and not self.validates

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take what a checkpoint held to the device of the module."""
        self._average = {name: tensor.to(pl_module.device) for name, tensor in self._average.items()}

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in place of the weights, where it is to be validated."""
        if self.validates and self._average and trainer.state.fn == TrainerFn.FITTING:
            self._live = {name: tensor.clone() for name, tensor in self.averaged(pl_module)}
            self._give(self._average, pl_module)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights back."""
        if self._live:
            self._give(self._live, pl_module)
            self._live = {}

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the module with the average, if there is one."""
        if self._average:
            self._give(self._average, pl_module)

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return the average so far, for a checkpoint."""
        return {"average": self._average, "updates": self._updates}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the average of a checkpoint."""
        self._average, self._updates = dict(state_dict["average"]), int(state_dict["updates"])

    def update(self, module: LightningModule, weight: float) -> None:
        """Move the average towards the weights of now: by all of the way at first, then by ``weight``.

        A weight that does not change stays what it is, to the last bit; the average has float32 at least.
        """
        for name, tensor in self.averaged(module):
            now = tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32), copy=True)
            if self._updates:
                self._average[name].lerp_(now, weight)
            else:
                self._average[name] = now
        self._updates += 1

    def _give(self, tensors: Mapping[str, Tensor], module: LightningModule) -> None:
        with torch.no_grad():
            for name, tensor in self.averaged(module):
                tensor.copy_(tensors[name])


class MovingAverage(AveragedWeights):
    """An exponential moving average over the steps of the optimiser, batch statistics included.

    Args:
        rule: When and how.
    """

    def __init__(self, rule: EmaRule) -> None:
        super().__init__()
        self.rule = rule
        self.validates = rule.validate
        self._steps = 0

    @override
    def averaged(self, module: LightningModule) -> Iterator[tuple[str, Tensor]]:
        """Yield trained parameters, and what of the module's state is no parameter but a number."""
        yield from super().averaged(module)
        kept = module.state_dict(keep_vars=True)
        for name, buffer in module.named_buffers():
            if name in kept and buffer.is_floating_point():
                yield name, buffer

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after each step of the optimiser, gathered gradients counting once."""
        if trainer.global_step > self._steps:
            self._steps = trainer.global_step
            if trainer.current_epoch >= self.rule.start_epoch:
                self.update(pl_module, 1 - self.rule.decay_after(self._updates))

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return the average so far, for a checkpoint."""
        return {**super().state_dict(), "steps": self._steps}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the average of a checkpoint."""
        super().load_state_dict(state_dict)
        self._steps = int(state_dict["steps"])


class EpochMean(AveragedWeights):
    """The mean of the weights at the ends of the last epochs, with batch statistics of its own.

    Validations within the fit look at the weights that are trained: before its batch statistics are known,
    the mean cannot be validated.

    Args:
        rule: When.
    """

    def __init__(self, rule: SwaRule) -> None:
        super().__init__()
        self.rule = rule

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Update the mean."""
        if trainer.current_epoch >= self.rule.start_epoch(int(trainer.max_epochs or 1)):
            self.update(pl_module, 1 / (self._updates + 1))

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the module with the mean, and with the batch statistics it has on the training batches."""
        super().on_train_end(trainer, pl_module)
        if self._average:
            collect_batch_statistics(trainer, pl_module)


def collect_batch_statistics(trainer: Trainer, module: LightningModule) -> None:
    """Compute the statistics of batch normalisations anew, as the mean over one epoch of training batches.

    It is what ``torch.optim.swa_utils.update_bn`` does, but for normalisations that are kept in eval mode.

    Args:
        trainer: At the end of a fit; gives the batches, in the order of the epoch after the last.
        module: Its normalisations are changed.

    Raises:
        ModelError: It is no model of mml.
    """
    if not isinstance(module, MMLModule):
        raise ModelError(
            f"callbacks.swa cannot show batches to a {type(module).__name__}, only to the models of mml; set"
            " callbacks.swa.start=null."
        )
    mode = module.training
    module.train()
    norms = [
        part
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training and part.track_running_stats
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    if norms:
        with torch.no_grad():
            for batch in _training_batches(trainer, module):
                with trainer.precision_plugin.forward_context():
                    module.show(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.train(mode)


def _training_batches(trainer: Trainer, module: LightningModule) -> Iterator[Any]:
    loaders = trainer.fit_loop._combined_loader
    assert loaders is not None
    for loader in loaders.flattened:
        _set_sampler_epoch(loader, int(trainer.max_epochs or 1))
    for batch, _, _ in islice(iter(loaders), int(trainer.num_training_batches)):
        batch = trainer.precision_plugin.convert_input(batch)
        batch = module._on_before_batch_transfer(batch, dataloader_idx=0)
        yield call._call_strategy_hook(trainer, "batch_to_device", batch, dataloader_idx=0)
