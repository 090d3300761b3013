"""Checks of composed values that would otherwise fail late, or after something was written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mml_core.config.errors import ConfigError, UnknownModeError
from mml_core.errors import near_matches

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TASK = re.compile(r"[^+?/\\\s]+(\+[^+?/\\\s]+(\?[^+?/\\]*)*)*")
_SECTIONS = {
    "pivot": "name=TASK",
    "tagging": "all=TAG",
    "reuse": "models=PROJECT",
    "executor": "threads=NUMBER",
    "trainer": "max_epochs=NUMBER",
}
"""Keys that hold keys of their own, each with an example."""
_ERROR_POLICIES = ("stop", "continue")
_INTEGERS = ("max_epochs", "min_epochs", "max_steps", "min_steps", "accumulate_grad_batches")


def validate(cfg: DictConfig, plugins: PluginManager) -> None:
    """Check the values of a composed config.

    Args:
        cfg: The job's config.
        plugins: What modes and executors there are.

    Raises:
        ConfigError: A value is not what its key takes; key, value and what to write are in the message.
    """
    _check_sections(cfg)
    check_paths(cfg)
    _check_integer(cfg, "seed", lowest=0)
    check_project(cfg.get("proj"))
    check_running(cfg, plugins)
    _check_tasks(cfg)
    _check_clean_up(cfg)
    _check_trainer(cfg.get("trainer"))
    _check_mode(cfg, plugins)


def check_running(cfg: DictConfig, plugins: PluginManager) -> None:
    """Check how the steps are to be run, which may change when a run is continued.

    Raises:
        ConfigError: A value is not what its key takes.
    """
    _check_integer(cfg, "retries", lowest=0)
    _check_integer(cfg, "executor.threads", lowest=1)
    policy = cfg.get("on_error", "stop")
    if policy not in _ERROR_POLICIES:
        raise ConfigError(
            f"on_error is {policy!r}; write one of {', '.join(_ERROR_POLICIES)}."
            f"{near_matches(str(policy), _ERROR_POLICIES)}"
        )
    plugins.executors.get(str(OmegaConf.select(cfg, "executor.name", default="sequential")))


def check_project(name: object) -> str:
    """Return ``name`` if it can be the folder of a project.

    Raises:
        ConfigError: It cannot; a project is one folder directly below the results.
    """
    text = str(name)
    nameless = not isinstance(name, (str, int)) or isinstance(name, bool)
    if nameless or not _PROJECT.fullmatch(text) or text.endswith("."):
        raise ConfigError(
            f"The project name {name!r} cannot be a folder of the results; use letters, digits, '_', '.' and "
            "'-', beginning with a letter or digit."
        )
    return text


def check_paths(cfg: DictConfig) -> None:
    """Check that the places of data and results are given as text, which may hold interpolations.

    Raises:
        ConfigError: One is not; or the section was deleted.
    """
    paths = cfg.get("paths")
    for key in ("data", "results"):
        value = paths.get(key) if isinstance(paths, DictConfig) else None
        if not isinstance(value, str) or not value:
            raise ConfigError(
                f"paths.{key} is {value!r}; write a folder, paths.{key}=FOLDER, or leave it out to take the "
                "default."
            )


def mode_spec(cfg: DictConfig, plugins: PluginManager) -> Any:
    """Return the scheduler record of ``cfg.mode``; None where a config file alone brings the mode."""
    return plugins.schedulers.find(str(OmegaConf.select(cfg, "mode.name")))


def mode_writes(cfg: DictConfig, plugins: PluginManager) -> bool:
    """Tell whether the mode writes, and so needs a run directory."""
    spec = mode_spec(cfg, plugins)
    return True if spec is None else bool(spec.writes)


def _check_mode(cfg: DictConfig, plugins: PluginManager) -> None:
    mode = cfg.get("mode")
    if not isinstance(mode, DictConfig) or OmegaConf.select(mode, "scheduler._target_") is None:
        modes = ", ".join(sorted(plugins.schedulers.names()))
        raise UnknownModeError(
            f"No mode is given; add --mode=NAME. Modes: {modes}.{plugins.not_loaded()}"
            if mode is None
            else "mode.scheduler._target_ is not set; name a subclass of AbstractBaseScheduler there."
        )
    subroutines = mode.get("subroutines")
    if subroutines is None:
        return
    names = [subroutines] if isinstance(subroutines, str) else subroutines
    if not isinstance(names, (list, ListConfig)):
        raise ConfigError(f"mode.subroutines is {subroutines!r}; write a list, mode.subroutines=[a,b].")
    spec = mode_spec(cfg, plugins)
    available: Sequence[str] = spec.subroutines if spec is not None else ()
    for name in names:
        if available and name != "all" and name not in available:
            raise ConfigError(
                f"The mode '{mode.name}' has no subroutine {str(name)!r}."
                f"{near_matches(str(name), available)} Subroutines: {', '.join(available)}."
            )


def _check_sections(cfg: DictConfig) -> None:
    for key, inner in _SECTIONS.items():
        value = cfg.get(key)
        if value is not None and not isinstance(value, DictConfig):
            raise ConfigError(f"{key} is {value!r}; its values are set one by one, as in {key}.{inner}.")


def _check_clean_up(cfg: DictConfig) -> None:
    wanted = OmegaConf.select(cfg, "reuse.clean_up")
    if wanted is not None and not isinstance(wanted, DictConfig):
        raise ConfigError(f"reuse.clean_up is {wanted!r}; write reuse.clean_up.<key>=true for each path key.")
    for key, value in (wanted or {}).items():
        if value is not None and not isinstance(value, bool):
            raise ConfigError(f"reuse.clean_up.{key!s} is {value!r}; write true or false.")


def _check_tasks(cfg: DictConfig) -> None:
    for key in ("pivot.tags", "tagging.all", "tagging.variants"):
        tags = OmegaConf.select(cfg, key)
        if not isinstance(tags, (str, ListConfig, NoneType)):
            raise ConfigError(f"{key} is {tags!r}; write a tag, or a list of tags.")
    tasks = cfg.get("task_list")
    if not isinstance(tasks, ListConfig):
        raise ConfigError(f"task_list is {tasks!r}; write a list, task_list=[a,b] or --tasks a,b.")
    seen: set[str] = set()
    for name in tasks:
        if not isinstance(name, str) or not _TASK.fullmatch(name):
            raise ConfigError(f"{name!r} in task_list is no task name; write task, or task+tag?arg?arg+tag.")
        if name in seen:
            raise ConfigError(f"The task '{name}' stands twice in task_list; name it once.")
        seen.add(name)


def _check_trainer(trainer: Mapping[str, Any] | None) -> None:
    for key in _INTEGERS:
        value = trainer.get(key) if trainer else None
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ConfigError(f"trainer.{key} is {value!r}; write an integer.")


def _check_integer(cfg: DictConfig, key: str, *, lowest: int) -> None:
    value = OmegaConf.select(cfg, key, default=lowest)
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise ConfigError(f"{key} is {value!r}; write an integer of at least {lowest}.")
