"""What makes MONAI's segmentation networks architectures of mml: images of any size, logits alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mml_monai.layer_order import layer_groups


class Segmenter(nn.Module):
    """A MONAI segmentation network that accepts images of any height and width.

    Args:
        net: The network.
        divisor: Height and width the network accepts are multiples of this; images are padded at the right
            and lower border by repetition and the output is cropped again.
        channels: Channels the network takes; fewer in the image are filled up with zeros. None: as they come.
    """

    def __init__(self, net: nn.Module, *, divisor: int, channels: int | None = None) -> None:
        super().__init__()
        self.net = net
        self.divisor = divisor
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (B, C, H, W) into logits (B, classes, H, W)."""
        height, width = images.shape[-2:]
        lower, right = -height % self.divisor, -width % self.divisor
        if lower or right:
            images = functional.pad(images, (0, right, 0, lower), mode="replicate")
        if self.channels is not None and self.channels > images.shape[1]:
            images = functional.pad(images, (0, 0, 0, 0, 0, self.channels - images.shape[1]))
        logits = self._logits(images)
        return logits[..., :height, :width] if lower or right else logits

    def layer_groups(self) -> list[tuple[str, ...]]:
        """Return the layers, input first, as prefixes of the names of parameters."""
        return [tuple(f"net.{part}" for part in group) for group in layer_groups(self.net)]

    def _logits(self, images: Tensor) -> Tensor:
        outputs = self.net(images)
        return outputs[0] if isinstance(outputs, list | tuple) else outputs  # BasicUNet++ puts out a list


def refuse_supervision(options: Mapping[str, Any]) -> None:
    """Refuse options that make a net put out several resolutions.

    Raises:
        ValueError: One is set.
    """
    for name, several in (("deep_supervision", 1), ("dsdepth", 2)):
        if options.get(name, 0) >= several:
            raise ValueError(
                f"{name}={options[name]} puts out several resolutions, and a loss takes one; leave it out"
            )
