"""Composing the config without a command line: what scripts, notebooks and tests use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

import mml_core.config.resolvers  # noqa: F401  (registers the resolvers of the root config)
from mml_core.config.errors import translated_errors
from mml_core.config.folders import CORE_CONF
from mml_core.config.locations import Locations, resolve_locations
from mml_core.config.overrides import open_reuse, quote_names, quote_values
from mml_core.config.search_path import check_choices, searching
from mml_core.config.validation import check_paths

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

CONFIG_NAME = "config"
HYDRA_VERSION = "1.3"


@dataclass(frozen=True, kw_only=True)
class Root:
    """Where the root config is, as Hydra's own options say.

    Attributes:
        folder: The folder of the root config (``--config-path``).
        name: Its name (``--config-name``).
        further: A folder that is searched besides (``--config-dir``); None: there is none.
    """

    folder: Path = CORE_CONF
    name: str = CONFIG_NAME
    further: Path | None = None


def compose(
    overrides: Sequence[str] = (), plugins: PluginManager | None = None, root: Root | None = None
) -> DictConfig:
    """Compose the config of a job.

    Args:
        overrides: Hydra overrides, as on the command line: ``["mode=train", "task_list=[digits]"]``.
        plugins: Where config folders and modes come from; by default what is installed.
        root: Where the root config is; by default that of mml.

    Returns:
        The job's config in struct mode, without the ``hydra`` node, with absolute ``paths``.

    Raises:
        MMLError: An override names what there is not; near matches are in the message.
    """
    if plugins is None:
        from mml_core.plugins import PluginManager

        plugins = PluginManager.discover()
    wanted = prepare(overrides, plugins)
    with searching(plugins), translated_errors(wanted, plugins):
        cfg = compose_with_hydra(wanted, root)
    check_choices(chosen_options(cfg), plugins)
    name_mode(cfg, plugins)
    with read_write(cfg), open_dict(cfg):
        del cfg["hydra"]
    place(cfg)
    return cfg


def prepare(overrides: Sequence[str], plugins: PluginManager) -> list[str]:
    """Write overrides the way Hydra reads them: quoted where needed, open for the path keys of plugins."""
    keys = (item.record.key for item in plugins.path_assignments.items())
    return quote_values(quote_names(open_reuse(overrides, keys)))


def compose_with_hydra(overrides: Sequence[str], root: Root | None = None) -> DictConfig:
    """Compose inside ``searching`` and keep the ``hydra`` node."""
    root = root or Root()
    with nullcontext() if GlobalHydra.instance().is_initialized() else initialized(root):
        return hydra.compose(root.name, list(overrides), return_hydra_config=True)


@contextmanager
def initialized(root: Root | None = None) -> Iterator[ConfigLoader]:
    """Set Hydra up inside ``searching``; yield what composes."""
    root = root or Root()
    with hydra.initialize_config_dir(str(root.folder), job_name="mml", version_base=HYDRA_VERSION):
        loader: Any = GlobalHydra.instance().config_loader()
        if root.further is not None:  # at the place where ``hydra.main`` has it
            path, anchor = loader.get_search_path(), SearchPathQuery(provider="schema")
            path.prepend("command-line", f"file://{root.further}", anchor)
            loader.repository = ConfigRepository(config_search_path=path)
        yield loader


def place(cfg: DictConfig) -> Locations:
    """Write the absolute data and results folder into ``cfg.paths`` and say why they are these.

    Raises:
        ConfigError: One is not given as text.
    """
    check_paths(cfg)
    written = cast("dict[str, Any]", OmegaConf.to_container(cfg.paths, resolve=False))
    given = {
        key: None if str(value).startswith("${mml.location:") else value for key, value in written.items()
    }
    locations = resolve_locations(given)
    with read_write(cfg), open_dict(cfg):
        cfg.paths.data, cfg.paths.results = str(locations.data), str(locations.results)
    return locations


def name_mode(cfg: DictConfig, plugins: PluginManager) -> None:
    """Write the shortest name of the chosen mode into ``cfg.mode.name``, whatever stands there.

    Args:
        cfg: A config with its ``hydra`` node.
        plugins: Who knows which names are short and unique.
    """
    option = chosen_options(cfg).get("mode")
    if option is not None and isinstance(cfg.get("mode"), DictConfig):
        with read_write(cfg), open_dict(cfg):
            cfg.mode.name = plugins.schedulers.shortest(option)


def chosen_options(cfg: Any) -> dict[str, str]:
    """Return group → option of a config with its ``hydra`` node."""
    return {group: option for group, option in cfg.hydra.runtime.choices.items() if isinstance(option, str)}
