"""The groups of parameters that an optimiser treats differently: by layer, and by what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from mml_core.learning.layers import Layer, layers_of
from mml_core.learning.options import OptionError, is_number

RATE_FACTOR = "rate_factor"
"""Key of a group: its learning rate as a share of that of the recipe."""


@dataclass(frozen=True, kw_only=True)
class GroupRule:
    """How the group ``optimizer`` of the config divides the parameters.

    Attributes:
        layer_decay: The learning rate of each layer is that of the layer after it, times this; the head has
            the whole (Howard and Ruder, ULMFiT, 2018; Clark et al., ELECTRA, 2020); 1: all have one rate.
        decay_norms_and_biases: Whether weight decay acts on normalisations and biases, too: on parameters of
            one dimension.
    """

    layer_decay: float = 1.0
    decay_norms_and_biases: bool = True

    @classmethod
    def pop_from(cls, options: dict[str, Any]) -> GroupRule:
        """Take the keys of this rule out of the options of an optimiser.

        Raises:
            OptionError: One of them is impossible.
        """
        decay = options.pop("layer_decay", None)
        decay = 1.0 if decay is None else decay
        if not is_number(decay) or not 0 < decay <= 1:
            raise OptionError(
                f"optimizer.layer_decay is {decay!r}; write a factor above 0, up to 1 (one rate for all)."
            )
        norms = options.pop("decay_norms_and_biases", True)
        if not isinstance(norms, bool):
            raise OptionError(f"optimizer.decay_norms_and_biases is {norms!r}; write true or false.")
        return cls(layer_decay=float(decay), decay_norms_and_biases=norms)

    @property
    def divides(self) -> bool:
        """Whether there is more than one group."""
        return self.layer_decay != 1 or not self.decay_norms_and_biases


def trained_parameters(
    network: nn.Module, heads: nn.Module, config: dict[str, Any]
) -> list[nn.Parameter] | list[dict[str, Any]]:
    """Return the parameters that need a gradient, divided into groups where the config asks for it.

    The groups are ordered by layer, input first, so that a resumed fit finds the same ones.

    Args:
        network: The network; its layers are those of ``layers_of``.
        heads: What follows it.
        config: The group ``optimizer``.

    Returns:
        Parameters, or groups ``{params, lr, rate_factor}``, with ``weight_decay: 0`` where none acts.

    Raises:
        LayersError: The network cannot tell its layers.
        OptionError: An option is impossible, or ``layer_decay`` is below 1 and there is only one layer.
    """
    rule, lr = GroupRule.pop_from(dict(config)), float(config["lr"])
    if not rule.divides:
        return [each for part in (network, heads) for each in part.parameters() if each.requires_grad]
    layers: tuple[Layer | None, ...] = (None,)
    if rule.layer_decay != 1:
        layers = layers_of(network)
        if len(layers) < 2:
            raise OptionError(
                f"optimizer.layer_decay={rule.layer_decay:g} needs a network of several layers, found"
                f" {len(layers)} in {type(network).__name__}; set optimizer.layer_decay=1."
            )
    headed = any(True for _ in heads.parameters())
    groups = []
    for number, layer in enumerate(layers):
        above = len(layers) - number - (not headed)
        held = [
            parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and (layer is None or layer.holds(name))
        ]
        groups += _groups(held, 1.0 if layer is None else rule.layer_decay**above, lr, rule)
    held = [parameter for parameter in heads.parameters() if parameter.requires_grad]
    return groups + _groups(held, 1.0, lr, rule)


def _groups(
    parameters: list[nn.Parameter], factor: float, lr: float, rule: GroupRule
) -> list[dict[str, Any]]:
    rate = {"lr": lr * factor, RATE_FACTOR: factor}
    if rule.decay_norms_and_biases:
        return [{"params": parameters, **rate}] if parameters else []
    decayed = [each for each in parameters if each.ndim > 1]
    spared = [each for each in parameters if each.ndim <= 1]
    found = [{"params": decayed, **rate}, {"params": spared, **rate, "weight_decay": 0.0}]
    return [group for group in found if group["params"]]
