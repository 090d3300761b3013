"""MONAI's U-shaped and other segmentation networks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from torch import Tensor, nn

from mml_monai.backbones import drop_idle_norms
from mml_monai.segmenter import Segmenter, refuse_supervision


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
    refuse_supervision(kwargs)
    from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus

    net = BasicUNetPlusPlus(spatial_dims=2, in_channels=in_channels, out_channels=out_channels, **kwargs)
    net.final_conv_0_1 = net.final_conv_0_2 = net.final_conv_0_3 = nn.Identity()  # for deep supervision only
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
    refuse_supervision(kwargs)
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


def ahnet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    psp_block_num: int = 0,
    **kwargs: Any,
) -> Segmenter:
    """Build an anisotropic hybrid network; its pyramid pooling is for square images from 128 pixels on."""
    from monai.networks.nets.ahnet import AHNet

    net = AHNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        psp_block_num=psp_block_num,
        **kwargs,
    )
    return Segmenter(net, divisor=32)


def quicknat(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    stride_pool: int = 2,
    **kwargs: Any,
) -> Segmenter:
    """Build QuickNAT, a densely connected encoder and decoder that remembers where maxima were."""
    from monai.networks.nets.quicknat import Quicknat

    net = Quicknat(num_classes=out_channels, num_channels=in_channels, stride_pool=stride_pool, **kwargs)
    for module in net.modules():
        if isinstance(getattr(module, "un_pool", None), nn.MaxUnpool2d):
            module.un_pool = _Unpool(module.un_pool.kernel_size, module.un_pool.stride)
    return Segmenter(net, divisor=stride_pool**4)


class _Unpool(nn.MaxUnpool2d):
    """Puts maxima back where they were, deterministically, which torch's own kernels do not promise."""

    def forward(self, input: Tensor, indices: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert isinstance(self.stride, tuple)
        height, width = (length * stride for length, stride in zip(input.shape[2:], self.stride, strict=True))
        empty = input.new_zeros(*input.shape[:2], height * width)
        return empty.scatter(2, indices.flatten(2), input.flatten(2)).unflatten(2, (height, width))


def dints(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    channel_mul: float = 0.25,
    num_blocks: int = 6,
    num_depths: int = 3,
    **kwargs: Any,
) -> Segmenter:
    """Build DiNTS with every path of its topology in use."""
    from monai.networks.nets.dints import DiNTS, TopologyInstance

    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # it tells of sizes it likes, to which all are padded, and of all paths
        space = TopologyInstance(
            channel_mul=channel_mul, num_blocks=num_blocks, num_depths=num_depths, spatial_dims=2
        )
    net = DiNTS(
        dints_space=space, in_channels=in_channels, num_classes=out_channels, spatial_dims=2, **kwargs
    )
    return Segmenter(net, divisor=2 ** (num_depths + 1))


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
