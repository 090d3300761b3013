"""Where each value of a composed config comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mml_core.config.compose import compose_with_hydra, place, prepare
from mml_core.config.errors import translated_errors
from mml_core.config.folders import CORE_CONF, config_folders
from mml_core.config.overrides import key_of
from mml_core.config.search_path import searching

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


def search_path(plugins: PluginManager) -> list[dict[str, str]]:
    """Return provider and folder of each place that is searched, first to last."""
    rows = [{"provider": provider, "path": str(folder)} for provider, folder in config_folders(plugins)]
    return [*rows, {"provider": "records", "path": "modes, executors and architectures made from records"}]


def value_origins(overrides: Sequence[str], plugins: PluginManager) -> list[dict[str, Any]]:
    """Return key, value and source of every value of the job's config.

    The source is an override, else the file of the option its group was set to, else the root config; the
    folders of data and results name the setting that decided.
    """
    wanted = prepare(overrides, plugins)
    with searching(plugins), translated_errors(wanted, plugins):
        cfg = compose_with_hydra(wanted)
    choices = {g: o for g, o in cfg.hydra.runtime.choices.items() if isinstance(o, str)}
    locations = place(cfg)
    files = _files(choices, plugins)
    given = {key_of(override): override for override in wanted}
    rows: list[dict[str, Any]] = []
    for key, value in _leaves(cfg):
        if key in given:
            source = f"override {given[key]}"
        elif key.startswith("paths."):
            source = locations.why[key.removeprefix("paths.")]
        else:
            source = files.get(key.partition(".")[0], str(CORE_CONF / "config.yaml"))
        rows.append({"key": key, "value": value, "source": source})
    return rows


def _files(choices: dict[str, str], plugins: PluginManager) -> dict[str, str]:
    """Return group → the file that its chosen option was read from."""
    found: dict[str, str] = {}
    for group, option in choices.items():
        candidates: list[Path] = [folder / group / f"{option}.yaml" for _, folder in config_folders(plugins)]
        found[group] = next((str(path) for path in candidates if path.is_file()), f"record of {option}")
    return found


def _leaves(cfg: DictConfig) -> list[tuple[str, Any]]:
    content = OmegaConf.to_container(cfg, resolve=False)
    rows: list[tuple[str, Any]] = []

    def walk(node: Any, prefix: str) -> None:
        if isinstance(node, dict) and node:
            for name, child in node.items():
                if prefix or name != "hydra":
                    walk(child, f"{prefix}.{name}" if prefix else str(name))
        else:
            rows.append((prefix, node))

    walk(content, "")
    return rows
