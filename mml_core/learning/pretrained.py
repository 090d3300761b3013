"""First weights of a network from a file: published ones, those of a stored model, or the hub's."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mml_core.learning.initial_weights import ALL, ANY, HUB, InitialWeights, locate
from mml_core.learning.weights import WeightsError, WeightsMismatchError, read_weights
from mml_core.storage.hashing import sha256_file

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule

log = logging.getLogger(__name__)

NETWORK = "network."
HEADS = "heads."
INNER = ("state_dict", "model", "model_state_dict", "network")
"""Where a checkpoint of another program keeps its tensors."""
WRAPPERS = ("module.", "_orig_mod.")
"""What torch's wrappers put before every name."""
SAFE_PICKLES_FROM = (2, 6)
"""Before, torch's reader of nothing but tensors could be made to run code (CVE-2025-32434)."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a network took from a file.

    Attributes:
        source: What the config names.
        path: The file.
        sha256: Of its content.
        loaded: Number of tensors that were taken.
        left: Tensors of the file that the network does not have, such as a classifier.
        missing: Tensors of the network that the file lacks.
        shapes: Name → [shape in the file, shape in the network] where they differ.
    """

    source: str
    path: str
    sha256: str
    loaded: int
    left: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    shapes: dict[str, list[list[int]]] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{self.loaded} tensors from {self.path}"]
        for what, names in (("left", self.left), ("missing", self.missing), ("of other shape", self.shapes)):
            if names:
                parts.append(f"{what}: {', '.join(names)}")
        return "; ".join(parts)


def load_initial_weights(model: MMLModule, wanted: InitialWeights, results: Path | None = None) -> Loaded:
    """Give a new model the weights of a file, heads excepted; nothing is changed where this raises.

    Names may be those of the network as it stands, of what it wraps, or of a stored model. A network may make
    published weights fit itself, by a method ``fit_weights(tensors) -> tensors``; these are then for its
    submodule ``encoder`` alone. Where ``hub`` is wanted, its method ``published_weights() -> Path`` is asked.

    Args:
        model: Freshly made.
        wanted: Which file, and what has to fit.
        results: The folder of all projects, for stored models by number.

    Returns:
        What was taken; the model keeps it as ``initial_weights``.

    Raises:
        WeightsError: The file is not there, or cannot be read.
        WeightsMismatchError: Tensors do not fit; each is listed.
    """
    network = model.network
    path = _from_hub(network) if wanted.source == HUB else locate(wanted.source, results)
    tensors = read_tensors(path)
    own = network.state_dict()
    found, required = _named(network, own, tensors)
    fitting = {
        name: tensor for name, tensor in found.items() if name in own and own[name].shape == tensor.shape
    }
    shapes = {
        name: (tuple(found[name].shape), tuple(own[name].shape))
        for name in sorted(found.keys() & own.keys() - fitting.keys())
    }
    missing = [name for name in sorted(required - found.keys()) if not name.endswith("num_batches_tracked")]
    left = sorted(found.keys() - own.keys())
    refused = left if wanted.match == ALL else []
    if not fitting or (wanted.match != ANY and (missing or shapes or refused)):
        advice = "Use the network they were trained with"
        if wanted.match != ANY and fitting:
            advice += ", or set arch.weights_match=any to leave the others as they are initialised"
        raise WeightsMismatchError(path, missing, left if not fitting else refused, shapes, f"{advice}.")
    with torch.no_grad():
        network.load_state_dict({**own, **fitting})
    result = Loaded(
        source=wanted.source,
        path=str(path),
        sha256=sha256_file(path),
        loaded=len(fitting),
        left=left,
        missing=missing,
        shapes={name: [list(theirs), list(mine)] for name, (theirs, mine) in shapes.items()},
    )
    log.log(logging.WARNING if missing or shapes else logging.INFO, "initial weights: %s", result)
    model.initial_weights = asdict(result)
    return result


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, or of one that torch has saved; never anything else.

    Raises:
        WeightsError: It cannot be read, holds no tensors, or this torch cannot read such a file safely.
    """
    if path.suffix == ".safetensors":
        return read_weights(path)
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_PICKLES_FROM:
        raise WeightsError(
            f"Weights {path} are a pickle, which torch {torch.__version__} cannot read safely; update torch,"
            " or convert them to safetensors."
        )
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file of strangers makes the reader raise
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"Weights {path} cannot be read as nothing but tensors ({type(error).__name__}: {reason});"
            " convert them to safetensors where you trust them."
        ) from error
    tensors = _tensors_in(stored)
    if not tensors:
        raise WeightsError(f"Weights {path} hold no tensors by name, found {type(stored).__name__}.")
    return tensors


def _tensors_in(stored: Any) -> dict[str, Tensor]:
    if not isinstance(stored, Mapping):
        return {}
    for key in INNER:
        if isinstance(stored.get(key), Mapping):
            return _tensors_in(stored[key])
    tensors = {str(name): value for name, value in stored.items() if isinstance(value, Tensor)}
    for wrapper in WRAPPERS:
        if tensors and all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors


def _named(
    network: nn.Module, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Collection[str]]:
    """Return tensors by the names of the network, and the names that have to be there."""
    if any(name.startswith(NETWORK) for name in tensors):
        heads = [name for name in tensors if name.startswith(HEADS)]
        return {
            name.removeprefix(NETWORK): tensor for name, tensor in tensors.items() if name not in heads
        }, own.keys()
    fit: Any = getattr(network, "fit_weights", None)
    if callable(fit) and not own.keys() <= tensors.keys():
        prefix = f"{network.encoder}."
        fitted: Mapping[str, Tensor] = fit(tensors)
        return (
            {prefix + name: tensor for name, tensor in fitted.items()},
            {name for name in own if name.startswith(prefix)},
        )
    prefix = max(_prefixes(network), key=lambda each: sum(each + name in own for name in tensors))
    return {prefix + name: tensor for name, tensor in tensors.items()}, own.keys()


def _prefixes(network: nn.Module) -> list[str]:
    """Return what may stand before the names of what a network wraps, nothing first."""
    prefixes, module = [""], network
    while len(children := list(module.named_children())) == 1:
        name, module = children[0]
        prefixes.append(f"{prefixes[-1]}{name}.")
    return prefixes


def _from_hub(network: nn.Module) -> Path:
    publishing: Any = getattr(network, "published_weights", None)
    if not callable(publishing):
        raise WeightsError(
            "arch.weights=hub: the architecture publishes no weights; give a file by arch.weights=<path>, or"
            " choose one that does, such as arch=timm."
        )
    return Path(publishing())
