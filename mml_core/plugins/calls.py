"""Calling the plugins that implement a hook one by one, so that each failure has a plugin's name."""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

import pluggy

from mml_core.plugins.errors import HookFailedError
from mml_core.plugins.kinds import OBSERVING_HOOKS, VIEWS
from mml_core.plugins.names import aliases, normalise
from mml_core.plugins.records import TaskSpec
from mml_core.plugins.refs import describe

log = logging.getLogger("mml.plugins")

Raised = (Exception, SystemExit)
"""What a plugin may raise without ending mml; an interruption by the user goes through."""


class Copies:
    """What plugins are handed of views: copies of their own, so that what one does to them no other sees.

    The view of a run names all its tasks. A plugin is handed the same copy of it at each step: to copy it
    every time would make the steps of many tasks slower than those of one.
    """

    def __init__(self) -> None:
        self._runs: dict[str, tuple[Any, Any]] = {}

    def of(self, plugin: str, name: str, value: Any) -> Any:
        """Return the copy of an argument for a plugin; what is no view, as it is."""
        if name not in VIEWS:
            return value
        if name != "run":
            return copy.deepcopy(value)
        run, copied = self._runs.get(plugin, (None, None))
        if run is not value:
            copied = copy.deepcopy(value)
            self._runs[plugin] = value, copied
        return copied


def notify(relay: pluggy.HookRelay, hook: str, arguments: Mapping[str, Any], copies: Copies) -> None:
    """Call a hook that observes: what one plugin raises is logged, and the others are still called."""
    if hook not in OBSERVING_HOOKS:
        raise ValueError(f"{hook} is no hook that observes: {', '.join(OBSERVING_HOOKS)}")
    for implementation in _implementations(relay, hook):
        try:
            asked = implementation.argnames
            shown = {name: copies.of(implementation.plugin_name, name, arguments[name]) for name in asked}
            _call(implementation, shown)
        except Raised as error:
            log.warning("Plugin %s: %s raised %s.", implementation.plugin_name, hook, describe(error))
            log.debug("%s of %s", hook, implementation.plugin_name, exc_info=True)


def trainer_callbacks(
    relay: pluggy.HookRelay, arguments: Mapping[str, Any], disabled: Collection[str]
) -> list[tuple[str, Any]]:
    """Ask all plugins but the disabled ones for callbacks; the first that raises is an error."""
    off = set(map(normalise, disabled))
    found: list[tuple[str, Any]] = []
    for implementation in _implementations(relay, "mml_trainer_callbacks"):
        provider = implementation.plugin_name
        if off.intersection(aliases(provider)):
            continue
        try:
            answer = cast("Iterable[Any]", _call(implementation, arguments) or ())
            found += [(provider, callback) for callback in answer]
        except Raised as error:
            raise HookFailedError(
                f"Plugin {provider}: mml_trainer_callbacks raised {describe(error)}; "
                f"pass --without-plugin {provider} to train without its callbacks."
            ) from error
    return found


def find_task(relay: pluggy.HookRelay, wanted: str | None, name: str) -> TaskSpec | None:
    """Ask for a task of a dynamic family all plugins, or the one that is wanted.

    What a plugin raises or answers in vain is logged.
    """
    for implementation in _implementations(relay, "mml_find_task"):
        provider = implementation.plugin_name
        if wanted is not None and wanted not in aliases(provider):
            continue
        try:
            answer = _call(implementation, {"name": name})
        except Raised as error:
            log.warning("Plugin %s: mml_find_task raised %s.", provider, describe(error))
            log.debug("mml_find_task of %s", provider, exc_info=True)
            continue
        if isinstance(answer, TaskSpec):
            return answer
        if answer is not None:
            log.warning("Plugin %s: mml_find_task returned a %s.", provider, type(answer).__name__)
    return None


def _implementations(relay: pluggy.HookRelay, hook: str) -> list[pluggy.HookImpl]:
    caller: pluggy.HookCaller = getattr(relay, hook)
    return list(reversed(caller.get_hookimpls()))  # pluggy calls from the end of its list


def _call(implementation: pluggy.HookImpl, arguments: Mapping[str, Any]) -> object:
    return implementation.function(*(arguments[name] for name in implementation.argnames))
