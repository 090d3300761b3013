"""Hydra's search path: the core's config folder, every plugin's, and the options made from records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from mml_core.config.folder_source import FolderSource
from mml_core.config.folders import CORE_CONF, CORE_PROVIDER, Folders, config_folders
from mml_core.config.record_source import RecordSource, providing_options
from mml_core.config.records import options_from_records
from mml_core.errors import MMLError

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

_folders: ContextVar[Folders] = ContextVar("mml_config_folders", default=((CORE_PROVIDER, CORE_CONF),))


class AmbiguousOptionError(MMLError):
    """A config option that was chosen is brought by more than one plugin."""


class MMLSearchPath(SearchPathPlugin):
    """Join the config folders of the plugins in use to Hydra's search path.

    Hydra makes one of these without arguments whenever it sets up; the folders come from the context that
    ``searching`` opens, so that two managers in one process do not see each other's.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append what is not there yet; what was given on the command line stays in front."""
        elements = {element.path.removeprefix("file://"): element for element in search_path.get_path()}
        for provider, folder in _folders.get():
            path = f"{FolderSource.scheme()}://{folder}"
            if str(folder) in elements:
                elements[str(folder)].path = path
            elif path not in elements:
                search_path.append(provider, path)
        search_path.append("records", f"{RecordSource.scheme()}://")


@contextmanager
def searching(plugins: PluginManager) -> Iterator[None]:
    """Let Hydra, inside the block, find what ``plugins`` brings."""
    registry = Plugins.instance()
    for plugin in (MMLSearchPath, FolderSource, RecordSource):
        registry.register(plugin)
    folders = config_folders(plugins)
    token = _folders.set(folders)
    try:
        with providing_options(options_from_records(plugins)):
            yield
    finally:
        _folders.reset(token)


def check_choices(choices: dict[str, str], plugins: PluginManager) -> None:
    """Refuse an option that two plugins bring, where it was chosen; what the core brings is the core's.

    Args:
        choices: Group → option, as Hydra records them in ``hydra.runtime.choices``.
        plugins: The manager the config was composed with.

    Raises:
        AmbiguousOptionError: Names the option and its providers.
    """
    folders = config_folders(plugins)
    for option in (f"{group}/{option}" for group, option in choices.items()):
        names = [provider for provider, folder in folders if (folder / f"{option}.yaml").is_file()]
        if len(names) > 1 and CORE_PROVIDER not in names:
            others = f"{', '.join(names[:-1])} and {names[-1]}"
            raise AmbiguousOptionError(
                f"The config option {option} is brought by {others}; disable one of them "
                f"(--without-plugin {names[-1]}) or choose another option."
            )
