"""Checking named options of a config group against what the called function accepts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

from mml_core.errors import MMLError, near_matches


class OptionError(MMLError):
    """A training option names something unknown or has a value that cannot work."""


def plain(config: Any) -> Any:
    """Turn a config node into plain dictionaries, lists and values; plain values pass."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


def section(cfg: Any, group: str) -> dict[str, Any]:
    """Return one config group as a plain dictionary, empty where it is absent."""
    found = plain(cfg.get(group)) if cfg is not None else None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise OptionError(f"Config group '{group}' must hold named options, found {found!r}.")
    return {str(key): value for key, value in found.items()}


def require_known(group: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise where an option is unknown.

    Raises:
        OptionError: Names the first unknown option with near matches.
    """
    allowed = list(known)
    for name in given:
        if name not in allowed:
            hint = near_matches(name, allowed) or f" Known: {', '.join(sorted(allowed))}."
            raise OptionError(f"Unknown option '{group}.{name}'.{hint}")


def require_arguments(
    group: str, function: Callable[..., Any], given: Mapping[str, Any], managed: Iterable[str] = ()
) -> None:
    """Raise where ``function`` does not accept the given keyword arguments.

    Args:
        group: Config group the arguments come from, for the message.
        function: What will be called.
        given: Keyword arguments from the config.
        managed: Arguments the caller passes itself.

    Raises:
        OptionError: Names an unknown argument with near matches, or a required one that is missing.
    """
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    named = {
        name
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    require_known(group, given, named - set(managed) - {"self"})


def choose(group: str, name: Any, table: Mapping[str, Any]) -> Any:
    """Look a name up in a table of choices.

    Raises:
        OptionError: With near matches.
    """
    if name not in table:
        hint = near_matches(str(name), table) or f" Choose one of {', '.join(sorted(table))}."
        raise OptionError(f"Unknown {group} '{name}'.{hint}")
    return table[name]


def is_number(value: Any) -> TypeGuard[int | float]:
    """Say whether an option is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Any, *, least: int) -> TypeGuard[int]:
    """Say whether an option is a whole number from ``least``; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
