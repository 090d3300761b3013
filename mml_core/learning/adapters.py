"""Parameter-efficient fine-tuning: small adapters beside frozen weights, by the library peft."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError, near_matches
from mml_core.learning.options import OptionError, choose, plain, require_arguments, require_known

if TYPE_CHECKING:
    from torch import nn

    from mml_core.learning.layers import Layer
    from mml_core.learning.optimised import OptimisedModule

log = logging.getLogger(__name__)

NONE, AUTO = "none", "auto"
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("LoraConfig", {}),
    "loha": ("LoHaConfig", {}),
    "lokr": ("LoKrConfig", {}),
    "ia3": ("IA3Config", {"feedforward_modules": []}),
    "hra": ("HRAConfig", {}),
}
"""Methods for linear layers and convolutions that begin as if they were not there, and merge exactly."""
MANAGED = ("target_modules", "task_type", "peft_type", "inference_mode", "modules_to_save", "bias")
SHOWN = 8


class AdapterError(MMLError):
    """Adapters cannot be put into a network as asked."""


@dataclass(frozen=True, kw_only=True)
class AdapterRule:
    """Which adapters a network is trained by.

    Attributes:
        name: One of ``METHODS``.
        targets: Names of the modules that get one, or how these names end; empty for an automatic choice.
        options: What peft's configuration of the method takes.
    """

    name: str
    targets: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, group: Any) -> AdapterRule | None:
        """Read the group ``adapter``; None where there is no adapter.

        Raises:
            OptionError: An option is unknown or impossible.
        """
        given: Mapping[str, Any] = plain(group) or {}
        require_known("adapter", given, ("name", "targets", "kwargs"))
        name = given.get("name") or NONE
        if name == NONE:
            return None
        choose("adapter.name", name, METHODS)
        targets = given.get("targets", AUTO)
        if targets != AUTO and not (
            isinstance(targets, list) and targets and all(isinstance(each, str) and each for each in targets)
        ):
            raise OptionError(
                f"adapter.targets is {targets!r}; write auto, or a list of names of modules, as [qkv,proj]."
            )
        return cls(
            name=str(name),
            targets=() if targets == AUTO else tuple(targets),
            options=dict(given.get("kwargs") or {}),
        )


def add_adapters(model: OptimisedModule, rule: AdapterRule) -> tuple[str, ...]:
    """Put adapters into the network of a model; only they and the heads are trained from then on.

    Everything else of the network stays as it is, batch statistics and dropout included. A network without a
    head, as those for segmentation, trains its last layer as a whole in its place.

    LoRA: Hu et al., ICLR 2022; LoHa: Hyeon-Woo et al., FedPara, ICLR 2022; LoKr: Yeh et al., LyCORIS, ICLR
    2024; IA3: Liu et al., NeurIPS 2022; HRA: Yuan et al., NeurIPS 2024.

    Args:
        model: A model whose network is not adapted yet.
        rule: Which adapters.

    Returns:
        The names of the modules of the network that got one.

    Raises:
        AdapterError: peft is not installed, or the network, its frozen parts or the recipe do not allow it.
        OptionError: peft's method does not know an option.
    """
    peft = _peft()
    network = model.network
    if model.kept_in_eval:
        raise AdapterError(
            f"adapter={rule.name} freezes the network itself; set mode.freeze=none, or adapter=none to train"
            " the layers that are left."
        )
    if model.recipe is not None and (model.recipe.optimizer.get("layer_decay") or 1) != 1:
        raise AdapterError(
            f"optimizer.layer_decay has no effect with adapter={rule.name}, whose weights are all new; set"
            " optimizer.layer_decay=1."
        )
    whole = _whole(network)
    targets = _targets(network, rule, whole)
    class_name, fixed = METHODS[rule.name]
    make: Any = getattr(peft, class_name)
    require_arguments("adapter.kwargs", make, rule.options, managed=(*MANAGED, *fixed))
    try:
        peft.inject_adapter_in_model(make(target_modules=list(targets), **fixed, **rule.options), network)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise AdapterError(
            f"adapter={rule.name} with {rule.options} does not fit the network:"
            f" {' '.join(str(error).split())}"
        ) from error
    for name, parameter in network.named_parameters():
        if whole.holds(name):
            parameter.requires_grad_(True)
    model.keep_in_eval(_frozen(network))
    model.adapted = targets
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    total = sum(each.numel() for each in model.parameters())
    shown = ", ".join(targets[:SHOWN]) + (f" and {len(targets) - SHOWN} more" if len(targets) > SHOWN else "")
    log.info(
        "adapter %s on %d modules (%s)%s: %d of %d parameters are trained",
        rule.name,
        len(targets),
        shown,
        f", {', '.join(whole.prefixes)} trained as a whole" if whole.prefixes else "",
        trained,
        total,
    )
    return targets


def merge_adapters(model: OptimisedModule) -> None:
    """Add what adapters have learnt to the weights beside them, and remove the adapters."""
    if not model.adapted:
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [
        (name, each) for name, each in model.network.named_modules() if isinstance(each, BaseTunerLayer)
    ]
    for name, layer in layers:
        layer.merge(safe_merge=True)
        model.network.set_submodule(name, layer.get_base_layer())
    model.adapted = ()


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise AdapterError(
            f"Adapters need the library peft, which cannot be imported ({error}); run: pip install"
            " 'mml-core[peft]', or set adapter=none."
        ) from error
    return peft


def _whole(network: nn.Module) -> Layer:
    """Return what is trained as a whole: the last layer, or nothing where there is a head behind it."""
    from mml_core.learning.layers import Layer, layers_of

    return Layer(prefixes=()) if hasattr(network, "feature_dim") else layers_of(network)[-1]


def _targets(network: nn.Module, rule: AdapterRule, whole: Layer) -> tuple[str, ...]:
    possible = {name: module for name, module in _adaptable(network) if not whole.holds(name)}
    if rule.targets:
        wrong = [
            target for target in rule.targets if not any(_is_meant(name, (target,)) for name in possible)
        ]
        if wrong:
            ends = sorted({name.rpartition(".")[2] for name in possible})
            hint = near_matches(wrong[0], [*possible, *ends])
            raise AdapterError(
                f"adapter.targets: nothing that can be adapted is called '{wrong[0]}' in the network.{hint}"
                f" Names end in {', '.join(ends[:20]) or 'none'}."
            )
        return tuple(name for name in possible if _is_meant(name, rule.targets))
    kinds: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for name, module in possible.items():
        kind = "linear" if hasattr(module, "in_features") else "convolution"
        kinds.setdefault(kind, []).append(name)
        sizes[kind] = sizes.get(kind, 0) + sum(each.numel() for each in module.parameters())
    if not kinds:
        raise AdapterError(
            f"adapter={rule.name} fits linear layers and convolutions that are not grouped; the network has"
            " none."
        )
    return tuple(kinds[max(sizes, key=lambda kind: sizes[kind])])


def _is_meant(name: str, targets: tuple[str, ...]) -> bool:
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _adaptable(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield linear layers and convolutions that are called as such; torch's attention does not."""
    from torch import nn

    inside = [name for name, each in network.named_modules() if isinstance(each, nn.MultiheadAttention)]
    for name, module in network.named_modules():
        plain_convolution = isinstance(module, nn.Conv2d) and module.groups == 1
        if (isinstance(module, nn.Linear) or plain_convolution) and not any(
            name.startswith(f"{attention}.") for attention in inside
        ):
            yield name, module


def _frozen(network: nn.Module) -> frozenset[str]:
    """Return the modules that stay in eval mode: all that are frozen, but nothing of the adapters."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    from mml_core.learning.freezing import freeze

    adapters = [name for name, each in network.named_modules() if isinstance(each, BaseTunerLayer)]
    return frozenset(
        name
        for name in freeze(network, ())
        if not any(
            name.startswith(f"{layer}.") and not f"{name}.".startswith(f"{layer}.base_layer.")
            for layer in adapters
        )
    )
