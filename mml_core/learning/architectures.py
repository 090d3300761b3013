"""Choosing a registered architecture and building its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.options import plain, require_known

if TYPE_CHECKING:
    from torch import nn

    from mml_core.plugins import ArchitectureSpec, PluginManager

AUTO = "auto"


class ArchitectureError(MMLError):
    """An architecture cannot be built as asked."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A registered architecture with its keyword arguments.

    Attributes:
        name: Name in the registry, ``provider:name`` where ambiguous.
        kwargs: Keyword arguments of its builder.
        channels_last: Whether its weights lie channels-last in memory, unless torch cannot train it so.
    """

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    channels_last: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a pipeline file."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Architecture:
        """Rebuild what :meth:`to_json` gave."""
        if not isinstance(stored, Mapping):
            raise TypeError(f"an architecture has a name and kwargs, found {stored!r}")
        require_known("arch", stored, ("name", "kwargs", "channels_last"))
        return cls(
            name=str(stored["name"]),
            kwargs=dict(stored.get("kwargs") or {}),
            channels_last=bool(stored.get("channels_last", False)),
        )


def choose_architecture(config: Any, task_type: str) -> Architecture:
    """Read the config group ``arch``; ``auto`` picks by task type.

    Args:
        config: ``{name, kwargs}``, or ``{name: auto, auto: {<task type>: {name, kwargs}}}``.
        task_type: Type of the task the network is for.

    Raises:
        ArchitectureError: If the group is incomplete, or ``auto`` knows nothing for the task type.
    """
    chosen = plain(config) or {}
    require_known(
        "arch", chosen, ("name", "kwargs", "channels_last", "compile", "weights", "weights_match", AUTO)
    )
    channels_last = bool(chosen.get("channels_last"))
    if chosen.get("name") == AUTO:
        by_type = chosen.get("auto") or {}
        if chosen.get("kwargs"):
            raise ArchitectureError(
                f"arch.kwargs has no effect with arch=auto; set arch.auto.{task_type}.kwargs, or choose"
                " an architecture by arch.name."
            )
        if task_type not in by_type:
            raise ArchitectureError(
                f"arch.auto has no architecture for tasks of type '{task_type}', only for"
                f" {', '.join(sorted(by_type)) or 'none'}; set arch.auto.{task_type}."
            )
        chosen = by_type[task_type]
    name = chosen.get("name")
    if not name:
        raise ArchitectureError("arch.name is empty; choose an architecture, for example arch=auto.")
    return Architecture(name=str(name), kwargs=dict(chosen.get("kwargs") or {}), channels_last=channels_last)


def find_architecture(architecture: Architecture, plugins: PluginManager, task_type: str) -> ArchitectureSpec:
    """Look an architecture up, without importing it.

    Raises:
        ArchitectureError: If it does not serve the task type.
        UnknownNameError: If no such architecture is registered.
    """
    spec = plugins.architectures.get(architecture.name)
    if spec.task_types and task_type not in spec.task_types:
        fitting = [
            entry.record.name
            for entry in plugins.architectures.items()
            if task_type in (entry.record.task_types or (task_type,))
        ]
        raise ArchitectureError(
            f"Architecture '{architecture.name}' serves {', '.join(spec.task_types)}, not '{task_type}';"
            f" choose one of {', '.join(sorted(fitting)) or 'none is installed'}, or arch=auto."
        )
    return spec


def _loses_memory(network: nn.Module) -> bool:
    """Tell whether the memory of a process would be corrupted if the network's weights lay channels-last.

    On CPUs, oneDNN 3.12, which torch 2.13 has, writes beyond its buffers in the backward pass of convolutions
    of 1 x 1 pixels that skip pixels and read fewer than 16 channels, as the short cuts of small residual nets
    do.
    """
    from torch import nn

    return any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels // module.groups < 16
        for module in network.modules()
    )


def build_network(
    architecture: Architecture,
    plugins: PluginManager,
    *,
    task_type: str,
    in_channels: int,
    out_channels: int,
    image_size: tuple[int, int],
) -> nn.Module:
    """Build the network of a registered architecture; nothing unregistered is ever imported.

    Args:
        architecture: What to build.
        plugins: Where architectures are registered.
        task_type: Type of the task.
        in_channels: Channels of the image.
        out_channels: What the net must put out (a backbone ignores it).
        image_size: Height and width in pixels.

    Raises:
        ArchitectureError: If the architecture does not serve the task type or refuses its arguments.
        UnknownNameError: If no such architecture is registered.
    """
    from mml_core.plugins import load_ref

    build: Any = load_ref(find_architecture(architecture, plugins, task_type).target)
    try:
        network: nn.Module = build(task_type, in_channels, out_channels, image_size, **architecture.kwargs)
    except MMLError:
        raise
    except Exception as error:  # whatever a builder of a plugin makes of arguments it was not meant for
        raise ArchitectureError(
            f"Architecture '{architecture.name}' cannot be built with {architecture.kwargs} for"
            f" {in_channels}-channel images of {image_size[0]}x{image_size[1]} pixels:"
            f" {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if architecture.channels_last and not _loses_memory(network):
        import torch

        # torch's stub lacks the overload of Module.to that takes a memory format alone.
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
