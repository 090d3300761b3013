"""mml: plugin-centric deep-learning experiments over many image tasks."""

from __future__ import annotations

from typing import Any

from mml_core.torchvision_operators import install

__version__ = "2.0.0"

install()


def __getattr__(name: str) -> Any:
    """Resolve the names of ``mml_core.api`` on first use, so that importing mml costs nothing."""
    if name.startswith("_"):
        raise AttributeError(f"module 'mml_core' has no attribute {name!r}")
    from importlib import import_module

    api = import_module("mml_core.api")
    if name not in api.__all__:
        raise AttributeError(f"module 'mml_core' has no attribute {name!r}")
    return getattr(api, name)
