"""Which plugins a run uses: only conflicts among those keep it from starting."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from mml_core.plugins import Registry
from mml_core.plugins.kinds import OBSERVING_HOOKS
from mml_core.plugins.names import CORE

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


def providers_of(cfg: Any, plugins: PluginManager) -> set[str]:
    """Return the plugins that a run uses.

    Those are mml itself, the plugins whose mode, tasks, tags, architecture or executor the config names, and
    the plugins that take part in every run by a hook through which they can change it. Those that only
    observe are none of them.

    Args:
        cfg: The composed config.
        plugins: The plugins of this process.
    """
    used = {CORE}
    used.update(name for name, info in plugins.plugins.items() if info.changing_hooks)
    target = str(OmegaConf.select(cfg, "mode.scheduler._target_") or "").replace(":", ".")
    package = target.partition(".")[0]
    if package:  # which a plugin of commands alone has none of, either
        used.update(
            name for name, info in plugins.plugins.items() if info.entry_point.partition(".")[0] == package
        )
    used.update(
        item.provider for item in plugins.schedulers.items() if item.record.target.replace(":", ".") == target
    )
    words = set(_words(cfg))
    registries: tuple[Registry[Any], ...] = (
        plugins.tasks,
        plugins.tags,
        plugins.architectures,
        plugins.executors,
    )
    for registry, word in product(registries, words):
        used.update(item.provider for item in registry.claims(word))
    return used


def observers(plugins: PluginManager) -> dict[str, str]:
    """Return the plugins that observe every run and cannot change it, with their versions."""
    return {
        name: info.version
        for name, info in sorted(plugins.plugins.items())
        if set(info.hooks).intersection(OBSERVING_HOOKS) and not info.changing_hooks
    }


def _words(cfg: Any) -> Iterator[str]:
    """Yield the names of tasks, tags, architecture and executor that a config holds."""
    tasks = [*(OmegaConf.select(cfg, "task_list") or ()), OmegaConf.select(cfg, "pivot.name")]
    tags: list[Any] = []
    for key in ("pivot.tags", "tagging.all", "tagging.variants"):
        value = OmegaConf.select(cfg, key) or ()
        tags += [value] if isinstance(value, str) else value
    for text in (*tasks, *tags):
        if isinstance(text, str):
            yield from (piece.partition("?")[0] for piece in text.split("+"))
    for key in ("arch.name", "executor.name"):
        name = OmegaConf.select(cfg, key)
        if isinstance(name, str):
            yield name
