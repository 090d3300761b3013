"""The layers of MONAI's segmentation networks in the order from input to output.

Registered order is that of most networks; these nest, interleave, or register their parts in another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from mml_core.api import Layer, layers_of

Order = Iterator[tuple[str, ...]]


def layer_groups(net: Any) -> list[tuple[str, ...]]:
    """Return the layers of a MONAI network as prefixes of the names of its parameters, input first.

    What no layer of an order known here holds belongs to the first one.
    """
    inner, prefix = net, ""
    while type(inner).__name__ not in ORDERS and len(children := list(inner.named_children())) == 1:
        prefix, inner = f"{prefix}{children[0][0]}.", children[0][1]
    order = ORDERS.get(type(inner).__name__)
    if order is None:
        return [layer.prefixes for layer in layers_of(net)]
    trained = [name for name, _ in inner.named_parameters()]
    groups = [
        tuple(part for part in group if any(map(Layer(prefixes=(part,)).holds, trained)))
        for group in order(inner)
    ]
    groups = [group for group in groups if group]
    known = Layer(prefixes=tuple(part for group in groups for part in group))
    rest = tuple(name for name in trained if not known.holds(name))
    groups[0] += rest
    return [tuple(prefix + part for part in group) for group in groups]


def _each(net: nn.Module, *lists: str) -> Order:
    """Yield the members of lists of modules in turn: the first of each, the second of each, and so on."""
    members = [[f"{name}.{key}" for key, _ in net.get_submodule(name).named_children()] for name in lists]
    for position in range(max(len(each) for each in members)):
        yield from ((each[position],) for each in members if position < len(each))


def _within(net: nn.Module, name: str) -> Order:
    for layer in layers_of(net.get_submodule(name)):
        yield tuple(f"{name}.{part}" for part in layer.prefixes)


def _nested(net: nn.Module) -> Order:
    """UNet and Quicknat: what goes down, a connection around all that is deeper, and what goes up."""
    yield from _nested_parts(net.get_submodule("model"), "model")


def _nested_parts(module: nn.Module, name: str) -> Order:
    children = dict(module.named_children())
    if not any("SkipConnection" in type(child).__name__ for child in children.values()):
        yield (name,)
        return
    for key, child in children.items():
        if "SkipConnection" in type(child).__name__:
            yield from _nested_parts(child.get_submodule("submodule"), f"{name}.{key}.submodule")
        else:
            yield (f"{name}.{key}",)


def _attention_unet(net: Any) -> Order:
    yield ("model.0",)
    yield from _attention_parts(net.model[1], "model.1")
    yield ("model.2",)


def _attention_parts(layer: Any, name: str) -> Order:
    deeper = layer.submodule
    if type(deeper).__name__ == "Sequential":
        yield (f"{name}.submodule.0",)
        yield from _attention_parts(deeper[1], f"{name}.submodule.1")
    else:
        yield (f"{name}.submodule",)
    yield tuple(f"{name}.{part}" for part in ("upconv", "attention", "merge"))


def _basic_unet_plus_plus(net: nn.Module) -> Order:
    yield ("conv_0_0",)
    for depth in range(1, 5):
        yield (f"conv_{depth}_0",)
        yield from ((f"upcat_{depth - step}_{step}",) for step in range(1, depth + 1))
    yield ("final_conv_0_4",)


def _dynunet(net: nn.Module) -> Order:
    yield ("input_block",)
    yield from _each(net, "downsamples")
    yield ("bottleneck",)
    yield from _each(net, "upsamples")
    yield ("output_block",)


def _segresnet(net: nn.Module) -> Order:
    yield ("convInit",)
    yield from _each(net, "down_layers")
    yield tuple(name for name, _ in net.named_children() if name.startswith("vae_"))
    yield from _each(net, "up_samples", "up_layers")
    yield ("conv_final",)


def _segresnet_ds(net: nn.Module) -> Order:
    yield ("encoder.conv_init",)
    yield from _each(net, "encoder.layers")
    yield from _each(net, "up_layers_auto" if hasattr(net, "up_layers_auto") else "up_layers")


def _dints(net: Any) -> Order:
    yield ("stem_down",)
    cells: dict[str, list[str]] = {}
    for key in net.dints_space.cell_tree:  # "(block, path)"
        cells.setdefault(key.partition(",")[0], []).append(f"dints_space.cell_tree.{key}")
    yield from (tuple(names) for names in cells.values())
    yield ("stem_up",)
    yield from _each(net, "stem_finals")


def _mednext(net: nn.Module) -> Order:
    yield ("stem",)
    yield from _each(net, "enc_stages", "down_blocks")
    yield from _each(net, "bottleneck")
    yield from _each(net, "up_blocks", "dec_stages")
    yield ("out_0",)


def _unetr(net: nn.Module) -> Order:
    yield ("vit.patch_embedding",)
    yield from _each(net, "vit.blocks")
    yield ("vit.norm",)
    yield from ((f"encoder{number}",) for number in range(1, 5))
    yield from ((f"decoder{number}",) for number in range(5, 1, -1))
    yield ("out",)


def _flexible_unet(net: nn.Module) -> Order:
    yield from _within(net, "encoder")
    yield from _within(net, "decoder")
    yield ("segmentation_head",)


ORDERS: dict[str, Callable[[Any], Order]] = {
    "UNet": _nested,
    "Quicknat": _nested,
    "AttentionUnet": _attention_unet,
    "BasicUNetPlusPlus": _basic_unet_plus_plus,
    "DynUNet": _dynunet,
    "SegResNet": _segresnet,
    "SegResNetVAE": _segresnet,
    "SegResNetDS": _segresnet_ds,
    "SegResNetDS2": _segresnet_ds,
    "DiNTS": _dints,
    "MedNeXt": _mednext,
    "UNETR": _unetr,
    "FlexibleUNet": _flexible_unet,
}
