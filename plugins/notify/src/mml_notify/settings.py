"""The settings: environment, ``mml.env`` files, ``notify.yaml``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml_core.api import MMLError, env_files, near_matches, read_env_file
from mml_notify.channels import Channel, Command, Mail, Slack
from mml_notify.secrets import NotifyError

EVENTS = ("started", "done", "failed", "interrupted")
PREFIX = "MML_NOTIFY_"

_KEYS: dict[str, tuple[str, ...]] = {
    "slack": ("url_env", "url_file"),
    "smtp": (
        "host",
        "port",
        "security",
        "user",
        "password_env",
        "password_file",
        "sender",
        "recipients",
    ),
    "command": ("arguments",),
}
_TOP = ("events", "after_seconds", "timeout", *_KEYS)
_SECRET_KEYS = {"url": "slack", "password": "smtp"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Who is told what.

    Attributes:
        events: When messages are sent.
        after_seconds: Shorter runs are not told of.
        timeout: Seconds that a message may take.
        channels: The ways messages go.
    """

    events: tuple[str, ...]
    after_seconds: float
    timeout: float
    channels: tuple[Channel, ...]


def read_settings() -> Settings:
    """Read the settings as they hold here; without any there are no channels.

    Raises:
        NotifyError: Something cannot be as it is written; secrets are not repeated.
    """
    environment = _environment()
    return settings_from(_yaml(environment), environment)


def settings_from(given: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Check settings.

    Args:
        given: Content of ``notify.yaml``.
        environment: Variables; those of this plugin win over what is given.

    Raises:
        NotifyError: As `read_settings` does.
    """
    _check_keys(given)
    values = {key: dict(value) if isinstance(value, Mapping) else value for key, value in given.items()}
    _overlay(values, environment)
    events = values.get("events", EVENTS[1:])
    if isinstance(events, str) or not isinstance(events, (list, tuple)):
        raise NotifyError(f"events is {events!r}; write a list of {', '.join(EVENTS)}.")
    for event in events:
        if event not in EVENTS:
            hint = near_matches(str(event), EVENTS) or f" Known: {', '.join(EVENTS)}."
            raise NotifyError(f"There is no event {event!r}.{hint}")
    timeout = _number(values, "timeout", 10.0, least=0.1)
    channels: list[Channel] = []
    if "slack" in values:
        channels.append(Slack.read(values["slack"], environment, timeout))
    if "smtp" in values:
        channels.append(Mail.read(values["smtp"], environment, timeout))
    if "command" in values:
        named = [values.get("slack", {}).get("url_env"), values.get("smtp", {}).get("password_env")]
        channels.append(Command.read(values["command"], frozenset(filter(None, named)), timeout))
    return Settings(
        events=tuple(events),
        after_seconds=_number(values, "after_seconds", 0.0, least=0.0),
        timeout=timeout,
        channels=tuple(channels),
    )


def _environment() -> dict[str, str]:
    """Return the variables of the ``mml.env`` files, the nearest first, below those of the process."""
    found: dict[str, str] = {}
    for path in reversed(env_files()):
        for name, value in _read(path).items():
            if not name.startswith(PREFIX):
                found[name] = value
                continue
            is_path = name.endswith("_FILE") or name == f"{PREFIX}CONFIG"
            found[name] = str(path.parent / Path(value).expanduser()) if is_path else value
    return {**found, **os.environ}


def _read(path: Path) -> dict[str, str]:
    try:
        return read_env_file(path)
    except MMLError:  # which quotes the line
        raise NotifyError(f"'{path}' has a line that is not KEY=VALUE.") from None


def _yaml(environment: Mapping[str, str]) -> Mapping[str, Any]:
    import yaml

    named = environment.get(f"{PREFIX}CONFIG")
    path = Path(named).expanduser() if named else Path.home() / "mml" / "notify.yaml"
    if not named and not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise NotifyError(f"'{path}' cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)  # the message would quote the line
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise NotifyError(f"'{path}' is no YAML{where}.") from None
    if not isinstance(found, (dict, type(None))):
        raise NotifyError(f"'{path}' must hold keys such as {', '.join(_TOP)}.")
    return found or {}


def _check_keys(given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if key not in _TOP:
            raise NotifyError(f"Unknown setting '{key}'.{_hint(str(key), _TOP)}")
        if key not in _KEYS:
            continue
        if not isinstance(value, Mapping):
            raise NotifyError(f"The setting '{key}' must hold {', '.join(_KEYS[key])}.")
        for inner in value:
            if _SECRET_KEYS.get(str(inner)) == key:
                raise NotifyError(
                    f"'{key}.{inner}' is a secret, which does not belong into this file: write"
                    f" {inner}_env with the name of an environment variable, or {inner}_file."
                )
            if inner not in _KEYS[key]:
                raise NotifyError(f"Unknown setting '{key}.{inner}'.{_hint(str(inner), _KEYS[key])}")


def _hint(name: str, known: tuple[str, ...]) -> str:
    return near_matches(name, known) or f" Known: {', '.join(known)}."


def _overlay(values: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Take up what the environment sets."""
    for key in ("after_seconds", "timeout"):
        if PREFIX + key.upper() in environment:
            values[key] = environment[PREFIX + key.upper()]
    if f"{PREFIX}EVENTS" in environment:
        values["events"] = _words(environment[f"{PREFIX}EVENTS"])
    for section, secret in (("slack", "url"), ("smtp", "password")):
        name = f"{PREFIX}{section.upper()}_{secret.upper()}"
        if environment.get(f"{name}_FILE"):
            values.setdefault(section, {})[f"{secret}_file"] = environment[f"{name}_FILE"]
        elif environment.get(name):
            values.setdefault(section, {}).update({f"{secret}_env": name, f"{secret}_file": None})
    for key in ("host", "port", "security", "user", "sender"):
        name = f"{PREFIX}SMTP_{key.upper()}"
        if environment.get(name):
            values.setdefault("smtp", {})[key] = environment[name]
    if environment.get(f"{PREFIX}SMTP_RECIPIENTS"):
        values.setdefault("smtp", {})["recipients"] = _words(environment[f"{PREFIX}SMTP_RECIPIENTS"])
    if environment.get(f"{PREFIX}COMMAND"):
        try:
            arguments = json.loads(environment[f"{PREFIX}COMMAND"])
        except ValueError:
            raise NotifyError(
                f'{PREFIX}COMMAND is no JSON list of a program and its arguments, such as ["mail", "me"].'
            ) from None
        values["command"] = {"arguments": arguments}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(values: Mapping[str, Any], key: str, default: float, *, least: float) -> float:
    value = values.get(key, default)
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not least <= number < float("inf"):
        raise NotifyError(f"{key} is {value!r}; write a number of seconds from {least:g}.")
    return number
