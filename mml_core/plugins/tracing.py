"""Which hooks a command calls, by whom each is implemented, and how long that takes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from mml_core.plugins.blocking import Blocking
from mml_core.plugins.collecting import HOOKS
from mml_core.plugins.manager import PluginManager


@dataclass(kw_only=True)
class HookCalls:
    """All calls of one plugin's implementation of one hook.

    Attributes:
        hook: The hook.
        plugin: Who implements it.
        calls: How often it was called.
        seconds: How long that took, all calls together.
        errors: How many of them raised.
    """

    hook: str
    plugin: str
    calls: int = 0
    seconds: float = 0.0
    errors: int = 0


class TracingPluginManager(PluginManager):
    """A plugin manager that counts and times what it calls, in its own process.

    Args:
        builtin: Whether to begin with what mml itself contributes.
    """

    def __init__(self, *, builtin: bool = True) -> None:
        self._traced: dict[tuple[str, str], HookCalls] = {}
        super().__init__(builtin=builtin)

    def calls(self) -> list[HookCalls]:
        """Return what was called, the slowest first; contributing hooks are called once, at the start."""
        contributing = [
            HookCalls(hook=hook, plugin=info.name, calls=1, seconds=seconds)
            for info in self.plugins.values()
            for hook, seconds in info.hook_seconds.items()
        ]
        return sorted(
            [*contributing, *self._traced.values()], key=lambda each: (-each.seconds, each.hook, each.plugin)
        )

    def _as_called(self, name: str) -> Any:
        plugin = super()._as_called(name)
        hooks = {hook: getattr(plugin, hook) for hook in HOOKS if hook in self.plugins[name].hooks}
        return SimpleNamespace(**{hook: self._timed(hook, name, call) for hook, call in hooks.items()})

    def _timed(self, hook: str, plugin: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            traced = self._traced.setdefault((hook, plugin), HookCalls(hook=hook, plugin=plugin))
            traced.calls += 1
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            except BaseException:
                traced.errors += 1
                raise
            finally:
                traced.seconds += time.perf_counter() - start

        return call


class Tracer:
    """Makes the plugin manager of a command one that traces, and keeps it."""

    def __init__(self) -> None:
        self._manager: TracingPluginManager | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_manager": None}  # another process traces for itself

    def discover(self, blocking: Blocking, strict: bool | None) -> PluginManager:
        """Find the plugins; see :meth:`~mml_core.plugins.manager.PluginManager.discover`."""
        self._manager = TracingPluginManager.discover(blocking, strict)
        return self._manager

    def calls(self) -> list[HookCalls]:
        """Return what was called; nothing where the command has used no plugins."""
        return self._manager.calls() if self._manager is not None else []
