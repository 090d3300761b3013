"""Weights of a module as one safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mml_core.errors import MMLError
from mml_core.storage.atomic import writing

SHOWN = 6


class WeightsError(MMLError):
    """A weights file cannot be read."""


class WeightsMismatchError(WeightsError):
    """The weights in a file are not those of the module.

    Attributes:
        missing: Names the module has and the file lacks.
        unexpected: Names the file has and the module lacks.
        shapes: Name → (shape in the file, shape in the module) where they differ.
    """

    def __init__(
        self,
        path: Path,
        missing: list[str],
        unexpected: list[str],
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]],
        advice: str = "Use the architecture and task they were trained with.",
    ) -> None:
        self.missing, self.unexpected, self.shapes = missing, unexpected, shapes
        parts = []
        if missing:
            parts.append(f"missing in the file: {_listed(missing)}")
        if unexpected:
            parts.append(f"unknown to the model: {_listed(unexpected)}")
        if shapes:
            pairs = [
                f"{name} {list(stored)} in the file, {list(own)} in the model"
                for name, (stored, own) in shapes.items()
            ]
            parts.append(f"other shape: {_listed(pairs)}")
        super().__init__(f"Weights {path} do not fit the model: {'; '.join(parts)}. {advice}")


def save_weights(module: nn.Module, path: Path) -> None:
    """Write parameters and buffers of ``module`` to ``path``, atomically; equal weights give equal bytes."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in module.state_dict().items():
        stored = tensor.detach().cpu().contiguous()
        storage = stored.untyped_storage().data_ptr()
        if storage in seen:  # tied weights: the format holds no shared memory
            stored = stored.clone()
        seen.add(storage)
        tensors[name] = stored
    with writing(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill ``module`` with the weights in ``path``; nothing is changed unless every name and shape fits.

    Raises:
        WeightsError: If the file is missing or damaged.
        WeightsMismatchError: Lists every mismatched name and shape.
    """
    stored = read_weights(path)
    own = module.state_dict()
    missing = sorted(own.keys() - stored.keys())
    unexpected = sorted(stored.keys() - own.keys())
    shapes = {
        name: (tuple(stored[name].shape), tuple(own[name].shape))
        for name in sorted(own.keys() & stored.keys())
        if stored[name].shape != own[name].shape
    }
    if missing or unexpected or shapes:
        raise WeightsMismatchError(path, missing, unexpected, shapes)
    with torch.no_grad():
        module.load_state_dict(stored)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        WeightsError: If the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"Weights {path} are not there; train again or reuse another project.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"Weights {path} are no readable safetensors file: {error}") from error


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
