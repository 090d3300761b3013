"""Overrides on continue: those that cannot change results are taken, all others refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mml_core.errors import MMLError

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

SAFE = (
    "executor",
    "loader.num_workers",
    "loader.persistent_workers",
    "loader.pin_memory",
    "loader.prefetch_factor",
    "logging",
    "callbacks.progress",
    "trainer.enable_progress_bar",
    "debug",
    "on_error",
    "retries",
)
"""Keys, with all below them, that may change when a run is continued."""


class OverrideRefusedError(MMLError):
    """An override would change the results of a run that was begun."""


def apply_overrides(stored: DictConfig, overrides: Sequence[str], plugins: PluginManager) -> DictConfig:
    """Return the stored config of a run with overrides that cannot change results.

    Raises:
        OverrideRefusedError: An override changes another key; the message names it, its old and its new
        value.
    """
    cfg = stored.copy()
    for override in overrides:
        key, value = _parsed(override)
        known = OmegaConf.select(cfg, key)
        if isinstance(known, DictConfig) and isinstance(value, str):
            if key == "mode" and known.get("name") == value:
                continue
            if _is_safe(key):
                from mml_core.config.compose import compose

                OmegaConf.update(
                    cfg, key, compose([f"{key}={value}"], plugins)[key], merge=False, force_add=True
                )
                continue
        old = OmegaConf.to_container(known) if OmegaConf.is_config(known) else known
        if old == value:
            continue
        if not _is_safe(key):
            raise OverrideRefusedError(
                f"{key} was {_shown(old)} when the run began and cannot become {_shown(value)}, which may "
                "change "
                f"its results; leave it out, or start a new run."
            )
        OmegaConf.update(cfg, key, value, force_add=True)
    return cfg


def _parsed(override: str) -> tuple[str, Any]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    from mml_core.config.overrides import quote_values

    try:
        parsed = OverridesParser.create().parse_overrides(quote_values([override]))[0]
    except OverrideParseException as error:
        raise OverrideRefusedError(f"The override {override!r} cannot be read: {error}.") from None
    value = parsed.value()
    return parsed.key_or_group, getattr(value, "text", value)


def _is_safe(key: str) -> bool:
    return any(key == safe or key.startswith(f"{safe}.") for safe in SAFE)


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        value = value["name"]
    return f"'{value}'"
