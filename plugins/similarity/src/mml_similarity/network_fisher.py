"""Diagonal Fisher information of a backbone's weights, about the labels that a head on it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from typing_extensions import override

from mml_core.api import MMLError
from mml_similarity.heads import LinearHead


class BackboneError(MMLError):
    """A backbone has no weights that tasks could be embedded by."""


class FisherViewer(LightningModule):
    """Adds up the Fisher information of a backbone's filters over the images it is shown.

    Of a weight it is the mean over the images of ``E[(∂ log p(y|x) / ∂w)²]``, y drawn from the model's own
    prediction p(y|x); of a filter (an output channel of a convolution, a unit of a linear layer), the mean
    over its weights. Achille et al., "Task2Vec: task embedding for meta-learning", ICCV 2019, section 3.
    Weights do not change, layers behave as in prediction, and the gradients of one image and one label are
    all that is held at a time, whatever the size of batches.

    Args:
        network: Images (B, C, H, W) to features (B, D).
        head: What is predicted of the features.
        exact: Up to so many outputs the expectation over labels is exact; of more, labels are drawn.
        draws: So many labels of each image.
        seed: What they are drawn by.

    Attributes:
        samples: Images that were shown.

    Raises:
        BackboneError: It has neither convolutions nor linear layers.
    """

    def __init__(
        self, network: nn.Module, head: LinearHead, *, exact: int = 10, draws: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.samples = 0
        self._layers = _layers_of(network)
        if not self._layers:
            raise BackboneError(
                "The backbone has neither convolutions nor linear layers whose Fisher information could be"
                " taken; choose another one, or set mode.fisher.parameters=head."
            )
        for layer in self._layers.values():
            _weight_of(layer).requires_grad_(True)
        self._head = head
        self._exact, self._draws = exact, draws
        self._random = np.random.default_rng(seed)
        self._sums: NDArray[np.float64] = np.zeros(len(self.filters))

    @property
    def filters(self) -> list[tuple[str, int]]:
        """Name of the layer, and number in it, of each filter, F."""
        return [
            (name, number)
            for name, layer in self._layers.items()
            for number in range(len(_by_filter(layer, _weight_of(layer))))
        ]

    @property
    def information(self) -> NDArray[np.float64]:
        """Fisher information of each filter, (F,)."""
        return self._sums / max(self.samples, 1)

    @override
    def predict_step(self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0) -> int:
        """Add the information of images (B, C, H, W), and return how many there are."""
        weights = [_weight_of(layer) for layer in self._layers.values()]
        for image in batch["image"].to(weights[0].dtype).split(1):
            # Mixed precision would round gradients, and keeps copies of weights over several backward passes.
            with torch.enable_grad(), torch.autocast(image.device.type, enabled=False):
                outputs = self._outputs_of(self.network(image))
                self._add(outputs, weights)
            self.samples += 1
        return len(batch["image"])

    def _outputs_of(self, features: Tensor) -> Tensor:
        flat = features.flatten(1)
        flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
        weights = torch.as_tensor(self._head.weights).to(dtype=flat.dtype, device=flat.device)
        constant = torch.as_tensor(self._head.constant).to(dtype=flat.dtype, device=flat.device)
        return (flat @ weights + constant)[0]

    def _add(self, outputs: Tensor, weights: Sequence[Tensor]) -> None:
        values = outputs.detach().cpu().double().numpy()
        exact = len(values) <= self._exact
        roots = (
            self._head.exact_roots(values)
            if exact
            else self._head.drawn_roots(values, self._draws, self._random)
        )
        for left, root in zip(reversed(range(len(roots))), torch.from_numpy(roots), strict=True):
            direction = root.to(dtype=outputs.dtype, device=outputs.device)
            gradients = torch.autograd.grad(
                outputs, weights, direction, retain_graph=left > 0, allow_unused=True
            )
            means = [
                _squares(layer, weight if gradient is None else gradient, used=gradient is not None)
                for layer, weight, gradient in zip(self._layers.values(), weights, gradients, strict=True)
            ]
            self._sums += torch.cat(means).cpu().double().numpy()


def _layers_of(network: nn.Module) -> dict[str, nn.Module]:
    """Return convolutions and linear layers by name, those that share weights once."""
    found: dict[str, nn.Module] = {}
    seen: set[int] = set()
    for name, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, _ConvNd | nn.Linear) and isinstance(weight, nn.Parameter):
            if id(weight) not in seen:
                found[name] = module
            seen.add(id(weight))
    return found


def _weight_of(layer: nn.Module) -> Tensor:
    return cast(Tensor, layer.weight)  # of a module that `_layers_of` has chosen


def _by_filter(layer: nn.Module, weight: Tensor) -> Tensor:
    """Return weights, or their gradients, with a row for each filter."""
    if getattr(layer, "transposed", False):  # (in, out / groups, …)
        groups: Any = layer.groups
        weight = torch.unflatten(weight, 0, (groups, -1)).movedim(2, 1).flatten(0, 1)
    return weight.flatten(1)


def _squares(layer: nn.Module, gradient: Tensor, *, used: bool) -> Tensor:
    rows = _by_filter(layer, gradient.detach())
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return rows.square().mean(1) if used else torch.zeros_like(rows[:, 0])
