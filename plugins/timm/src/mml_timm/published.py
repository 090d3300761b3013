"""Weights that timm publishes: finding their file, and fitting them to a network of other images."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mml_core.api import MMLError

FILES = ("model.safetensors", "pytorch_model.bin")
"""What the file of the weights is called in a repository of the hub, in order of preference."""
UNSET = -77
"""Stands in every element of a tensor that a file has not filled."""


class HubError(MMLError):
    """Published weights are not on this machine and cannot be downloaded."""


class UnfitWeightsError(MMLError):
    """A file does not hold weights of a network of timm."""


def fetch(net: nn.Module) -> Path:
    """Return the file of the weights that are published for a network: from the cache, or downloaded once.

    ``HF_HUB_OFFLINE=1`` keeps to the cache; ``HF_HOME`` says where it lies.

    Args:
        net: timm's network, plain or as features of several scales.

    Raises:
        HubError: There are none, or they are not in the cache and cannot be downloaded.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    config: Any = net.pretrained_cfg
    name = ".".join(part for part in (config.get("architecture"), config.get("tag")) if part)
    repository = config.get("hf_hub_id")
    if not repository:
        url = config.get("url")
        advice = (
            f"download {url} and set arch.weights=<file>"
            if url
            else "train it from scratch: arch.weights=null"
        )
        raise HubError(f"timm has no weights of '{name}' in the hub; {advice}.")
    wanted = config.get("hf_hub_filename")
    problem: Exception | None = None
    for file in (wanted,) if wanted else FILES:
        try:
            return Path(hf_hub_download(repository, file))
        except EntryNotFoundError as error:  # LocalEntryNotFoundError is one, and an OSError, too
            problem = problem or error
        except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
            problem = error
            break
    raise HubError(
        f"The weights of '{name}' are not on this machine and cannot be downloaded"
        f" ({type(problem).__name__}); where there is a network, run 'hf download {repository}"
        f" {wanted or FILES[0]}', and give the file or its folder by arch.weights=<path>."
    ) from problem


def fitted(
    own: Collection[str], twin: nn.Module, in_channels: int, tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return published weights by the names, and in the shapes, of a network of timm.

    timm does the work: it knows the names that authors of a network used, makes the first convolution fit
    the channels and the embeddings of positions the size of the images, and leaves the classifier out.

    Args:
        own: Names of the tensors of the network, plain or as features of several scales.
        twin: The same network as timm publishes it, without its classifier; it is changed.
        in_channels: Channels of its images.
        tensors: What is in the file.

    Returns:
        Those of the network's tensors that the file has.

    Raises:
        UnfitWeightsError: timm cannot make sense of them.
    """
    from timm.models import load_pretrained, model_entrypoint

    config: Any = twin.pretrained_cfg
    module = importlib.import_module(model_entrypoint(config["architecture"]).__module__)
    marked = {name: torch.full_like(tensor, UNSET) for name, tensor in twin.state_dict().items()}
    twin.load_state_dict(marked)
    try:
        load_pretrained(
            twin,
            {**config, "source": "", "custom_load": False, "state_dict": dict(tensors)},
            num_classes=0,
            in_chans=in_channels,
            filter_fn=getattr(module, "checkpoint_filter_fn", None),
            strict=False,
        )
    except (RuntimeError, KeyError, AttributeError, ValueError, IndexError, AssertionError) as error:
        raise UnfitWeightsError(
            f"These are no weights of timm's '{config['architecture']}' for images of {in_channels} channels:"
            f" {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    return {
        name: tensor
        for plain, tensor in twin.state_dict().items()
        if not torch.equal(tensor, marked[plain])
        for name in spellings(plain)
        if name in own
    }


def spellings(name: str) -> tuple[str, ...]:
    """Return what a tensor of a plain network is called there, and among features of several scales."""
    return name, f"model.{name}", name.replace(".", "_", 1)
