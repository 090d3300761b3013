"""Which plugins may be loaded: decided from names alone, before anything is imported."""

from __future__ import annotations

import os

from mml_core.plugins.names import aliases, normalise
from mml_core.plugins.settings import disabled_by, project_file, user_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class Blocking:
    """A decision for every plugin whether it may be imported.

    A plugin is named by its distribution, with or without ``mml-plugin-``.

    Args:
        no_plugins: Load none (``--no-plugins``).
        without: Load all but these (``--without-plugin X``, ``MML_DISABLED_PLUGINS=a,b``).
        only: Load these only (``MML_PLUGINS=a,b``; empty: none); ``None`` sets no such limit.
        disabled: Plugins that a user or a project has disabled for good, each with the reason; they need not
            be installed.
    """

    __slots__ = ("disabled", "no_plugins", "only", "without")

    def __init__(
        self,
        *,
        no_plugins: bool = False,
        without: Iterable[str] = (),
        only: Iterable[str] | None = None,
        disabled: Mapping[str, str] | None = None,
    ) -> None:
        self.disabled = {normalise(name): why for name, why in (disabled or {}).items()}
        self.no_plugins = no_plugins
        self.without = frozenset(map(normalise, without))
        self.only = None if only is None else frozenset(map(normalise, only))

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        no_plugins: bool = False,
        without: Iterable[str] = (),
        project: Path | None = None,
    ) -> Blocking:
        """Join what the environment, the command line, the user's and the project's ``plugins.json`` say.

        Args:
            environ: Where to look for ``MML_PLUGINS`` and ``MML_DISABLED_PLUGINS``; the process's by default.
            no_plugins: Whether ``--no-plugins`` was given.
            without: What ``--without-plugin`` named.
            project: Folder of the project that is worked on, where there is one.

        Raises:
            SettingsError: A ``plugins.json`` is damaged.
        """
        environ = os.environ if environ is None else environ
        allowed = environ.get("MML_PLUGINS")
        return cls(
            no_plugins=no_plugins,
            without=[*without, *_listed(environ.get("MML_DISABLED_PLUGINS", ""))],
            only=None if allowed is None else _listed(allowed),
            disabled=_disabled(project),
        )

    def why(self, provider: str) -> str | None:
        """Return why a plugin must not be loaded, or ``None`` when it may be.

        Args:
            provider: Normalised distribution name.
        """
        names = aliases(provider)
        if self.no_plugins:
            return "all plugins are switched off"
        if self.without.intersection(names):
            return "switched off by name"
        if self.only is not None and not self.only.intersection(names):
            return "not among MML_PLUGINS"
        return next((self.disabled[name] for name in names if name in self.disabled), None)

    def unknown(self, providers: Iterable[str]) -> list[str]:
        """Return the names given here that fit none of the installed plugins."""
        known = {alias for provider in providers for alias in aliases(provider)}
        return sorted((self.without | (self.only or frozenset())) - known)


def _disabled(project: Path | None) -> dict[str, str]:
    found = disabled_by(user_file(), "disabled by you; `mml plugins enable {}` undoes that")
    if project is not None:
        why = f"disabled in the project '{project.name}'; `mml plugins enable {{}} --proj {project.name}`"
        why += " undoes that"
        found = {**disabled_by(project_file(project), why), **found}
    return found


def _listed(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]
