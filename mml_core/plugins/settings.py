"""Plugins that a user or a project has disabled or requires: one small JSON file each.

A user's is ``~/mml/plugins.json``, a project's ``plugins.json`` in its folder::

    {"disabled": ["mml-plugin-a"], "required": ["mml-plugin-b>=2"]}

Every start of ``mml`` looks for them, so nothing is imported here that only those need who have one.
"""

from __future__ import annotations

import os

from mml_core.plugins.errors import PluginError
from mml_core.plugins.names import normalise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

FILE = "plugins.json"
KEYS = ("disabled", "required")


class SettingsError(PluginError):
    """A ``plugins.json`` is not what it must be."""


def user_file() -> str:
    """Return where the plugins stand that the user has disabled for all projects."""
    return os.path.join(os.path.expanduser("~"), "mml", FILE)  # noqa: PTH111, PTH118  # pathlib costs milliseconds


def project_file(project: str | Path) -> str:
    """Return where the plugins stand that are disabled in a project, and those it requires.

    Args:
        project: The project's folder.
    """
    return os.path.join(project, FILE)  # noqa: PTH118  # as above


def read_settings(path: str) -> dict[str, list[str]]:
    """Return what a file says under each of :data:`KEYS`; nothing where there is no file.

    Raises:
        SettingsError: It cannot be read, or says something else; it is named.
    """
    try:
        with open(path, "rb") as stream:  # noqa: PTH123  # as above
            data = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return {key: [] for key in KEYS}
    except OSError as error:
        raise SettingsError(f"'{path}' cannot be read: {error.strerror}; repair or remove it.") from error
    import json

    try:
        found = json.loads(data)
    except ValueError as error:
        raise SettingsError(f"'{path}' is no JSON: {error}; repair or remove it.") from error
    named = found if isinstance(found, dict) else {"": found}
    wrong = [key for key, value in named.items() if key not in KEYS or not _are_words(value)]
    if wrong:
        raise SettingsError(
            f"'{path}' says {wrong[0]!r}: {named[wrong[0]]!r}; it may have "
            '{"disabled": [names], "required": [names]}.'
        )
    return {key: list(named.get(key, ())) for key in KEYS}


def disabled_by(path: str, why: str) -> dict[str, str]:
    """Return the plugins that a file disables, normalised, each with the reason.

    Args:
        path: The file.
        why: The reason; ``{}`` stands for the plugin.
    """
    names = map(normalise, read_settings(path)["disabled"])
    return {name: why.replace("{}", name) for name in names}


def set_disabled(path: str, name: str, *, disabled: bool) -> bool:
    """Write that a plugin is disabled, or is not.

    Args:
        path: The file; made if need be, gone when it says nothing any more.
        name: Normalised name of the distribution.
        disabled: What it shall be.

    Returns:
        Whether that changed anything.
    """
    from pathlib import Path

    from mml_core.storage.atomic import make_dirs, write_json

    settings = read_settings(path)
    others = [each for each in settings["disabled"] if normalise(each) != name]
    was = len(others) != len(settings["disabled"])
    if was is disabled:
        return False
    settings["disabled"] = sorted([*others, name]) if disabled else others
    left = {key: value for key, value in settings.items() if value}
    make_dirs(Path(path).parent)
    if left:
        write_json(Path(path), left)
    else:
        Path(path).unlink()
    return True


def _are_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each.strip() for each in value)
