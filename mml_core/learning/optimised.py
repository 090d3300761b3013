"""How a module is trained, whatever it computes: its recipe, optimiser, schedule, and frozen parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn
from typing_extensions import Self, override

from mml_core.errors import MMLError
from mml_core.learning.adapters import AdapterRule, add_adapters
from mml_core.learning.averaging_rules import SwaRule
from mml_core.learning.freezing import freeze
from mml_core.learning.layers import Layer
from mml_core.learning.optimisation import build_optimizer, build_schedule
from mml_core.learning.parameter_groups import trained_parameters


class ModelError(MMLError):
    """A model cannot serve the tasks, or the batch, it was given."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained: the resolved config groups of that name.

    Attributes:
        optimizer: ``{name, lr, …}``.
        lr_scheduler: ``{name, interval, …}``.
        loss: Task type → ``{name, kwargs}``.
        metrics: Task type → names.
        swa: What averages the weights of the last epochs, and sets their learning rate; None: nothing does.
        adapter: What is trained in the place of the network's weights, from the first fit on; None: they are.
        task_weights: Task → factor of its loss; 1 for those that are not named.
    """

    optimizer: dict[str, Any]
    lr_scheduler: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    swa: SwaRule | None = None
    adapter: AdapterRule | None = None
    task_weights: dict[str, float] = field(default_factory=dict)


class OptimisedModule(LightningModule):
    """A network with heads, and what trains it.

    Args:
        network: The network.
        heads: What follows it.
        recipe: How to train; None for a model that only predicts.

    Attributes:
        started_from: What its first weights come from, JSON values; empty where they are random.
        initial_weights: What ``arch.weights`` gave the network, JSON values; empty where nothing.
        adapted: Names of the modules of the network that have an adapter.
    """

    def __init__(self, network: nn.Module, heads: nn.ModuleDict, recipe: Recipe | None) -> None:
        super().__init__()
        self.network = network
        self.heads = heads
        self.recipe = recipe
        self.schedule_for_fit = True  # a learning-rate search puts its own schedule in place
        self.started_from: dict[str, Any] = {}
        self.initial_weights: dict[str, Any] = {}
        self.adapted: tuple[str, ...] = ()
        self._in_eval: frozenset[str] = frozenset()

    @property
    def learning_rate(self) -> float:
        """The learning rate the recipe starts or peaks with."""
        return float(self._trained().optimizer["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._trained().optimizer["lr"] = float(value)

    def freeze_layers(self, layers: Iterable[Layer]) -> None:
        """Keep layers of the network as they are: weights, batch statistics, and no dropout.

        Raises:
            ModelError: Nothing would be left to train.
        """
        self.keep_in_eval(freeze(self.network, layers))
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise ModelError("All parameters of the model are frozen, so that nothing is left to train.")

    @property
    def kept_in_eval(self) -> frozenset[str]:
        """Names of the modules of the network that are in eval mode always."""
        return self._in_eval

    def keep_in_eval(self, modules: Iterable[str]) -> None:
        """Keep modules of the network, by name, in eval mode also while the others are trained."""
        self._in_eval |= frozenset(modules)
        self.train(self.training)

    @override
    def configure_model(self) -> None:
        """Put in the adapters of the recipe, once, before a fit: whatever weights the network has by then."""
        if self.recipe is not None and self.recipe.adapter is not None and not self.adapted:
            add_adapters(self, self.recipe.adapter)

    @override
    def train(self, mode: bool = True) -> Self:
        """Set the mode of all parts but the frozen ones, which are always in eval mode."""
        super().train(mode)
        if mode:
            for name in self._in_eval:
                self.network.get_submodule(name).train(False)
        return self

    @override
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradient the mean over the batches it was gathered from.

        Lightning divides each by ``accumulate_grad_batches``, also where the epoch ended before so many.
        """
        trainer = self.trainer
        wanted = trainer.accumulate_grad_batches
        gathered = trainer.fit_loop.epoch_loop.batch_progress.current.ready % wanted
        if gathered:
            gradients = [each.grad for each in self.parameters() if each.grad is not None]
            torch._foreach_mul_(gradients, wanted / gathered)

    @override
    def configure_optimizers(self) -> Any:
        """Make optimiser and schedule of the recipe for the length of this fit."""
        recipe = self._trained()
        parameters = trained_parameters(self.network, self.heads, recipe.optimizer)
        optimizer = build_optimizer(parameters, recipe.optimizer)
        constant = (recipe.lr_scheduler.get("name") or "none") == "none" and recipe.swa is None
        if not self.schedule_for_fit or constant:
            return optimizer
        trainer = self.trainer
        steps = trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ModelError("The learning-rate schedule needs an end: set trainer.max_epochs or max_steps.")
        schedule = build_schedule(
            optimizer,
            recipe.lr_scheduler,
            total_steps=int(steps),
            total_epochs=int(trainer.max_epochs or 1),
            validated_every=int(trainer.check_val_every_n_epoch or 1),
            swa=recipe.swa,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _trained(self) -> Recipe:
        if self.recipe is None:
            raise ModelError("The model was loaded for prediction only; create it with a config to train it.")
        return self.recipe
