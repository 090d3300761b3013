"""Secrets in a config come from the environment: what is stored names the variable in their place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf

from mml_core.config.errors import ConfigError

_VARIABLE = re.compile(r"\$\{\s*oc\.env\s*:\s*([^,}\s]+)\s*(,[^}]*)?\}")
_SECRET = re.compile(r"passw|secret|token|credential|webhook|(api|access|private)_?key", re.IGNORECASE)
_NO_RESULT = "logging"
"""A group that changes no result, so that its values need not be those that the run began with."""


def plain_config(cfg: Any) -> dict[str, Any]:
    """Return a config as plain values, interpolations resolved but those by which secrets come in.

    ``${oc.env:NAME}`` stays as it is where the variable or the key is called after a secret (password,
    token, …), and below ``logging``; so does what repeats the value of such a variable by an interpolation.
    """
    raw, resolved = (OmegaConf.to_container(cfg, resolve=resolve) for resolve in (False, True))
    found = _merged(raw, resolved, "", _values(raw))
    return found if isinstance(found, dict) else {}


def without_secrets(text: str, cfg: Any) -> str:
    """Return a text, such as an error message, with ``***`` in the place of the secrets of a config."""
    for secret in _values(OmegaConf.to_container(cfg, resolve=False)):
        text = text.replace(secret, "***")
    return text


def require_variables(cfg: Any) -> None:
    """Check that the variables are set that a stored config names in the place of secrets.

    Raises:
        ConfigError: One is not; it is named with the key that takes it.
    """
    for key, name, default in _kept(OmegaConf.to_container(cfg, resolve=False), ""):
        if name not in os.environ and not default:
            raise ConfigError(
                f"{key} of the stored config is taken from the environment variable {name}, which is not set;"
                " set it as it was when the run began."
            )


def _values(raw: Any) -> set[str]:
    """Return the secrets of a config; what is shorter than four characters would be found in any text."""
    found = {os.environ.get(name, "") for _, name, _ in _kept(raw, "")}
    return {value for value in found if len(value) >= 4}


def _kept(raw: Any, key: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield key, variable and default of the interpolations that stay."""
    if isinstance(raw, str):
        for name, default in _VARIABLE.findall(raw):
            if _SECRET.search(f"{key} {name}") or _within_logging(key):
                yield key, name.strip("'\""), default
    for inner, value in _entries(raw):
        yield from _kept(value, f"{key}.{inner}" if key else inner)


def _merged(raw: Any, resolved: Any, key: str, secrets: set[str]) -> Any:
    if isinstance(raw, dict) and isinstance(resolved, dict):
        return {
            name: _merged(raw[name], value, f"{key}.{name}" if key else str(name), secrets)
            for name, value in resolved.items()
        }
    if isinstance(raw, list) and isinstance(resolved, list):
        pairs = enumerate(zip(raw, resolved, strict=True))
        return [_merged(*pair, f"{key}.{index}", secrets) for index, pair in pairs]
    if isinstance(raw, str) and "${" in raw:
        stays = any(_kept(raw, key)) or any(secret in f"{resolved}" for secret in secrets)
        return raw if stays else resolved
    return resolved


def _entries(raw: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(raw, dict):
        yield from ((str(name), value) for name, value in raw.items())
    elif isinstance(raw, list):
        yield from ((str(index), value) for index, value in enumerate(raw))


def _within_logging(key: str) -> bool:
    return key.partition(".")[0] == _NO_RESULT
