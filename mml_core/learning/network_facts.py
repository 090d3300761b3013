"""What a network is, in numbers: its parameters, and how much one image costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from mml_core.errors import MMLError
from mml_core.learning.adapters import AdapterRule, add_adapters

if TYPE_CHECKING:
    from mml_core.learning.pipeline import Pipeline
    from mml_core.plugins import PluginManager


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """A model in numbers, heads included.

    Attributes:
        parameters: Number of parameters.
        trainable: Number of those that a training changes; fewer where adapters are trained instead.
        flops: Floating-point operations of convolutions and matrix products for one image, a multiplication
            and an addition as two; None where the network does not take an image of this size.
        image: Channels, height and width of that image.
        layers: Names of the layers, input first, as freezing and learning rates by layer know them.
    """

    parameters: int
    trainable: int
    flops: int | None
    image: tuple[int, int, int]
    layers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def facts_of(
    pipeline: Pipeline, plugins: PluginManager, adapter: Mapping[str, Any] | None = None
) -> NetworkFacts:
    """Build the model that a pipeline describes, with random weights, and count.

    Args:
        pipeline: Describes the model.
        plugins: Where architectures are registered.
        adapter: The group ``adapter`` it is, or was, trained with.

    Raises:
        ArchitectureError: The architecture refuses its arguments.
        UnknownNameError: No such architecture is registered.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from mml_core.learning.layers import layers_of

    model = pipeline.build(plugins).eval()
    image = (pipeline.in_channels, *pipeline.image_size)
    counter = FlopCounterMode(display=False)
    flops: int | None
    try:
        # Attention is counted as the matrix products it is made of, whatever kernels this machine has.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            model(torch.zeros(1, *image), pipeline.outputs[0].task)
        flops = counter.get_total_flops()
    except (
        RuntimeError,
        ValueError,
        AssertionError,
        MMLError,
    ):  # whatever nets make of a size that is not theirs
        flops = None
    layers = tuple(layer.name for layer in layers_of(model.network))
    total = sum(each.numel() for each in model.parameters())
    rule = AdapterRule.from_config(adapter)
    if rule is not None:
        add_adapters(model, rule)
    trainable = sum(each.numel() for each in model.parameters() if each.requires_grad)
    return NetworkFacts(parameters=total, trainable=trainable, flops=flops, image=image, layers=layers)
