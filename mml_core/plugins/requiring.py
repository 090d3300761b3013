"""Plugins that a project requires: no run of it begins without them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.plugins.errors import PluginError
from mml_core.plugins.info import Status
from mml_core.plugins.names import normalise
from mml_core.plugins.settings import SettingsError, project_file, read_settings

if TYPE_CHECKING:
    from mml_core.plugins.manager import PluginManager


class RequiredPluginError(PluginError):
    """A plugin that a project requires is not there, or cannot be used."""


def check_required(project: Path, plugins: PluginManager) -> None:
    """Refuse to run in a project without what its ``plugins.json`` requires.

    Args:
        project: The project's folder; it need not be there.
        plugins: The plugins of this process.

    Raises:
        RequiredPluginError: One is missing, disabled, broken or of another version; the message says what
            to do.
        SettingsError: The file is damaged.
    """
    path = project_file(project)
    required = read_settings(path)["required"]
    if not required:
        return
    from packaging.requirements import InvalidRequirement, Requirement

    for text in required:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise SettingsError(f"'{path}' requires {text!r}: write it as 'mml-plugin-x>=2'.") from error
        info = plugins.plugins.get(normalise(requirement.name))
        if info is None:
            problem = f"which is not installed: pip install '{text}'"
        elif not requirement.specifier.contains(info.version, prereleases=True):
            problem = f"and {info.version} is installed: pip install '{text}'"
        elif info.status is Status.ACTIVE or info.status is Status.CONFLICTED:
            continue
        else:
            problem = f"which is {info.status.value}: {info.cause.rstrip('.')}"
        raise RequiredPluginError(f"The project '{project.name}' requires {text}, {problem}.")
