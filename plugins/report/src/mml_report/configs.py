"""Configs of runs: what differs between them, or from the defaults of their mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mml_core.api import MMLError, compose
from mml_report.html import Markup, folded, note, table, text

if TYPE_CHECKING:
    from mml_core.api import Project

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_APART = ("paths", "hydra", "proj", "continue")
"""Where a run lies says nothing about what it did."""


def read_config(project: Path, run: str) -> Mapping[str, Any]:
    """Return the config that a run stored; empty where there is none that can be read."""
    try:
        with (project / "runs" / run / "config.yaml").open(encoding="utf-8") as file:
            found = yaml.load(file, _LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def changed_keys(project: Project | None, config: Mapping[str, Any]) -> str:
    """Return the table of what a run's config has else than its mode has by default."""
    if not config:
        return note("The run has no config that can be read.")
    defaults, why = _defaults(project, config)
    if defaults is None:
        return note(f"What differs from the defaults cannot be told: {why}")
    own, theirs = leaves(config), leaves(defaults)
    rows = [
        (key, _shown(own.get(key)), _shown(theirs.get(key)))
        for key in sorted({*own, *theirs})
        if own.get(key) != theirs.get(key)
    ]
    drawn = table("Config: keys that are not as they are by default", ("key", "value", "default"), rows)
    return drawn or note("All keys of the config are as they are by default.")


def _defaults(project: Project | None, config: Mapping[str, Any]) -> tuple[Any, str]:
    from omegaconf import OmegaConf

    mode = config.get("mode")
    name = mode.get("name") if isinstance(mode, Mapping) else None
    if project is None or not name:
        return None, "the mode is not known."
    try:
        return OmegaConf.to_container(compose([f"mode={name}"], project.plugins), resolve=False), ""
    except MMLError as error:
        return None, str(error)


def differing_keys(configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of keys of which runs have several values: which value which runs have.

    What is below ``mode`` is compared between runs of one mode: another mode has other keys.
    """
    flat = {run: leaves(config) for run, config in configs.items()}
    of_mode: dict[str, list[str]] = {}
    for run, config in flat.items():
        of_mode.setdefault(_shown(config.get("mode.name")), []).append(run)
    rows: list[Sequence[Any]] = []
    for key in sorted({key for config in flat.values() for key in config} - {"mode.name"}):
        for runs in of_mode.values() if key.startswith("mode.") else (list(flat),):
            values: dict[str, list[str]] = {}
            for run in runs:
                values.setdefault(_shown(flat[run].get(key)), []).append(run)
            if len(values) > 1:
                rows += [(key, value, ", ".join(sorted(found))) for value, found in sorted(values.items())]
    return table("Config: keys that differ between the runs", ("key", "value", "runs"), rows)


def whole(config: Mapping[str, Any]) -> str:
    """Return the whole config as YAML, folded."""
    if not config:
        return ""
    written = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    return folded("Config, whole", f"<pre>{text(written)}</pre>")


def leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the innermost values by their dotted keys, without where the run lies."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if not prefix and key in _APART:
            continue
        if isinstance(value, Mapping) and value:
            found.update(leaves(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _shown(value: Any) -> str:
    return Markup("null") if value is None else str(value)
