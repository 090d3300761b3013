"""MONAI's segmentation networks: images in, one logit per class and pixel out, at any image size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mml_monai.backbones import drop_idle_norms


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
        logits = self.net(images)
        if isinstance(logits, list | tuple):  # nets with several outputs put the finest one first
            logits = logits[0]
        return logits[..., :height, :width] if lower or right else logits


def unet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    channels: Sequence[int] = (16, 32, 64, 128),
    strides: Sequence[int] = (2, 2, 2),
    num_res_units: int = 2,
    **kwargs: Any,
) -> Segmenter:
    """Build a U-Net with residual units."""
    from monai.networks.nets.unet import UNet

    net = UNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=list(channels),
        strides=list(strides),
        num_res_units=num_res_units,
        **kwargs,
    )
    return Segmenter(net, divisor=_product(strides))


def attention_unet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    channels: Sequence[int] = (16, 32, 64, 128),
    strides: Sequence[int] = (2, 2, 2),
    **kwargs: Any,
) -> Segmenter:
    """Build a U-Net with attention gates."""
    from monai.networks.nets.attentionunet import AttentionUnet

    net = AttentionUnet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=list(channels),
        strides=list(strides),
        **kwargs,
    )
    return Segmenter(net, divisor=_product(strides))


def basic_unet(
    task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
) -> Segmenter:
    """Build a U-Net of the original form (four levels)."""
    from monai.networks.nets.basic_unet import BasicUNet

    net = BasicUNet(spatial_dims=2, in_channels=in_channels, out_channels=out_channels, **kwargs)
    return Segmenter(net, divisor=16)


def basic_unet_plus_plus(
    task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
) -> Segmenter:
    """Build a U-Net++ with nested skip connections (four levels)."""
    from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus

    net = BasicUNetPlusPlus(spatial_dims=2, in_channels=in_channels, out_channels=out_channels, **kwargs)
    return Segmenter(net, divisor=16)


def dynunet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    kernel_size: Sequence[int] = (3, 3, 3, 3),
    strides: Sequence[int] = (1, 2, 2, 2),
    filters: Sequence[int] | None = (16, 32, 64, 128),
    **kwargs: Any,
) -> Segmenter:
    """Build a U-Net in the form of nnU-Net; the first stride belongs to the input block."""
    from monai.networks.nets.dynunet import DynUNet

    net = DynUNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=list(kernel_size),
        strides=list(strides),
        upsample_kernel_size=list(strides[1:]),
        filters=None if filters is None else list(filters),
        **kwargs,
    )
    return Segmenter(net, divisor=_product(strides))


def flexible_unet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    backbone: str = "resnet18",
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    **kwargs: Any,
) -> Segmenter:
    """Build a U-Net decoder on a ResNet or EfficientNet encoder."""
    from monai.networks.nets.flexible_unet import FlexibleUNet

    net = FlexibleUNet(
        in_channels=in_channels,
        out_channels=out_channels,
        backbone=backbone,
        decoder_channels=tuple(decoder_channels),
        spatial_dims=2,
        **kwargs,
    )
    return Segmenter(net, divisor=32)


def segresnet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    blocks_down: Sequence[int] = (1, 2, 2, 4),
    blocks_up: Sequence[int] = (1, 1, 1),
    **kwargs: Any,
) -> Segmenter:
    """Build a residual encoder and decoder."""
    from monai.networks.nets.segresnet import SegResNet

    net = SegResNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        blocks_down=tuple(blocks_down),
        blocks_up=tuple(blocks_up),
        **kwargs,
    )
    return Segmenter(net, divisor=2 ** (len(blocks_down) - 1))


def segresnet_ds(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    blocks_down: Sequence[int] = (1, 2, 2, 4),
    **kwargs: Any,
) -> Segmenter:
    """Build a residual encoder and decoder of any depth."""
    from monai.networks.nets.segresnet_ds import SegResNetDS

    net = SegResNetDS(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        blocks_down=tuple(blocks_down),
        **kwargs,
    )
    return Segmenter(net, divisor=2 ** (len(blocks_down) - 1))


def vnet(
    task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
) -> Segmenter:
    """Build a V-Net; its input channels are filled up to the next divisor of 16."""
    from monai.networks.nets.vnet import VNet

    channels = next(count for count in (1, 2, 4, 8, 16) if count >= in_channels)
    net = VNet(
        spatial_dims=2, in_channels=channels, out_channels=out_channels, **{"dropout_dim": 2, **kwargs}
    )
    return Segmenter(net, divisor=16, channels=channels)


def highresnet(
    task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
) -> Segmenter:
    """Build a dilated residual network at full resolution."""
    from monai.networks.nets.highresnet import HighResNet

    net = HighResNet(spatial_dims=2, in_channels=in_channels, out_channels=out_channels, **kwargs)
    return Segmenter(net, divisor=1)


def mednext(
    task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
) -> Segmenter:
    """Build ConvNeXt blocks in a U-shape."""
    from monai.networks.nets.mednext import MedNeXt

    net = MedNeXt(spatial_dims=2, in_channels=in_channels, out_channels=out_channels, **kwargs)
    return Segmenter(net, divisor=2 ** len(kwargs.get("blocks_down", (2, 2, 2, 2))))


def swin_unetr(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    feature_size: int = 24,
    **kwargs: Any,
) -> Segmenter:
    """Build a shifted-window transformer encoder with a convolutional decoder."""
    from monai.networks.nets.swin_unetr import SwinUNETR

    net = SwinUNETR(
        in_channels=in_channels,
        out_channels=out_channels,
        feature_size=feature_size,
        spatial_dims=2,
        **kwargs,
    )
    return Segmenter(net, divisor=32)


def unetr(
    task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
) -> Segmenter:
    """Build a vision transformer encoder with a convolutional decoder for images of one size."""
    from monai.networks.nets.unetr import UNETR

    size = tuple(length + -length % 16 for length in image_size)
    net = UNETR(in_channels=in_channels, out_channels=out_channels, img_size=size, spatial_dims=2, **kwargs)
    drop_idle_norms(net)
    return Segmenter(net, divisor=16)


def _product(strides: Sequence[int]) -> int:
    product = 1
    for stride in strides:
        product *= stride
    return product
