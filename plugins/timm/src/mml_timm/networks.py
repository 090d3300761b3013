"""Building any network of timm: a backbone, or for segmentation its features with a decoder on top."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mml_core.api import MMLError, near_matches
from mml_timm.layer_groups import layer_groups
from mml_timm.published import fetch, fitted

MANAGED = {
    "pretrained": "arch.weights=hub, or a file",
    "checkpoint_path": "arch.weights",
    "pretrained_cfg": "arch.weights",
    "pretrained_cfg_overlay": "arch.weights",
    "num_classes": "the task, whose head mml adds",
    "in_chans": "the images of the task",
    "features_only": "the type of the task",
    "cache_dir": "the variable HF_HOME",
}
"""Arguments of timm that are chosen elsewhere, and where."""
COARSEST = 32
"""Pixels per feature at the coarsest scale of most networks, which take images of such sizes."""


class TimmError(MMLError):
    """timm has no such network, or cannot build it as asked."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which network of timm is wanted.

    Attributes:
        model: Its name in timm.
        in_channels: Channels of the images.
        image_size: Their height and width in pixels.
        options: What timm's function of that name takes beside.
    """

    model: str
    in_channels: int
    image_size: tuple[int, int]
    options: Mapping[str, Any]

    @property
    def is_sized(self) -> bool:
        """Whether the network is built for images of one size, and the options do not give that."""
        import timm

        config = timm.get_pretrained_cfg(self.model)
        return config is not None and bool(config.fixed_input_size) and "img_size" not in self.options

    def build(self, **what: Any) -> nn.Module:
        """Let timm build the network, for images of the size where it depends on that.

        Args:
            **what: ``num_classes=0`` for one vector per image, ``features_only=True`` for features.
        """
        import timm

        arguments = {"pretrained": False, "in_chans": self.in_channels, **self.options, **what}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm's own, about names it has given up
            try:
                sized = {"img_size": self.image_size} if self.is_sized else {}
                return timm.create_model(self.model, **arguments, **sized)
            except TypeError as error:
                if not sized or "img_size" not in str(error):
                    raise
                return timm.create_model(self.model, **arguments)


class TimmNetwork(nn.Module):
    """What networks of timm have in common, whatever they put out.

    Args:
        request: What was asked of timm.
        net: What timm has built.

    Attributes:
        encoder: Name of the submodule that published weights are for.
    """

    encoder = "net"

    def __init__(self, request: Request, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self._request = request

    def layer_groups(self) -> list[tuple[str, ...]]:
        """Return the layers as timm tells them, input first, then those of a decoder: names of modules."""
        return layer_groups(self, self._plain())

    def published_weights(self) -> Path:
        """Return the file of the weights that timm publishes for the network, downloaded where need be.

        Raises:
            HubError: There are none, or they cannot be downloaded.
        """
        return fetch(self.net)

    def fit_weights(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights by the names, and in the shapes, of ``net``.

        The first convolution follows the number of channels, embeddings of positions the size of the image.

        Raises:
            UnfitWeightsError: They are those of another network.
        """
        return fitted(self.net.state_dict().keys(), self._plain(), self._request.in_channels, tensors)

    def _plain(self) -> nn.Module:
        """Return the network as timm publishes it, without its classifier."""
        with torch.random.fork_rng(devices=[]):
            return self._request.build(num_classes=0)


class TimmBackbone(TimmNetwork):
    """A network of timm without its classifier.

    Attributes:
        feature_dim: Length of the feature vector per image.
    """

    def __init__(self, request: Request) -> None:
        _check_size(request)
        super().__init__(request, request.build(num_classes=0))
        known: Any = self.net
        self.feature_dim = int(getattr(known, "head_hidden_size", None) or known.num_features)

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (B, C, H, W) into features (B, ``feature_dim``)."""
        features: Tensor = self.net(images)
        return features


def timm(
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
    *,
    model: str,
    decoder: str = "unet",
    decoder_channels: int = 16,
    **kwargs: Any,
) -> TimmNetwork:
    """Build a network of timm by name.

    Args:
        task_type: Type of the task; ``semantic_segmentation`` gets a decoder.
        in_channels: Channels of an image.
        out_channels: Classes, of a segmentation.
        image_size: Height and width in pixels.
        model: Name of the network in timm, such as ``resnet18`` or ``convnext_tiny.fb_in22k``.
        decoder: ``unet`` or ``fpn``.
        decoder_channels: Channels of the decoder at its finest scale.
        **kwargs: What timm's function of that name takes beside.

    Raises:
        TimmError: There is no such network, it has no features of several scales, or an argument is mml's.
    """
    for name in MANAGED:
        if name in kwargs:
            raise TimmError(f"arch.kwargs.{name} is no option of timm here: it follows {MANAGED[name]}.")
    check_name(model)
    request = Request(model=model, in_channels=in_channels, image_size=image_size, options=kwargs)
    if task_type != "semantic_segmentation":
        return TimmBackbone(request)
    from mml_timm.segmenter import build_segmenter

    return build_segmenter(request, out_channels, decoder=decoder, decoder_channels=decoder_channels)


def check_name(model: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        TimmError: With near matches.
    """
    import timm

    if ":" in model or "/" in model:
        raise TimmError(
            f"arch.kwargs.model={model!r} is no name of a network; name one, such as resnet18, and give"
            " weights by arch.weights."
        )
    base, _, tag = model.partition(".")
    if not timm.is_model(base):
        raise TimmError(
            f"timm {timm.__version__} has no network '{base}'.{near_matches(base, timm.list_models())} All"
            " are listed by python -c 'import timm; print(*timm.list_models())'."
        )
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise TimmError(
            f"timm {timm.__version__} has no weights '{tag}' of {base}.{near_matches(tag, tags)} Known:"
            f" {', '.join(tags) or 'none'}."
        )


def reason(error: Exception) -> str:
    """Return what an error of timm says, in one line of bearable length."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _check_size(request: Request) -> None:
    """Refuse images of a size that a network cannot take, by sending one through it without computing it.

    Raises:
        TimmError: Naming the size.
    """
    height, width = request.image_size
    if height % COARSEST == 0 and width % COARSEST == 0:
        return
    with torch.device("meta"), torch.no_grad():
        try:
            net = request.build(num_classes=0).eval()
            net(torch.empty(1, request.in_channels, height, width))
        except NotImplementedError:  # torch cannot tell without computing
            return
        except (RuntimeError, AssertionError, IndexError, ValueError) as error:
            raise TimmError(
                f"timm's '{request.model}' does not take images of {height}x{width} pixels ({reason(error)});"
                f" choose a preprocessing to a multiple of {COARSEST} pixels, or another network."
            ) from error
