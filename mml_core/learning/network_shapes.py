"""Which tensors of a network depend on the number of channels of its images, or of its outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from mml_core.learning.pipeline import Pipeline
    from mml_core.plugins import PluginManager


class NetworkShapes:
    """Compares a network with one that differs in a number of channels, whatever its architecture.

    Args:
        pipeline: Describes the network.
        plugins: Where architectures are registered.
    """

    def __init__(self, pipeline: Pipeline, plugins: PluginManager) -> None:
        self._pipeline = pipeline
        self._plugins = plugins
        self._own: dict[str, torch.Size] | None = None

    def that_follow(self, number: Literal["in_channels", "out_channels"]) -> dict[str, tuple[int, ...]]:
        """Return the tensors with one entry per channel along some dimensions: name → these dimensions.

        Args:
            number: Channels of an image, or of what the network puts out.
        """
        if self._own is None:
            self._own = self._shapes(self._pipeline)
        if number == "in_channels":
            other = replace(self._pipeline, in_channels=self._pipeline.in_channels + 1)
        else:
            (output, *rest) = self._pipeline.outputs
            other = replace(self._pipeline, outputs=(replace(output, width=output.width + 1), *rest))
        shapes = self._shapes(other)
        found = {}
        for name, shape in self._own.items():
            larger = shapes.get(name, shape)
            if len(larger) == len(shape):
                steps = [there - here for here, there in zip(shape, larger, strict=True)]
                dims = tuple(dim for dim, step in enumerate(steps) if step)
                if dims and all(steps[dim] == 1 for dim in dims):
                    found[name] = dims
        return found

    def _shapes(self, pipeline: Pipeline) -> dict[str, torch.Size]:
        with torch.random.fork_rng(devices=[]):
            network = pipeline.build(self._plugins).network
        return {name: tensor.shape for name, tensor in network.state_dict().items()}
