"""The loggers of the group ``logging``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mml_core.learning.options import OptionError, choose, require_known, section


def make_loggers(cfg: Any, folder: Path) -> list[Any]:
    """Make the loggers of the group ``logging``, which write below ``folder``.

    Raises:
        OptionError: If one is unknown or not installed.
    """
    options = section(cfg, "logging")
    of_plugins = (name for name, value in options.items() if isinstance(value, dict))
    require_known("logging", options, ("loggers", *of_plugins))
    names = options.get("loggers") or []
    if isinstance(names, str):
        raise OptionError(f"logging.loggers must be a list, found '{names}'; write [{names}].")
    makers = {"csv": _make_csv, "tensorboard": _make_tensorboard}
    return [choose("logger", name, makers)(folder) for name in names]


def _make_csv(folder: Path) -> Any:
    from mml_core.learning.csv_log import ResumableCSVLogger

    return ResumableCSVLogger(folder, name="", version="csv")


def _make_tensorboard(folder: Path) -> Any:
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        raise OptionError(
            "The TensorBoard logger needs the package tensorboard, which is not installed;"
            " pip install 'mml-core[tensorboard]', or choose logging=csv."
        )
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard")
