"""The layers of a network in the order from input to output, as freezing and layer-wise rates need them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from mml_core.errors import MMLError, near_matches

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)
_CONTAINERS = (nn.Sequential, nn.ModuleList)


class LayersError(MMLError):
    """The layers of a network cannot be told, or one that was asked for is not there."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What is frozen, or has a learning rate, as a whole.

    Attributes:
        prefixes: Names of parameters, or of the modules that hold them, within the network.
    """

    prefixes: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the layer is called by: the first of its prefixes."""
        return self.prefixes[0]

    def holds(self, name: str) -> bool:
        """Whether the layer holds the parameter, buffer or module of this name."""
        return any(name == prefix or name.startswith(f"{prefix}.") for prefix in self.prefixes)


def layers_of(network: nn.Module) -> tuple[Layer, ...]:
    """Return the layers of a network, input first; each parameter is in exactly one.

    A network may say them itself: ``layer_groups() -> list[tuple[str, ...]]`` returns prefixes of the names
    of its parameters. Else they are its children in the order in which they were registered, after modules
    that only wrap another one are opened: containers give each of their children, and a normalisation, or
    what has no parameters, belongs to the layer before it. Parameters of the network itself, such as the
    embedding of positions, belong to the first layer.

    Raises:
        LayersError: What the network says leaves a parameter out or names it twice.
    """
    told = getattr(network, "layer_groups", None)
    if callable(told):
        layers = tuple(Layer(prefixes=tuple(group)) for group in told())
        _check(network, layers)
        return layers
    own: list[str] = []
    groups: list[list[str]] = []
    for name, part in _parts("", network, own):
        joins = isinstance(part, _NORMS) or not any(True for _ in part.parameters())
        if joins and groups:
            groups[-1].append(name)
        elif any(True for _ in part.parameters()):
            groups.append([name])
    if own:
        groups = [[*groups[0], *own], *groups[1:]] if groups else [own]
    return tuple(Layer(prefixes=tuple(group)) for group in groups)


def last_layers(network: nn.Module, wanted: int | Iterable[str]) -> tuple[Layer, ...]:
    """Return the last so many layers, or those of the names (or names within them) that are given.

    Raises:
        LayersError: There are not so many, or none has such a name.
    """
    layers = layers_of(network)
    if isinstance(wanted, int):
        if not 1 <= wanted <= len(layers):
            raise LayersError(
                f"The last {wanted} layers are to be trained, but the network has {len(layers)}:"
                f" {_listed(layers)}; choose 1 to {len(layers)}, or names."
            )
        return layers[-wanted:]
    chosen = []
    for name in wanted:
        found = [layer for layer in layers if layer.holds(name) or name in layer.prefixes]
        found = found or [layer for layer in layers if any(p.startswith(f"{name}.") for p in layer.prefixes)]
        if not found:
            raise LayersError(
                f"The network has no layer '{name}'.{near_matches(name, [layer.name for layer in layers])}"
                f" It has, input first: {_listed(layers)}."
            )
        chosen += found
    return tuple(layer for layer in layers if layer in chosen)


def _parts(prefix: str, module: nn.Module, own: list[str]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers of a module; names of parameters that are its own are added to ``own``."""
    dot = f"{prefix}." if prefix else ""
    own += [dot + name for name, _ in module.named_parameters(recurse=False)]
    children = list(module.named_children())
    if len(children) == 1:
        (name, child), *_ = children
        if any(True for _ in child.children()):
            yield from _parts(dot + name, child, own)
        else:
            yield dot + name, child
        return
    for name, child in children:
        plain = not any(True for _ in child.parameters(recurse=False))
        if isinstance(child, _CONTAINERS) and len(child) and plain:
            for inner, part in child.named_children():
                yield f"{dot}{name}.{inner}", part
        else:
            yield dot + name, child


def _check(network: nn.Module, layers: tuple[Layer, ...]) -> None:
    for name, _ in network.named_parameters():
        holding = [layer.name for layer in layers if layer.holds(name)]
        if len(holding) != 1:
            where = f"in the layers {', '.join(holding)}" if holding else "in none"
            raise LayersError(
                f"{type(network).__name__}.layer_groups() has to put each parameter into one layer; '{name}'"
                f" is {where}."
            )


def _listed(layers: Iterable[Any]) -> str:
    return ", ".join(layer.name for layer in layers)
