"""MONAI's MedNeXt, and its four published sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mml_monai.segmenter import Segmenter, refuse_supervision


def mednext(
    task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
) -> Segmenter:
    """Build ConvNeXt blocks in a U-shape."""
    refuse_supervision(kwargs)
    from monai.networks.nets.mednext import MedNeXt

    net = MedNeXt(spatial_dims=2, in_channels=in_channels, out_channels=out_channels, **kwargs)
    return Segmenter(net, divisor=2 ** len(kwargs.get("blocks_down", (2, 2, 2, 2))))


def _named_mednext(variant: str) -> Callable[..., Segmenter]:
    def build(
        task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
    ) -> Segmenter:
        from monai.networks.nets.mednext import create_mednext

        refuse_supervision(kwargs)
        net = create_mednext(
            variant, spatial_dims=2, in_channels=in_channels, out_channels=out_channels, **kwargs
        )
        return Segmenter(net, divisor=16)

    return build


mednext_s, mednext_b = _named_mednext("S"), _named_mednext("B")
mednext_m, mednext_l = _named_mednext("M"), _named_mednext("L")
