"""A segmentation network: the features of a timm network at several scales, and a decoder."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mml_core.api import near_matches
from mml_timm.decoders import DECODERS
from mml_timm.networks import COARSEST, Request, TimmError, TimmNetwork, reason


class TimmSegmenter(TimmNetwork):
    """Features of a timm network at several scales with a decoder; puts out one logit per class and pixel.

    Args:
        request: What was asked of timm.
        net: timm's network, which puts out features (B, C, h, w) or (B, h, w, C) per scale, finest first.
        decoder: Turns features (B, C, h, w) into logits.
        divisor: Height and width that the network accepts are multiples of this; images are padded at the
            right and lower border by repetition, and the logits are cropped again.
        fixed: The one size that the network accepts, a multiple of the divisor; None for any.
    """

    def __init__(
        self,
        request: Request,
        net: nn.Module,
        decoder: nn.Module,
        *,
        divisor: int,
        fixed: tuple[int, int] | None,
    ) -> None:
        super().__init__(request, net)
        self.decoder = decoder
        self._divisor = divisor
        self._fixed = fixed
        self._channels_last = str(getattr(net, "output_fmt", "")).endswith("NHWC")

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (B, C, H, W) into logits (B, classes, H, W).

        Raises:
            TimmError: The images are larger than those the network was built for.
        """
        height, width = images.shape[-2:]
        wanted = self._fixed or padded((height, width), self._divisor)
        if wanted[0] < height or wanted[1] < width:
            raise TimmError(
                f"The network was built for images of up to {wanted[0]}x{wanted[1]} pixels, found {height}x"
                f"{width}; choose a preprocessing to one size, or a network without a fixed size."
            )
        if wanted != (height, width):
            images = functional.pad(images, (0, wanted[1] - width, 0, wanted[0] - height), mode="replicate")
        features = self.net(images)
        if self._channels_last:
            features = [feature.movedim(-1, 1) for feature in features]
        logits: Tensor = self.decoder(features, wanted)
        return logits[..., :height, :width]


def build_segmenter(
    request: Request, out_channels: int, *, decoder: str, decoder_channels: int
) -> TimmSegmenter:
    """Build a network of timm with a decoder; see :func:`mml_timm.networks.timm`.

    Raises:
        TimmError: There is no such decoder, or the network has no features of several scales.
    """
    if decoder not in DECODERS:
        hint = near_matches(str(decoder), DECODERS) or f" Choose one of {', '.join(DECODERS)}."
        raise TimmError(f"Unknown arch.kwargs.decoder {decoder!r}.{hint}")
    if isinstance(decoder_channels, bool) or not isinstance(decoder_channels, int) or decoder_channels < 1:
        raise TimmError(f"arch.kwargs.decoder_channels is {decoder_channels!r}; write a number from 1 on.")
    net: Any
    request, net = _features(request)
    divisor = math.lcm(*(int(each) for each in net.feature_info.reduction()))
    whole = padded(request.image_size, divisor)
    if request.is_sized and whole != request.image_size:  # else pixels at the border would not be seen
        request, net = _features(replace(request, image_size=whole), exact=True)
    info = net.feature_info
    head = DECODERS[decoder](info.channels(), info.reduction(), width=decoder_channels, classes=out_channels)
    fixed = request.image_size if request.is_sized else None
    return TimmSegmenter(request, net, head, divisor=divisor, fixed=fixed)


def padded(size: tuple[int, int], divisor: int) -> tuple[int, int]:
    """Return the next height and width that are multiples of the divisor."""
    return size[0] + -size[0] % divisor, size[1] + -size[1] % divisor


def _features(request: Request, *, exact: bool = False) -> tuple[Request, nn.Module]:
    """Build a network that puts out features, one of a fixed size for images that are padded.

    Args:
        request: What is wanted.
        exact: Whether the size is the one it has to be.

    Returns:
        What was built in the end, and the network.
    """
    sizes = [request.image_size]
    if request.is_sized and not exact:
        height, width = padded(request.image_size, COARSEST)
        sizes = [(height, width), (max(height, width),) * 2]  # some take square images only
    for size in sizes:
        request = replace(request, image_size=size)
        try:
            return request, request.build(features_only=True)
        except (RuntimeError, AttributeError, AssertionError, NotImplementedError) as error:
            problem = error
    height, width = request.image_size
    raise TimmError(
        f"timm cannot build '{request.model}' for features of several scales from images of {height}x{width}"
        f" pixels ({reason(problem)}); choose another network, or another size by preprocessing."
    ) from problem
