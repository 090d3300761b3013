"""The device that models predict on."""

from __future__ import annotations

import torch

from mml_core.errors import MMLError


class DeviceError(MMLError):
    """A device was asked for that cannot be used here."""


def choose_device(name: str) -> str:
    """Return a device that can be used.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, …; ``auto`` takes a GPU of CUDA where there is one.

    Raises:
        DeviceError: It cannot be used.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = " ".join(str(error).split())[:100]
        raise DeviceError(f"The device {name} cannot be used: {why}. Take cpu, or auto.") from error
    return str(device)
