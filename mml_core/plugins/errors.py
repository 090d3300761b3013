"""What can go wrong between mml and its plugins."""

from __future__ import annotations

from mml_core.errors import MMLError


class PluginError(MMLError):
    """The base of all errors about plugins."""


class RecordError(PluginError, ValueError):
    """A record was made with a value that it cannot hold."""


class RefError(PluginError):
    """A string reference names something that cannot be imported."""


class PluginFailedError(PluginError):
    """A plugin could not be loaded, and the user or the caller asked for this to be an error."""


class HookFailedError(PluginError):
    """A plugin's hook raised, or returned what it must not, where its answer is needed."""


class UnknownNameError(PluginError):
    """No plugin contributes what was asked for."""


class AmbiguousNameError(PluginError):
    """Two plugins contribute what was asked for by one name."""


class UnknownPluginError(PluginError):
    """No plugin of that name is installed."""


class ConflictError(PluginError):
    """Two plugins claim one path key, or one path under two keys."""
