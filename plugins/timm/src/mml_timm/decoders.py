"""Decoders: features of several scales in, logits per pixel out.

Sizes follow the features themselves, so that odd ones need no padding. Enlarging repeats pixels, which is
deterministic on every device, as bilinear interpolation is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDEST = 16
"""How many times more channels the coarsest scale of a U-Net has than the finest at most."""


class UNetDecoder(nn.Module):
    """Joins the features of each scale in turn, coarsest first (Ronneberger et al., U-Net, MICCAI 2015).

    Args:
        channels: Of the features, finest first.
        strides: Pixels of the image per pixel of the features, finest first.
        width: Channels at the finest scale.
        classes: Logits per pixel.

    Attributes:
        layers: Names of its parts in the order in which they act.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], *, width: int, classes: int) -> None:
        super().__init__()
        widths = [width * min(2 ** (level + 1), WIDEST) for level in range(len(channels))]
        self.bottom = _block(channels[-1], widths[-1])
        self.joins = nn.ModuleList(
            _block(widths[level + 1] + channels[level], widths[level])
            for level in reversed(range(len(channels) - 1))
        )
        self.finish = _Finish(widths[0], strides[0], width=width, classes=classes)
        self.layers = ("bottom", *(f"joins.{number}" for number in range(len(self.joins))), "finish")

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Turn features (B, C, h, w) per scale, finest first, into logits (B, classes, *size)."""
        *finer, last = features
        found: Tensor = self.bottom(last)
        for join, skip in zip(self.joins, reversed(finer), strict=True):
            found = join(torch.cat([_enlarged(found, skip.shape[-2:]), skip], 1))
        logits: Tensor = self.finish(found, size)
        return logits


class FPNDecoder(nn.Module):
    """Adds up the features of all scales (Kirillov et al., Panoptic FPN, CVPR 2019, with repeated pixels).

    Args:
        channels: Of the features, finest first.
        strides: Pixels of the image per pixel of the features, finest first.
        width: Channels at full resolution; a pyramid has four times as many.
        classes: Logits per pixel.

    Attributes:
        layers: Names of its parts in the order in which they act.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], *, width: int, classes: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(each, 4 * width, 1) for each in channels)
        self.smooths = nn.ModuleList(_convolution(4 * width, 4 * width) for _ in channels)
        self.finish = _Finish(4 * width, strides[0], width=width, classes=classes)
        self.layers = ("laterals", "smooths", "finish")

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Turn features (B, C, h, w) per scale, finest first, into logits (B, classes, *size)."""
        finest = features[0].shape[-2:]
        above: Tensor | None = None
        total: Tensor | None = None
        for feature, lateral, smooth in reversed(
            list(zip(features, self.laterals, self.smooths, strict=True))
        ):
            own = lateral(feature)
            above = own if above is None else own + _enlarged(above, own.shape[-2:])
            part = _enlarged(smooth(above), finest)
            total = part if total is None else total + part
        assert total is not None
        logits: Tensor = self.finish(total, size)
        return logits


class _Finish(nn.Module):
    """Doubles the resolution up to that of the image, with a convolution each time, and puts out logits."""

    def __init__(self, channels: int, stride: int, *, width: int, classes: int) -> None:
        super().__init__()
        doublings = max(0, (stride - 1).bit_length())
        widths = [max(width, channels >> step) for step in range(doublings)] + [width]
        self.steps = nn.ModuleList(_block(one, other) for one, other in pairwise(widths))
        self.last = _block(channels, width) if not doublings else nn.Identity()
        self.logits = nn.Conv2d(width, classes, 1)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        for number, step in enumerate(self.steps):
            height, width = features.shape[-2:]
            last = number == len(self.steps) - 1
            features = step(_enlarged(features, size if last else (2 * height, 2 * width)))
        logits: Tensor = self.logits(_enlarged(self.last(features), size))
        return logits


DECODERS: dict[str, Callable[..., nn.Module]] = {"unet": UNetDecoder, "fpn": FPNDecoder}


def _enlarged(features: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(features.shape[-2:]) == tuple(size):
        return features
    return functional.interpolate(features, size=tuple(size), mode="nearest")


def _block(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(_convolution(channels, width), _convolution(width, width))


def _convolution(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )
