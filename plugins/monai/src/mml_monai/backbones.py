"""MONAI's classification networks as backbones: images in, one feature vector per image out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn


class Backbone(nn.Module):
    """A MONAI classification network without its classifier.

    Attributes:
        feature_dim: Length of the feature vector per image.
    """

    def __init__(self, net: nn.Module, feature_dim: int) -> None:
        super().__init__()
        self.net = net
        self.feature_dim = feature_dim

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (B, C, H, W) into features (B, ``feature_dim``)."""
        features = self.net(images)
        return features[0] if isinstance(features, tuple) else features  # ViT hands out hidden states, too


def _named_resnet(depth: int) -> Callable[..., Backbone]:
    def build(
        task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
    ) -> Backbone:
        from monai.networks.nets import resnet as module

        factory = getattr(module, f"resnet{depth}")
        # Without the classifier ("feed_forward") MONAI's ResNet puts out its pooled features.
        net = factory(spatial_dims=2, n_input_channels=in_channels, feed_forward=False, **kwargs)
        expansion = 1 if depth < 50 else 4
        return Backbone(net, int(512 * kwargs.get("widen_factor", 1.0)) * expansion)

    return build


resnet10, resnet18, resnet34 = _named_resnet(10), _named_resnet(18), _named_resnet(34)
resnet50, resnet101 = _named_resnet(50), _named_resnet(101)
resnet152, resnet200 = _named_resnet(152), _named_resnet(200)


def resnet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    block: str = "basic",
    layers: tuple[int, ...] = (1, 1, 1, 1),
    block_inplanes: tuple[int, ...] = (16, 32, 64, 128),
    **kwargs: Any,
) -> Backbone:
    """Build a residual network of any depth and width (four stages)."""
    from monai.networks.nets.resnet import ResNet

    net = ResNet(
        block=block,
        layers=list(layers),
        block_inplanes=list(block_inplanes),
        spatial_dims=2,
        n_input_channels=in_channels,
        feed_forward=False,
        **kwargs,
    )
    return Backbone(net, net.in_planes)


def densenet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    **kwargs: Any,
) -> Backbone:
    """Build a densely connected network of any depth and width."""
    return _densenet("DenseNet", in_channels, kwargs)


def _named_densenet(name: str) -> Callable[..., Backbone]:
    def build(
        task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
    ) -> Backbone:
        return _densenet(name, in_channels, kwargs)

    return build


def _densenet(name: str, in_channels: int, kwargs: dict[str, Any]) -> Backbone:
    from monai.networks.nets import densenet as module

    net = getattr(module, name)(spatial_dims=2, in_channels=in_channels, out_channels=1, **kwargs)
    features = net.class_layers.out.in_features
    net.class_layers.out = nn.Identity()
    return Backbone(net, features)


densenet121, densenet169 = _named_densenet("DenseNet121"), _named_densenet("DenseNet169")
densenet201, densenet264 = _named_densenet("DenseNet201"), _named_densenet("DenseNet264")


def senet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    block: str = "se_resnet_bottleneck",
    layers: Sequence[int] = (1, 1, 1, 1),
    groups: int = 1,
    reduction: int = 16,
    **kwargs: Any,
) -> Backbone:
    """Build a squeeze-and-excitation network of any depth (four stages)."""
    options = {"block": block, "layers": list(layers), "groups": groups, "reduction": reduction, **kwargs}
    return _senet("SENet", in_channels, options)


def _named_senet(name: str) -> Callable[..., Backbone]:
    def build(
        task_type: str, in_channels: int, out_channels: int, image_size: tuple[int, int], **kwargs: Any
    ) -> Backbone:
        return _senet(name, in_channels, kwargs)

    return build


def _senet(name: str, in_channels: int, kwargs: dict[str, Any]) -> Backbone:
    from monai.networks.nets import senet as module

    net = getattr(module, name)(spatial_dims=2, in_channels=in_channels, num_classes=1, **kwargs)
    features = net.last_linear.in_features
    # MONAI pools over 7 x 7; images of any size need the pooling to follow them.
    net.adaptive_avg_pool = nn.AdaptiveAvgPool2d(1)
    net.last_linear = nn.Identity()
    return Backbone(net, features)


senet154 = _named_senet("SENet154")
seresnet50, seresnet101 = _named_senet("SEResNet50"), _named_senet("SEResNet101")
seresnet152 = _named_senet("SEResNet152")
seresnext50, seresnext101 = _named_senet("SEResNext50"), _named_senet("SEResNext101")


def efficientnet(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    model_name: str = "efficientnet-b0",
    **kwargs: Any,
) -> Backbone:
    """Build an EfficientNet by MONAI's name of its scale."""
    from monai.networks.nets.efficientnet import EfficientNetBN

    options = {"pretrained": False, **kwargs}
    net = EfficientNetBN(model_name, spatial_dims=2, in_channels=in_channels, num_classes=1, **options)
    features = net._fc.in_features
    net._fc = nn.Identity()
    return Backbone(net, features)


def _named_efficientnet(scale: str) -> Callable[..., Backbone]:
    return partial(efficientnet, model_name=f"efficientnet-{scale}")


efficientnet_b0, efficientnet_b1 = _named_efficientnet("b0"), _named_efficientnet("b1")
efficientnet_b2, efficientnet_b3 = _named_efficientnet("b2"), _named_efficientnet("b3")
efficientnet_b4, efficientnet_b5 = _named_efficientnet("b4"), _named_efficientnet("b5")
efficientnet_b6, efficientnet_b7 = _named_efficientnet("b6"), _named_efficientnet("b7")
efficientnet_b8, efficientnet_l2 = _named_efficientnet("b8"), _named_efficientnet("l2")


def classifier(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    channels: Sequence[int] = (16, 32, 64),
    strides: Sequence[int] = (2, 2, 2),
    **kwargs: Any,
) -> Backbone:
    """Build residual units one after the other, for images of one size."""
    from monai.networks.nets.classifier import Classifier

    shape = (in_channels, *image_size)
    net = Classifier(in_shape=shape, classes=1, channels=list(channels), strides=list(strides), **kwargs)
    flatten, linear = net.final
    net.final, net.reshape = flatten, nn.Identity()
    return Backbone(net, linear.in_features)


def vit(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    patch_size: int = 16,
    hidden_size: int = 768,
    **kwargs: Any,
) -> Backbone:
    """Build a vision transformer whose class token is the feature vector."""
    from monai.networks.nets.vit import ViT

    net = ViT(
        in_channels=in_channels,
        img_size=image_size,
        patch_size=patch_size,
        hidden_size=hidden_size,
        classification=True,
        num_classes=1,
        spatial_dims=2,
        **kwargs,
    )
    net.classification_head = nn.Identity()
    drop_idle_norms(net)
    return Backbone(net, hidden_size)


def navit(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    patch_size: int = 16,
    hidden_size: int = 768,
    mlp_dim: int = 3072,
    num_layers: int = 12,
    num_heads: int = 12,
    **kwargs: Any,
) -> Backbone:
    """Build a vision transformer for images of any size that is a multiple of the patch."""
    from monai.networks.nets.navit import NaViT

    net = NaViT(
        image_size=image_size,
        patch_size=patch_size,
        num_classes=1,
        hidden_size=hidden_size,
        mlp_dim=mlp_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        in_channels=in_channels,
        spatial_dims=2,
        **kwargs,
    )
    norm, _ = net.mlp_head
    net.mlp_head = norm
    return Backbone(_OneByOne(net), hidden_size)


class _OneByOne(nn.Module):
    """Gives a network that packs several images into a sequence each in a sequence of its own."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.net([[image] for image in images])
        return features


def drop_idle_norms(net: nn.Module) -> None:
    """Remove the norms that MONAI's transformer blocks keep for cross attention they do not have."""
    for module in net.modules():
        if getattr(module, "with_cross_attention", None) is False:
            module.norm_cross_attn = nn.Identity()
