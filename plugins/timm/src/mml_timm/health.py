"""Whether timm can be used here."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

from mml_core.plugins import Health


def check() -> Health:
    """Import timm, which imports torchvision."""
    try:
        import_module("timm")
    except Exception as error:  # whatever torch and torchvision of two builds make of each other
        return Health(
            False,
            f"timm cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}; install torch"
            " and torchvision of one build (see https://pytorch.org/get-started/locally).",
        )
    found = f"timm {version('timm')}, torch {version('torch')}, torchvision {version('torchvision')}"
    extension = import_module("torchvision.extension")
    if not extension._has_ops():
        return Health(
            True,
            f"{found}; networks run, though torchvision is of another build than torch and its own operators"
            " do not load.",
        )
    return Health(True, found)
