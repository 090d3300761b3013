"""Checks of composed values that would otherwise fail late, or after something was written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mml_core.config.errors import ConfigError, UnknownModeError
from mml_core.errors import near_matches

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TASK = re.compile(r"[^+?/\\\s]+(\+[^+?/\\\s]+(\?[^+?/\\]*)*)*")
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
    _check_integer(cfg, "seed", lowest=0)
    check_project(cfg.proj)
    check_running(cfg, plugins)
    _check_tasks(cfg)
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
    if not _PROJECT.fullmatch(text) or text.endswith("."):
        raise ConfigError(
            f"The project name {text!r} cannot be a folder of the results; use letters, digits, '_', '.' and "
            "'-', beginning with a letter or digit."
        )
    return text


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


def _check_tasks(cfg: DictConfig) -> None:
    tasks = cfg.task_list
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
