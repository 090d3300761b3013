"""The layers of a network of timm, input first, as freezing and layer-wise learning rates need them."""

from __future__ import annotations

from typing import Any

from torch import nn

from mml_timm.published import spellings


def layer_groups(network: nn.Module, plain: Any) -> list[tuple[str, ...]]:
    """Return the layers of a network of timm as prefixes of the names of its parameters.

    Args:
        network: Holds timm's network as ``net``, and perhaps a ``decoder``.
        plain: The same network as timm publishes it, which tells its layers.
    """
    from timm.models import group_parameters

    names = [name for name, _ in network.named_parameters()]
    own = {name.removeprefix("net."): name for name in names if name.startswith("net.")}
    told = group_parameters(plain, plain.group_matcher(coarse=False))
    groups = [
        [own.pop(spelling) for name in group for spelling in spellings(name) if spelling in own]
        for _, group in sorted(told.items())
    ]
    if own:  # what only features of several scales have, such as norms of their own
        groups.append(list(own.values()))
    decoder: Any = getattr(network, "decoder", None)
    if decoder is not None:
        groups += [
            [f"decoder.{part}.{name}" for name, _ in decoder.get_submodule(part).named_parameters()]
            for part in decoder.layers
        ]
    groups = [group for group in groups if group]
    where = {name: number for number, group in enumerate(groups) for name in group}
    return [tuple(dict.fromkeys(_widest_prefix(name, where) for name in group)) for group in groups]


def _widest_prefix(name: str, where: dict[str, int]) -> str:
    """Return the shortest prefix of a name under which all names are of the same layer."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        prefix = ".".join(parts[:length])
        if {layer for other, layer in where.items() if other.startswith(f"{prefix}.")} == {where[name]}:
            return prefix
    return name
