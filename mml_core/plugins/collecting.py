"""Gathering what one plugin contributes, once each of its hooks and records has been checked."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable
from typing import Any

import pluggy

from mml_core.errors import near_matches
from mml_core.plugins import hookspecs
from mml_core.plugins.errors import RefError
from mml_core.plugins.info import PluginInfo
from mml_core.plugins.kinds import CHANGING_HOOKS, OBSERVING_HOOKS, RECORDS, VIEWS
from mml_core.plugins.names import CORE
from mml_core.plugins.records import ConfigDir
from mml_core.plugins.refs import find_module
from mml_core.plugins.registry import Contribution

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("mml_"))
"""The names of all hooks: those that contribute, then those of the life cycle."""


class RefusedError(Exception):
    """A plugin breaks a rule; the message is the cause."""


def collect(plugin: Any, info: PluginInfo) -> None:
    """Check a plugin's hooks and gather its records, all or nothing.

    Args:
        plugin: A module or an object with hook implementations.
        info: Takes what is found.

    Raises:
        RefusedError: The plugin breaks a rule; the message is the cause.
    """
    trial = pluggy.PluginManager(hookspecs.PROJECT)
    trial.add_hookspecs(hookspecs)
    try:
        trial.register(plugin, info.name)
    except pluggy.PluginValidationError as error:
        raise RefusedError(_signature_cause(trial, plugin) or str(error).strip().splitlines()[-1]) from None
    known = set(HOOKS)
    hooks, changing = [], []
    for caller in trial.get_hookcallers(plugin) or ():
        if caller.name not in known:
            near = near_matches(caller.name, HOOKS)
            raise RefusedError(f"it implements {caller.name}, which is no hook of mml.{near}".rstrip("."))
        for implementation in caller.get_hookimpls():
            _refuse_coroutine(implementation)
            if caller.name in CHANGING_HOOKS or (
                caller.name in OBSERVING_HOOKS and not set(implementation.argnames) <= set(VIEWS)
            ):
                changing.append(caller.name)
        hooks.append(caller.name)
    info.hooks, info.changing_hooks = tuple(sorted(hooks)), tuple(sorted(changing))
    contributions: dict[str, list[Contribution[Any]]] = {}
    for kind in RECORDS:
        hook: pluggy.HookCaller = getattr(trial.hook, f"mml_{kind}")
        for implementation in hook.get_hookimpls():
            _refuse_wrapper(implementation)
            start = time.perf_counter()
            contributions[kind] = _records(kind, implementation.function, info.name)
            info.hook_seconds[hook.name] = time.perf_counter() - start
    for name in OBSERVING_HOOKS:
        for implementation in getattr(trial.hook, name).get_hookimpls():
            _refuse_wrapper(implementation)
    info.contributions = contributions
    forgotten = [name for name in HOOKS if name not in hooks and callable(getattr(plugin, name, None))]
    for name in forgotten:
        info.notes.append(f"its function {name} is not decorated with @hookimpl and is never called")


def _refuse_wrapper(implementation: pluggy.HookImpl) -> None:
    if implementation.wrapper or implementation.hookwrapper:
        raise RefusedError(
            f"its {implementation.function.__name__} is a hook wrapper, which this hook does not take"
        )


def _refuse_coroutine(implementation: pluggy.HookImpl) -> None:
    if inspect.iscoroutinefunction(implementation.function):
        raise RefusedError(
            f"its {implementation.function.__name__} is a coroutine, which no hook of mml takes"
        )


def _signature_cause(trial: pluggy.PluginManager, plugin: Any) -> str | None:
    for name in HOOKS:
        options = trial.parse_hookimpl_opts(plugin, name)
        if options is None:
            continue
        caller: pluggy.HookCaller = getattr(trial.hook, name)
        taken = set(pluggy.HookImpl(plugin, "", getattr(plugin, name), options).argnames)
        offered = set(caller.spec.argnames) if caller.spec else set()
        if taken - offered:
            unknown = ", ".join(sorted(taken - offered))
            takes = f"({', '.join(sorted(offered))})" if offered else "no arguments"
            return f"its {name} asks for {unknown}, but the hook has {takes}"
    return None


def _records(kind: str, function: Callable[[], Any], provider: str) -> list[Contribution[Any]]:
    expected = RECORDS[kind]
    hook = f"mml_{kind}"
    try:
        answer = function()
        if answer is None:
            return []
        if isinstance(answer, expected):
            raise RefusedError(f"{hook} returned one {expected.__name__}, must return several: yield it")
        records = list(answer)
    except RefusedError:
        raise
    except BaseException as error:
        with contextlib.suppress(AttributeError, TypeError):
            error._mml_hook = hook  # type: ignore[attr-defined]
        raise
    seen = set()
    for record in records:
        if not isinstance(record, expected):
            raise RefusedError(
                f"{hook} yielded {record!r:.80} ({type(record).__name__}), not {expected.__name__}"
            )
        if record.name in seen:
            raise RefusedError(f"{hook} yielded the {expected.noun} {record.name!r} twice")
        seen.add(record.name)
        if isinstance(record, ConfigDir) and provider != CORE:
            _check_config_dir(record)
    return [Contribution(provider, record) for record in records]


def _check_config_dir(record: ConfigDir) -> None:
    try:
        _, folders = find_module(record.package)
    except RefError as error:
        raise RefusedError(
            f"config folder {record.path!r} of package {record.package!r}: {error}".rstrip(".")
        ) from None
    if not any((folder / record.path).is_dir() for folder in folders):
        places = ", ".join(str(folder / record.path) for folder in folders) or "the module is no package"
        raise RefusedError(f"its config folder does not exist: {places}")
