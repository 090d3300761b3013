"""Blueprints: groups of the config that an earlier training was made with, used again or written down."""

from __future__ import annotations

import logging
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.options import OptionError, plain, require_known, section

if TYPE_CHECKING:
    from mml_core.learning.pipeline import Pipeline
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)

VERSION = 1
KEYS = (
    "arch",
    "preprocessing",
    "optimizer",
    "lr_scheduler",
    "loss",
    "augmentations",
    "sampling",
    "trainer",
)
"""Groups of the config that a blueprint may hold."""
TRAINER_KEYS = (
    "max_epochs",
    "min_epochs",
    "max_steps",
    "min_steps",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "precision",
)
"""What is taken of the group ``trainer``: what decides about the result, not on which machine it is made."""


class BlueprintError(MMLError):
    """A blueprint is not there, cannot be read, or does not hold what is asked of it."""


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """Groups of the config that are taken from a file.

    Attributes:
        path: The file.
        groups: The groups, as they replace those of the config.
    """

    path: Path
    groups: Mapping[str, dict[str, Any]]

    @property
    def trainer(self) -> dict[str, Any]:
        """Arguments of the trainer that are taken; empty where the group is not."""
        return dict(self.groups.get("trainer", {}))

    def over(self, cfg: Any) -> Mapping[str, Any]:
        """Return the config with the groups of the blueprint in place of its own."""
        own = {key: group for key, group in self.groups.items() if key != "trainer"}
        if self.trainer:
            own["trainer"] = {**section(cfg, "trainer"), **self.trainer}
        if "arch" in own:  # which architecture, and not what its weights are at first
            given = section(cfg, "arch")
            first: dict[str, Any] = {
                name: given[name] for name in ("weights", "weights_match") if name in given
            }
            own["arch"] = {**own["arch"], **first}
        return ChainMap(own, cfg)

    def to_json(self) -> dict[str, Any]:
        """Return what the record of a step says of it."""
        return {"blueprint": {"file": str(self.path), "keys": list(self.groups)}}


def chosen_blueprint(cfg: Any, struct: TaskStruct) -> Blueprint | None:
    """Return what ``mode.use_blueprint`` takes for a task; None where it takes nothing.

    The file is the one of ``reuse.blueprint``, else of ``reuse.pipeline``.

    Raises:
        OptionError: A key is none that a blueprint holds.
        BlueprintError: No file is reused, it cannot be read, or it lacks a key.
    """
    keys = plain(cfg["mode"].get("use_blueprint")) or []
    if isinstance(keys, str):
        raise OptionError(f"mode.use_blueprint must be a list, found '{keys}'; write [{keys}].")
    if not keys:
        return None
    require_known("mode.use_blueprint", keys, KEYS)
    path = struct.paths.get("blueprint", struct.paths.get("pipeline"))
    if path is None:
        raise BlueprintError(
            f"mode.use_blueprint: task '{struct.name}' has no blueprint; set reuse.blueprint=<project> or"
            " reuse.pipeline=<project>."
        )
    stored = load_blueprint(path)
    missing = [key for key in keys if key not in stored]
    if missing:
        raise BlueprintError(
            f"Blueprint {path} has no {', '.join(missing)}, only {', '.join(stored) or 'nothing'}; leave them"
            " out of mode.use_blueprint."
        )
    return Blueprint(path=path, groups={key: stored[key] for key in keys})


def with_blueprint(cfg: Any, blueprint: Blueprint | None) -> Any:
    """Return the config, with what a blueprint replaces where there is one."""
    return cfg if blueprint is None else blueprint.over(cfg)


def load_blueprint(path: Path) -> dict[str, dict[str, Any]]:
    """Read the groups of a blueprint or of a stored pipeline; plain values only.

    Raises:
        BlueprintError: It is neither, or names code that mml would import.
    """
    import yaml

    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BlueprintError(f"Blueprint {path} cannot be read: {' '.join(str(error).split())}.") from error
    groups = _groups(stored) if isinstance(stored, dict) else None
    if groups is None:
        raise BlueprintError(f"{path} is neither a blueprint nor a pipeline of version {VERSION}.")
    found = {key: dict(groups[key]) for key in KEYS if isinstance(groups.get(key), dict)}
    if "trainer" in found:
        found["trainer"] = {key: each for key, each in found["trainer"].items() if key in TRAINER_KEYS}
    for task_type, loss in found.get("loss", {}).items():
        if isinstance(loss, dict) and ":" in str(loss.get("name")):
            raise BlueprintError(
                f"Blueprint {path} names code, {loss['name']!r}, as loss.{task_type}, and what comes from a"
                f" file is not imported; take loss out of mode.use_blueprint and set loss.{task_type}.name."
            )
    return found


def write_blueprint(path: Path, cfg: Any, pipeline: Pipeline, optimizer: Mapping[str, Any]) -> None:
    """Write down the groups of the config that a training was made with, atomically.

    Args:
        path: The file.
        cfg: The config.
        pipeline: Describes the model; it names the architecture that ``arch=auto`` has chosen.
        optimizer: The group as it was used: with the learning rate that a search has found.
    """
    import yaml

    from mml_core.storage.atomic import write_text

    groups = {key: section(cfg, key) for key in KEYS}
    groups |= {"arch": pipeline.architecture.to_json(), "optimizer": dict(optimizer)}
    groups["trainer"] = {key: groups["trainer"][key] for key in TRAINER_KEYS if key in groups["trainer"]}
    stored = {"version": VERSION, "config": groups}
    write_text(path, yaml.safe_dump(stored, sort_keys=False, allow_unicode=True))


def _groups(stored: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if stored.get("version") != VERSION:
        return None
    if isinstance(stored.get("config"), dict):
        config: Mapping[str, Any] = stored["config"]
        return config
    if "architecture" not in stored:
        return None
    training = stored.get("training") or {}
    return {**training, "arch": stored["architecture"], "preprocessing": stored.get("preprocessing")}
