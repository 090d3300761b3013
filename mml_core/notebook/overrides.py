"""Overrides of the config as keyword arguments: Python values instead of text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from mml_core.config.overrides import quote, task_list
from mml_core.errors import MMLError

_NAME = re.compile(r"[\w.-]+")


class OverrideValueError(MMLError):
    """A value cannot stand in a config."""


def job_overrides(mode: str, tasks: str | Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Return the overrides of a job, as they would be typed behind ``mml run``.

    Args:
        mode: Name of the mode.
        tasks: The tasks of the run, or its only one.
        values: See :func:`overrides_of`.
    """
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    return [f"mode={quote(mode)}", task_list(names), *overrides_of(values)]


def overrides_of(values: Mapping[str, Any]) -> list[str]:
    """Turn keys and values into overrides.

    Args:
        values: Key → value: the option of a group (``preprocessing="none"``), a value of its own
            (``seed=1``, ``**{"trainer.max_epochs": 1}``), or a mapping, each of whose values is set
            (``trainer={"max_epochs": 1}``). A key may begin with ``+`` or ``++`` as on the command line.

    Raises:
        OverrideValueError: A value is none of a config.
    """
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found += overrides_of({_joined(key, str(inner)): each for inner, each in value.items()})
        else:
            found.append(f"{key}={_text(key, value)}")
    return found


def _joined(outer: str, inner: str) -> str:
    """Join two keys; the signs before the inner one go to the front."""
    name = inner.lstrip("+")
    return f"{inner[: len(inner) - len(name)] or outer[: -len(outer.lstrip('+'))]}{outer.lstrip('+')}.{name}"


def _text(key: str, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, PurePath)):
        return quote(str(value))
    if isinstance(value, Mapping):
        inner = [f"{_name(key, name)}:{_text(f'{key}.{name}', each)}" for name, each in value.items()]
        return f"{{{','.join(inner)}}}"
    if isinstance(value, Sequence):
        return "[" + ",".join(_text(key, each) for each in value) + "]"
    raise OverrideValueError(
        f"{key} is {value!r}, a {type(value).__name__}; give text, a number, True, False, None, a list or a"
        " mapping of these."
    )


def _name(key: str, name: Any) -> str:
    """Return a key of a mapping inside a list; Hydra's grammar cannot quote it."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise OverrideValueError(
            f"{key} has the key {name!r}; give keys of letters, digits, '_', '.' and '-'."
        )
    return name
