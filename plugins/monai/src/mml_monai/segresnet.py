"""MONAI's SegResNet and the networks derived from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mml_monai.segmenter import Segmenter, refuse_supervision


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
    refuse_supervision(kwargs)
    from monai.networks.nets.segresnet_ds import SegResNetDS

    net = SegResNetDS(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        blocks_down=tuple(blocks_down),
        **kwargs,
    )
    return Segmenter(net, divisor=2 ** (len(blocks_down) - 1))


def segresnet_ds2(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    blocks_down: Sequence[int] = (1, 2, 2, 4),
    **kwargs: Any,
) -> Segmenter:
    """Build the encoder of VISTA3D with its decoder for whole images; the one for prompts is left out."""
    refuse_supervision(kwargs)
    from monai.networks.nets.segresnet_ds import SegResNetDS2

    net = SegResNetDS2(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        blocks_down=tuple(blocks_down),
        **kwargs,
    )
    net.up_layers = nn.ModuleList(nn.Identity() for _ in net.up_layers)  # only their number still counts
    return Segmenter(_WithoutPrompts(net), divisor=2 ** (len(blocks_down) - 1))


class _WithoutPrompts(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        _, logits = self.net(images, with_point=False)
        return logits


def segresnet_vae(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    blocks_down: Sequence[int] = (1, 2, 2, 4),
    blocks_up: Sequence[int] = (1, 1, 1),
    **kwargs: Any,
) -> Segmenter:
    """Build SegResNet with a variational branch, for images of one size; its loss is the net's own."""
    from monai.networks.nets.segresnet import SegResNetVAE

    divisor = 2 ** len(blocks_down)  # the branch goes down once more
    net = SegResNetVAE(
        input_image_size=[length + -length % divisor for length in image_size],
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        blocks_down=tuple(blocks_down),
        blocks_up=tuple(blocks_up),
        **kwargs,
    )
    if not net.vae_estimate_std:
        net.vae_fc2 = nn.Identity()  # which would only estimate it
    return _WithOwnLoss(net, divisor=divisor)


class _WithOwnLoss(Segmenter):
    """A network that puts out, in training, a loss of its own beside its logits.

    Attributes:
        own_loss: That of the last batch, which mml adds to the loss of the task.
    """

    own_loss: Tensor | None = None

    def _logits(self, images: Tensor) -> Tensor:
        logits, self.own_loss = self.net(images)
        return logits
