"""Which plugins may be loaded: decided from names alone, before anything is imported."""

from __future__ import annotations

import os

from mml_core.plugins.names import aliases, normalise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Blocking:
    """A decision for every plugin whether it may be imported.

    A plugin is named by its distribution, with or without ``mml-plugin-``.

    Args:
        no_plugins: Load none (``--no-plugins``).
        without: Load all but these (``--without-plugin X``, ``MML_DISABLED_PLUGINS=a,b``).
        only: Load these only (``MML_PLUGINS=a,b``; empty: none); ``None`` sets no such limit.
    """

    __slots__ = ("no_plugins", "only", "without")

    def __init__(
        self, *, no_plugins: bool = False, without: Iterable[str] = (), only: Iterable[str] | None = None
    ) -> None:
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
    ) -> Blocking:
        """Join what the environment and the command line say.

        Args:
            environ: Where to look for ``MML_PLUGINS`` and ``MML_DISABLED_PLUGINS``; the process's by default.
            no_plugins: Whether ``--no-plugins`` was given.
            without: What ``--without-plugin`` named.
        """
        environ = os.environ if environ is None else environ
        allowed = environ.get("MML_PLUGINS")
        return cls(
            no_plugins=no_plugins,
            without=[*without, *_listed(environ.get("MML_DISABLED_PLUGINS", ""))],
            only=None if allowed is None else _listed(allowed),
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
        return None

    def unknown(self, providers: Iterable[str]) -> list[str]:
        """Return the names given here that fit none of the installed plugins."""
        known = {alias for provider in providers for alias in aliases(provider)}
        return sorted((self.without | (self.only or frozenset())) - known)


def _listed(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]
