"""Freezing parts of a network: their weights, batch statistics and dropout stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from mml_core.learning.layers import Layer, last_layers, layers_of
from mml_core.learning.options import OptionError, choose, is_whole, plain

NONE, BACKBONE, PARTIAL = "none", "backbone", "partial"


@dataclass(frozen=True, kw_only=True)
class FreezeRule:
    """Which parts of a network are trained.

    Attributes:
        kind: ``none``: all; ``backbone``: the head alone, a linear probe; ``partial``: it and some layers.
        unfreeze_last: Of ``partial``: how many of the last layers are trained, or which by name.
    """

    kind: str = NONE
    unfreeze_last: int | tuple[str, ...] = 1

    @classmethod
    def from_config(cls, mode: Mapping[str, Any]) -> FreezeRule:
        """Read ``freeze`` and ``unfreeze_last`` of a mode.

        Raises:
            OptionError: One of them is impossible.
        """
        asked = plain(mode.get("freeze"))
        kinds = {kind: kind for kind in (NONE, BACKBONE, PARTIAL)}
        kind: str = choose("mode.freeze", NONE if asked is None else asked, kinds)
        last = plain(mode.get("unfreeze_last", 1))
        last = [last] if isinstance(last, str) else last
        if is_whole(last, least=1):
            return cls(kind=kind, unfreeze_last=last)
        if isinstance(last, list) and last and all(isinstance(name, str) for name in last):
            return cls(kind=kind, unfreeze_last=tuple(last))
        raise OptionError(
            f"mode.unfreeze_last is {last!r}; write a number of layers from 1 on, or a list of their names."
        )

    def frozen_layers(self, network: nn.Module) -> tuple[Layer, ...]:
        """Return the layers that are frozen, input first.

        Raises:
            LayersError: The network has no such layers.
            OptionError: Nothing would be left to train, or nothing to freeze.
        """
        if self.kind == NONE:
            return ()
        layers = layers_of(network)
        if self.kind == BACKBONE:
            if getattr(network, "feature_dim", None) is None:
                raise OptionError(
                    "mode.freeze=backbone leaves nothing to train: the network puts out the final values"
                    " itself and has no head beside it; set mode.freeze=partial and mode.unfreeze_last=1."
                )
            return layers
        trained = last_layers(network, self.unfreeze_last)
        frozen = tuple(layer for layer in layers if layer not in trained)
        if not frozen:
            raise OptionError(
                f"mode.freeze=partial with mode.unfreeze_last={plain_names(self.unfreeze_last)} freezes"
                f" nothing: these are all {len(layers)} layers; choose fewer, or mode.freeze=none."
            )
        return frozen


def freeze(network: nn.Module, layers: Iterable[Layer]) -> frozenset[str]:
    """Take the gradient from the parameters of layers, and return the names of the modules to keep in eval.

    Those are the modules of which all parameters are frozen. One without parameters, as dropout, belongs to
    the parametrised module before it, in the order in which they were registered.

    Returns:
        Names of modules of the network, the empty name for the whole.
    """
    chosen = tuple(layers)
    for name, parameter in network.named_parameters():
        if any(layer.holds(name) for layer in chosen):
            parameter.requires_grad_(False)
    trained = [parameter.requires_grad for parameter in network.parameters()]
    frozen, last = set(), trained[:1] == [False]
    for name, module in network.named_modules():
        needed = {parameter.requires_grad for parameter in module.parameters()}
        if len(needed) == 1:
            last = needed == {False}
        if last and len(needed) < 2:
            frozen.add(name)
    return frozenset(frozen)


def plain_names(value: int | tuple[str, ...]) -> str:
    """Return a number, or names as they are written on the command line."""
    return str(value) if isinstance(value, int) else f"[{','.join(value)}]"
