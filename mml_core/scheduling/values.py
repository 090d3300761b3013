"""The JSON values that plans and commit records hold, with NaN and infinities as tagged objects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeAlias

import msgspec
from omegaconf import DictConfig, ListConfig, OmegaConf

from mml_core.errors import MMLError

JsonValue: TypeAlias = Any
"""None, a bool, an int, a float, a str, or a list or a dict with str keys of such values."""

_FLOAT_TAG = "$float"
_LARGEST = 2**64


class NotJsonError(MMLError):
    """A value that has to be stored as JSON is something else."""


def to_json_value(value: object, where: str) -> JsonValue:
    """Return ``value`` as the JSON value that reading it back gives.

    Tuples become lists, enum members of str or int their value, paths and config nodes plain values, so that
    the process that made a value sees the same as one that resumes the run.

    Args:
        value: What to store.
        where: What the value is, for the message of the error.

    Raises:
        NotJsonError: ``value`` holds something that JSON cannot.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, int):
        return _integer(value, where)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, PurePath):
        return _text(str(value), where)
    if isinstance(value, (DictConfig, ListConfig)):
        return to_json_value(OmegaConf.to_container(value, resolve=True), where)
    if isinstance(value, (list, tuple)):
        return [to_json_value(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_key(key, where): to_json_value(item, f"{where}[{key!r}]") for key, item in value.items()}
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise NotJsonError(
        f"{where} is a {kind}, which JSON cannot hold; use None, bool, int, float, str, list or dict "
        f"(numbers of NumPy and torch have .item()), or save it to a file by fm.construct_saving_path."
    )


def encode(value: JsonValue) -> bytes:
    """Return a value that ``to_json_value`` gave as JSON text."""
    return msgspec.json.encode(value)


def decode(data: bytes | msgspec.Raw) -> JsonValue:
    """Return a fresh copy of the value that ``encode`` wrote."""
    value = msgspec.json.decode(data)
    return _untag(value) if b"$float" in bytes(data) else value


def _text(value: str, where: str) -> str:
    plain = str.__str__(value)
    try:
        plain.encode()
    except UnicodeEncodeError:
        raise NotJsonError(f"{where} is text that UTF-8 cannot hold: {plain!r}.") from None
    return plain


def _integer(value: int, where: str) -> int:
    if not -(_LARGEST // 2) <= value < _LARGEST:
        raise NotJsonError(f"{where} is the integer {value}, beyond 64 bits; store it as text.")
    return int(value)


def _float(value: float) -> JsonValue:
    return float(value) if math.isfinite(value) else {_FLOAT_TAG: repr(float(value))}


def _key(key: object, where: str) -> str:
    if not isinstance(key, str) or key == _FLOAT_TAG:
        raise NotJsonError(
            f"{where} has the key {key!r}; a stored dict has str keys other than {_FLOAT_TAG!r}."
        )
    return _text(key, where)


def _untag(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        if value.keys() == {_FLOAT_TAG}:
            return float(value[_FLOAT_TAG])
        return {key: _untag(item) for key, item in value.items()}
    return [_untag(item) for item in value] if isinstance(value, list) else value


def copy_of(value: JsonValue) -> JsonValue:
    """Return a JSON value that shares no list or dict with ``value``."""
    if isinstance(value, list):
        return [copy_of(item) for item in value]
    return {key: copy_of(item) for key, item in value.items()} if isinstance(value, dict) else value
