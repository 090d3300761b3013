"""Overrides on continue: those that cannot change results are taken, all others refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mml_core.config.secrets import plain_config
from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

SAFE = (
    "executor",
    "loader.cache",
    "loader.num_workers",
    "loader.persistent_workers",
    "loader.pin_memory",
    "loader.prefetch_factor",
    "logging",
    "callbacks.progress",
    "callbacks.checkpoint",
    "trainer.enable_progress_bar",
    "debug",
    "on_error",
    "retries",
    "reuse.auto",
)
"""Keys, with all below them, that may change when a run is continued."""

FIXED = ("executor.threads",)
"""Keys below those that may not: threads change the order of sums."""


class OverrideRefusedError(MMLError):
    """An override would change the results of a run that was begun, or means nothing."""


def apply_overrides(stored: DictConfig, overrides: Sequence[str], plugins: PluginManager) -> DictConfig:
    """Return the stored config of a run with overrides that cannot change results.

    As in Hydra, options of groups are chosen first, wherever they stand; they keep what is `FIXED`. What the
    run has already, as when the command that began it is typed again, is no change.

    Raises:
        OverrideRefusedError: Overrides change other keys; the message names each with its old and its new
            value. Or there is no such key.
    """
    cfg = stored.copy()
    values = []
    for override in overrides:
        key, value = _parsed(override)
        if isinstance(OmegaConf.select(cfg, key), DictConfig) and isinstance(value, str):
            option = _option(key, value, plugins, OmegaConf.select(cfg, "mode.name"))
            OmegaConf.update(cfg, key, option, merge=False)
            _keep_fixed(cfg, stored)
        else:
            values.append((override, key, value))
    for override, key, value in values:
        if not override.startswith(("+", "reuse.")):  # any path key may stand below reuse
            _check_known(cfg, key)
        OmegaConf.update(cfg, key, value, merge=isinstance(value, dict), force_add=True)
    refused = [
        f"{leaf} was {old!r} when the run began and cannot become {new!r}"
        for leaf, old, new in _changes("", plain_config(stored), plain_config(cfg))
        if not _is_safe(leaf)
    ]
    if refused:
        raise OverrideRefusedError(
            f"{'; '.join(refused)}: that may change its results; leave it out, or start a new run."
        )
    return cfg


def _keep_fixed(cfg: DictConfig, stored: DictConfig) -> None:
    for key in FIXED:
        value = OmegaConf.select(stored, key)
        if value is not None:
            OmegaConf.update(cfg, key, value, force_add=True)


def _check_known(cfg: DictConfig, key: str) -> None:
    known = list(_keys("", _plain(cfg)))
    if key not in known:
        raise OverrideRefusedError(
            f"The config of the run has no key '{key}'.{near_matches(key, known)} +{key}=… adds one."
        )


def _keys(prefix: str, node: Any) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{name}"
        yield from _keys(f"{prefix}{name}.", value)


def _option(group: str, option: str, plugins: PluginManager, mode: str | None) -> Any:
    from mml_core.config.compose import compose

    overrides = (
        [f"{group}={option}"] if group == "mode" or mode is None else [f"mode={mode}", f"{group}={option}"]
    )
    return _plain(OmegaConf.select(compose(overrides, plugins), group))


def _changes(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(new, dict) and (isinstance(old, dict) or (old is None and new)):
        old = old or {}
        for name in {**old, **new}:
            yield from _changes(f"{key}.{name}" if key else str(name), old.get(name), new.get(name))
    elif old != new:
        yield key, old, new


def _parsed(override: str) -> tuple[str, Any]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    from mml_core.config.overrides import quote_values

    try:
        parsed = OverridesParser.create().parse_overrides(quote_values([override]))[0]
    except OverrideParseException as error:
        raise OverrideRefusedError(f"The override {override!r} cannot be read: {error}.") from None
    if parsed.is_sweep_override() or parsed.is_delete():
        raise OverrideRefusedError(
            f"The override {override!r} is a sweep or a deletion; --continue takes up one stored run: give "
            "one value."
        )
    value = parsed.value()
    return parsed.key_or_group, getattr(value, "text", value)


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _is_safe(key: str) -> bool:
    def within(parents: Sequence[str]) -> bool:
        return any(key == parent or key.startswith(f"{parent}.") for parent in parents)

    return within(SAFE) and not within(FIXED)
