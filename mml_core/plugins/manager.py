"""The plugins of one process: loaded once, asked by name, told of what happens."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

import pluggy

import mml_core
from mml_core.errors import near_matches
from mml_core.plugins import builtin as builtin_plugin
from mml_core.plugins import calls, hookspecs
from mml_core.plugins.blocking import Blocking
from mml_core.plugins.conflict_marks import mark_conflicted, note_shared_names
from mml_core.plugins.contributions import Contributions
from mml_core.plugins.discovery import GROUPS, Distribution, find_distributions
from mml_core.plugins.errors import (
    ConflictError,
    PluginFailedError,
    RefError,
    UnknownPluginError,
)
from mml_core.plugins.info import PluginInfo, Stage, Status
from mml_core.plugins.kinds import RECORDS, REFERENCES
from mml_core.plugins.loading import load_distribution, load_object
from mml_core.plugins.names import CORE, aliases, normalise, split_qualified
from mml_core.plugins.records import TaskSpec
from mml_core.plugins.refs import load_ref
from mml_core.plugins.registry import Contribution

if TYPE_CHECKING:
    from typing_extensions import Self


class PluginManager(Contributions):
    """All plugins of one process and what they contribute.

    Args:
        builtin: Whether to begin with what mml itself contributes.

    Attributes:
        blocking: Which plugins were not to be imported.
        plugins: Normalised distribution name to what is known of it; disabled and broken ones too.
        hook: pluggy's relay; use :meth:`notify` for hooks that observe.
    """

    def __init__(self, *, builtin: bool = True) -> None:
        self.blocking = Blocking()
        self.plugins: dict[str, PluginInfo] = {}
        self._objects: dict[str, Any] = {}
        self._copies = calls.Copies()
        self._build()
        if builtin:
            self.register(builtin_plugin, CORE)
            self.plugins[CORE].version = mml_core.__version__
            self.plugins[CORE].summary = "what mml itself contributes"

    @classmethod
    def discover(
        cls,
        blocking: Blocking | None = None,
        strict: bool | None = None,
        *,
        path: Iterable[str] | None = None,
    ) -> Self:
        """Find and load the plugins of all installed distributions.

        Args:
            blocking: Which ones not to import; by default what the environment says.
            strict: Raise on a plugin that cannot be loaded; by default whether ``MML_PLUGIN_STRICT=1``.
            path: Folders to look through instead of ``sys.path``.

        Raises:
            PluginFailedError: A plugin cannot be loaded, and ``strict``.
        """
        blocking = Blocking.from_environment() if blocking is None else blocking
        strict = os.environ.get("MML_PLUGIN_STRICT", "") in ("1", "true", "yes") if strict is None else strict
        manager = cls()
        manager.blocking = blocking
        for found in find_distributions(path):
            if found.name != CORE and any(map(found.group, GROUPS)):
                info = manager._load(found)
                if strict and info.broken:
                    raise PluginFailedError(info.warning())
        manager._build()
        return manager

    def register(self, plugin: Any, name: str) -> PluginInfo:
        """Add a plugin that is at hand: a module, or an object with hook implementations.

        Args:
            plugin: The module or object.
            name: Stands for the distribution name.

        Raises:
            PluginFailedError: It is not valid, or the name is taken.
        """
        if normalise(name) in self.plugins:
            raise PluginFailedError(
                f"There is a plugin {normalise(name)!r} already: register it under another name."
            )
        info = load_object(plugin, name)
        self._refuse_taken(info, plugin)
        if info.broken:
            raise PluginFailedError(info.warning())
        self.plugins[info.name] = info
        self._objects[info.name] = plugin
        self._build()
        return info

    def plugin(self, name: str) -> PluginInfo:
        """Return what is known of a plugin.

        Args:
            name: Its distribution's name, with or without ``mml-plugin-``.

        Raises:
            UnknownPluginError: No such plugin is installed.
        """
        wanted = normalise(name)
        for provider in (wanted, *self.plugins):
            if provider in self.plugins and wanted in aliases(provider):
                return self.plugins[provider]
        near = near_matches(wanted, [alias for each in self.plugins for alias in aliases(each)])
        raise UnknownPluginError(
            f"There is no plugin {name!r} installed.{near} `mml plugins list` shows all."
        )

    # -- what plugins contribute ------------------------------------------------------------------

    def resolve(self, entry: Contribution[Any]) -> Any:
        """Import what a contribution stands for: a scheduler's class, a tag's function, ….

        Args:
            entry: From a registry's ``entry(name)``.

        Raises:
            RefError: Its reference names nothing that can be imported; the message names the plugin.
        """
        reference: str = getattr(entry.record, REFERENCES[type(entry.record)])
        try:
            return load_ref(reference)
        except RefError as error:
            import traceback

            info = self.plugins[entry.provider]
            stored = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            info.fail(
                Status.INVALID, Stage.RESOLVE, f"its {entry.record.noun} {entry.name!r}: {error}", stored
            )
            raise RefError(f"Plugin {entry.provider}, {entry.record.noun} {entry.name!r}: {error}") from error

    def find_task(self, name: str) -> TaskSpec | None:
        """Find a task that can be created: a contributed one, else one of a dynamic family.

        Args:
            name: Short, or ``provider:name``.

        Raises:
            AmbiguousNameError: Several plugins contribute a task of that name.
        """
        found = self.tasks.find(name)
        return calls.find_task(self.hook, *split_qualified(name)) if found is None else found

    def check_conflicts(self, providers: Collection[str] | None = None) -> None:
        """Refuse to start a run whose files two plugins would claim.

        Args:
            providers: The plugins that the run uses: conflicts among others do not concern it.
                ``None`` takes every conflict as an error.

        Raises:
            ConflictError: Two assignments share a key or a path; the message names both plugins.
        """
        used = None if providers is None else set(map(normalise, providers))
        for conflict in self.path_conflicts():
            if used is None or used.intersection(conflict.refused):
                raise ConflictError(conflict.refusal())

    def warnings(self) -> list[str]:
        """Return one line for each plugin that is not used though it should be, and for each conflict."""
        lines = [info.warning() for info in self.plugins.values() if info.broken]
        lines += [f"{conflict}" for conflict in self.path_conflicts()]
        lines += [f"{conflict}" for conflict in self.config_conflicts()]
        known = [alias for each in self.plugins for alias in aliases(each)]
        for name in self.blocking.unknown(self.plugins):
            near = near_matches(name, known)
            lines.append(f"No plugin {name!r} is installed, so it cannot be switched on or off.{near}")
        return lines

    def not_loaded(self) -> str:
        """Return a sentence that names plugins which could have brought what is missing, or nothing."""
        failed = [f"{info.name} ({info.status.value})" for info in self.plugins.values() if info.broken]
        found = f" Not loaded: {', '.join(failed)}; `mml plugins doctor` says why." if failed else ""
        switched_off: dict[str, list[str]] = {}
        for info in self.plugins.values():
            if info.status is Status.DISABLED:
                switched_off.setdefault(info.cause, []).append(info.name)
        return found + "".join(f" {', '.join(names)}: {why}." for why, names in switched_off.items())

    # -- what plugins are told ----------------------------------------------------------------------

    def notify(self, hook: str, /, **arguments: Any) -> None:
        """Call a hook that observes: what one plugin raises is logged, and the others are still called.

        Args:
            hook: Such as ``"mml_step_started"``.
            **arguments: The hook's arguments, all of them.
        """
        calls.notify(self.hook, hook, arguments, self._copies)

    def trainer_callbacks(
        self, scheduler: Any, task: Any, *, disabled: Collection[str] = ()
    ) -> list[tuple[str, Any]]:
        """Ask all plugins for callbacks of a trainer.

        Args:
            scheduler: The scheduler that makes the trainer.
            task: The task struct it is made for.
            disabled: Plugins whose callbacks are switched off, with or without ``mml-plugin-``.

        Returns:
            (provider, callback) of each.

        Raises:
            HookFailedError: A plugin raised; the message names it.
        """
        return calls.trainer_callbacks(self.hook, {"scheduler": scheduler, "task": task}, disabled)

    # -- inside ---------------------------------------------------------------------------------------

    def _load(self, found: Distribution) -> PluginInfo:
        info, module = load_distribution(found, self.blocking.why(found.name))
        self._refuse_taken(info, module)
        if module is not None and not info.broken:
            self._objects[info.name] = module
        self.plugins[info.name] = info
        return info

    def _refuse_taken(self, info: PluginInfo, plugin: Any) -> None:
        """Fail a plugin whose module or object is that of another one: its hooks would be called twice."""
        owner = next((name for name, each in self._objects.items() if each is plugin), None)
        if owner is not None:
            info.contributions, info.hooks = {}, ()
            info.fail(Status.INVALID, Stage.DISCOVER, f"its module {info.entry_point!r} is that of {owner}")

    def _build(self) -> None:
        """Join what the usable plugins contribute: mml's own first, the others in the order of names."""
        relay = pluggy.PluginManager(hookspecs.PROJECT)
        relay.add_hookspecs(hookspecs)
        order = sorted(self._objects, key=lambda name: (name != CORE, name))
        for name in reversed(order):  # pluggy calls last come first
            relay.register(self._as_called(name), name)
        self.hook: pluggy.HookRelay = relay.hook
        self._join([self.plugins[name] for name in order], self.not_loaded)
        self._mark_conflicted()

    def _as_called(self, name: str) -> Any:
        """Return the object whose hook implementations are called for a plugin."""
        return self._objects[name]

    def _mark_conflicted(self) -> None:
        mark_conflicted(self.plugins, [*self.path_conflicts(), *self.config_conflicts()])
        for kind in RECORDS:
            if kind not in ("path_assignments", "config_dirs"):  # those are conflicts
                note_shared_names(self.plugins, getattr(self, kind))
