"""The LightningModule all task types share: one network, one head, loss and metric set per task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from mml_core.learning.heads import RegressionHead, build_heads, head_key
from mml_core.learning.image_metrics import image_scores, needs_surface
from mml_core.learning.losses import build_loss, is_balanced
from mml_core.learning.metrics import compute_metrics, metric_names
from mml_core.learning.optimisation import validate_schedule
from mml_core.learning.optimised import ModelError, OptimisedModule, Recipe
from mml_core.learning.outputs import REGRESSION, SEGMENTATION, TaskOutput, check_together
from mml_core.learning.predictions import mask_type
from mml_core.learning.test_time import averaged

__all__ = ["MMLModule", "ModelError", "Recipe"]


class MMLModule(OptimisedModule):
    """A network with one head per task.

    A batch is ``{"image": (B, C, H, W), "target": …, "index": (B)}`` for a model of one task, or
    ``{task: such a batch}`` for a joint batch over several.

    Args:
        network: A backbone (it has ``feature_dim`` and puts out (B, feature_dim)) or a net that puts out the
            final values, (B, classes, H, W) for segmentation. Its ``own_loss``, where it leaves one on a
            forward pass in training, is added to the loss of the batch.
        outputs: The heads.
        recipe: How to train; None for a model that only predicts.

    Attributes:
        class_weights: Task → a weight for each class, where ``balance_classes`` has set them.
    """

    def __init__(
        self, network: nn.Module, outputs: Sequence[TaskOutput], recipe: Recipe | None = None
    ) -> None:
        feature_dim = getattr(network, "feature_dim", None)
        _check_outputs(outputs, feature_dim)
        super().__init__(network, build_heads(outputs, feature_dim), recipe)
        self.outputs = {output.task: output for output in outputs}
        self.views: tuple[str, ...] = ()  # of test-time augmentation, which `predict_step` averages over
        # Losses are no submodules: class weights come from the config, not from a weights file.
        self._losses: dict[str, nn.Module] = {}
        self.class_weights: dict[str, list[float]] = {}
        self._metrics: dict[str, tuple[str, ...]] = {}
        self._collected: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._losses_seen: dict[str, list[tuple[Tensor, int]]] = {}  # task → (sum over a batch, samples)
        if recipe is not None:
            validate_schedule(recipe.lr_scheduler)
            for output in outputs:
                self._losses[output.task] = build_loss(output.task_type, recipe.loss, output.ignore_index)
                self._metrics[output.task] = metric_names(recipe.metrics, output.task_type)

    def head(self, task: str) -> nn.Module:
        """Return the head of a task.

        Raises:
            ModelError: If the model has none.
        """
        if task not in self.outputs:
            raise ModelError(f"The model has no head for task '{task}', only for {', '.join(self.outputs)}.")
        return self.heads[head_key(task)]

    def fit_targets(self, task: str, values: Tensor) -> None:
        """Tell a regression head the training targets (N, K) it standardises by; others ignore it."""
        head = self.head(task)
        if isinstance(head, RegressionHead):
            head.fit_targets(values)

    def loss_of(self, task: str) -> nn.Module:
        """Return the loss of a task: called with raw outputs and targets."""
        return self._losses[task]

    @property
    def unbalanced(self) -> list[str]:
        """Tasks whose classes are to be balanced, and have no weights yet."""
        loss = {} if self.recipe is None else self.recipe.loss
        return [
            name
            for name, output in self.outputs.items()
            if is_balanced(output.task_type, loss) and name not in self.class_weights
        ]

    def balance_classes(self, task: str, weights: Sequence[float]) -> None:
        """Give the loss of a task that has ``class_weights: balanced`` a weight for each class or label."""
        loss, output = self._trained().loss, self.outputs[task]
        self.class_weights[task] = [float(weight) for weight in weights]
        chosen = {**loss[output.task_type], "class_weights": self.class_weights[task]}
        self._losses[task] = build_loss(
            output.task_type, {**loss, output.task_type: chosen}, output.ignore_index
        )

    @override
    def forward(self, images: Tensor, task: str | None = None) -> Tensor:
        """Return raw head outputs: logits, or standardised values for a regression.

        Args:
            images: (B, C, H, W), normalised, of any floating type.
            task: Whose head; may be left out for a model of one task.
        """
        result: Tensor = self.head(self._only(task))(self.network(images.to(self.dtype)))
        return result

    def predict(self, images: Tensor, task: str | None = None) -> Tensor:
        """Return logits, or regression values on the scale of the targets, as float32."""
        chosen = self._only(task)
        outputs = self(images, chosen).float()
        head = self.head(chosen)
        return head.restore(outputs) if isinstance(head, RegressionHead) else outputs

    def batch_loss(self, batch: Mapping[str, Any], task: str | None = None) -> tuple[Tensor, Tensor]:
        """Return the loss of one task's batch and the raw outputs it was computed from, float32 at least."""
        chosen = self._only(task)
        outputs = self(batch["image"], chosen)
        outputs = outputs.to(_at_least_float32(outputs.dtype))
        target = batch["target"]
        if self.outputs[chosen].task_type == REGRESSION:
            head = self.head(chosen)
            assert isinstance(head, RegressionHead)
            target = head.standardise(target.reshape(outputs.shape))
        loss: Tensor = self._losses[chosen](outputs, target)
        return loss, outputs

    def show(self, batch: Mapping[str, Any]) -> None:
        """Let a batch of whatever tasks pass through the network, for what it notes of it."""
        for task, part in self._parts(batch):
            self(part["image"], task)

    @override
    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        """Return the sum of the losses of all tasks in the batch, each times the weight of its task."""
        total: Tensor | None = None
        for task, part in self._parts(batch):
            loss, _ = self.batch_loss(part, task)
            own_loss = getattr(self.network, "own_loss", None)
            loss = loss if own_loss is None else loss + own_loss
            if len(self.outputs) > 1:
                self._log(f"train/{task}/loss", loss, len(part["image"]))
            loss = loss * self._weight(task)
            total = loss if total is None else total + loss
        if total is None:
            raise ModelError("The batch holds no task of the model.")
        self._log("train/loss", total, self._size(batch), bar=True)
        return total

    @override
    def on_fit_start(self) -> None:
        """Take class weights of the losses to the device and number format of the model.

        Raises:
            ModelError: Classes are to be balanced, and nobody has said how.
        """
        if self.unbalanced:
            raise ModelError(
                f"The losses of {', '.join(self.unbalanced)} have class_weights=balanced, and no weights yet;"
                " call model.balance_classes(task, weights), or set class_weights to a list."
            )
        self._place_losses()

    @override
    def on_validation_start(self) -> None:
        """Take class weights of the losses to the device and number format of the model."""
        self._place_losses()

    @override
    def on_validation_epoch_start(self) -> None:
        """Forget what an interrupted validation collected."""
        self._collected, self._losses_seen = {}, {}

    @override
    def validation_step(self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log the loss and collect what the metrics need."""
        for task, part in self._parts(batch):
            loss, outputs = self.batch_loss(part, task)
            size = len(part["image"])
            self._log(self._name("val", task, "loss"), loss, size, bar=len(self.outputs) == 1)
            self._losses_seen.setdefault(task, []).append((loss.detach().float() * size, size))
            if self._metrics[task]:
                self._collected.setdefault(task, []).append(self._evidence(task, outputs, part["target"]))

    @override
    def on_validation_epoch_end(self) -> None:
        """Compute the metrics of the whole validation fold, and the loss of all tasks together."""
        if len(self.outputs) > 1 and self._losses_seen:
            means = [
                self._weight(task) * torch.stack([loss for loss, _ in seen]).sum() / sum(n for _, n in seen)
                for task, seen in self._losses_seen.items()
            ]
            self.log("val/loss", torch.stack(means).sum(), prog_bar=True)
        for task, parts in self._collected.items():
            outputs = torch.cat([outputs for outputs, _ in parts])
            targets = torch.cat([targets for _, targets in parts])
            scores = compute_metrics(self.outputs[task].task_type, self._metrics[task], outputs, targets)
            for name, value in scores.items():
                self.log(self._name("val", task, name), value, prog_bar=name == self._metrics[task][0])
        self._collected, self._losses_seen = {}, {}

    @override
    def predict_step(
        self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, dict[str, Tensor]]:
        """Return per task: row numbers, targets where the batch has them, and outputs.

        Outputs are logits, values, or for segmentation the class number of every pixel; masks are of the
        smallest type that holds their classes, as those of a whole split are kept in memory.
        """
        predicted = {}
        for task, part in self._parts(batch):
            predict = partial(self.predict, task=task)
            outputs = averaged(predict, part["image"], self.outputs[task].task_type, self.views)
            found = {"output": outputs}
            if part.get("target") is not None:
                found["target"] = part["target"]
            if self.outputs[task].task_type == SEGMENTATION:
                found["output"] = found["output"].argmax(1)
                smallest = mask_type(self.outputs[task])
                found = {name: mask.to(smallest) for name, mask in found.items()}
            found["index"] = part["index"]
            predicted[task] = {name: tensor.cpu() for name, tensor in found.items()}
        return predicted

    def _weight(self, task: str) -> float:
        return self.recipe.task_weights.get(task, 1.0) if self.recipe is not None else 1.0

    def _place_losses(self) -> None:
        for loss in self._losses.values():
            loss.to(self.device, _at_least_float32(self.dtype))

    def _evidence(self, task: str, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        outputs = outputs.detach().float()
        output = self.outputs[task]
        if output.task_type == SEGMENTATION:
            surface = needs_surface(self._metrics[task])
            scores = image_scores(
                outputs.argmax(1), target, output.width, ignore_index=output.ignore_index, surface=surface
            )
            return scores, torch.empty(len(scores))
        head = self.head(task)
        restored = head.restore(outputs) if isinstance(head, RegressionHead) else outputs
        return restored.cpu(), target.detach().cpu()

    def _parts(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if "image" in batch:
            yield self._only(None), batch
            return
        for task, part in batch.items():
            if part is not None:  # a joint loader hands out None where a task has run out
                yield task, part

    def _only(self, task: str | None) -> str:
        if task is not None:
            return task
        if len(self.outputs) != 1:
            raise ModelError(
                f"The model has heads for {', '.join(self.outputs)}; say which task is meant,"
                " or give a batch per task."
            )
        return next(iter(self.outputs))

    def _size(self, batch: Mapping[str, Any]) -> int:
        return sum(len(part["image"]) for _, part in self._parts(batch))

    def _name(self, stage: str, task: str, name: str) -> str:
        return f"{stage}/{name}" if len(self.outputs) == 1 else f"{stage}/{task}/{name}"

    def _log(self, name: str, value: Tensor, size: int, *, bar: bool = False) -> None:
        self.log(name, value.detach(), on_step=False, on_epoch=True, prog_bar=bar, batch_size=size)


def _at_least_float32(dtype: Any) -> torch.dtype:  # Lightning's annotation of its dtype allows a str
    return torch.promote_types(dtype, torch.float32)


def _check_outputs(outputs: Sequence[TaskOutput], feature_dim: int | None) -> None:
    if not outputs:
        raise ModelError("A model needs at least one task.")
    if len({output.task for output in outputs}) != len(outputs):
        raise ModelError(f"A task is named twice: {', '.join(output.task for output in outputs)}.")
    check_together(outputs)
    if feature_dim is not None and any(output.task_type == SEGMENTATION for output in outputs):
        raise ModelError(
            "A backbone puts out one vector per image and cannot segment; choose a segmentation net,"
            " for example arch=unet_tiny."
        )
