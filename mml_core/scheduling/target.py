"""The scheduler class and the executor class that a config names, found by their plugins' records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mml_core.errors import MMLError
from mml_core.plugins.refs import load_ref
from mml_core.scheduling.base import AbstractBaseScheduler

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


class SchedulerTargetError(MMLError):
    """``mode.scheduler._target_`` is no scheduler."""


def scheduler_class(cfg: DictConfig, plugins: PluginManager) -> type[AbstractBaseScheduler]:
    """Return the scheduler that ``mode.scheduler._target_`` names, dotted or with a colon.

    Where a plugin has registered it and it cannot be imported, that is noted as the plugin's status.

    Args:
        cfg: The composed config.
        plugins: The plugins of this process.

    Raises:
        SchedulerTargetError: It names something else than a subclass of AbstractBaseScheduler.
        RefError: It names nothing that can be imported; the message names the plugin that registered it.
    """
    target = OmegaConf.select(cfg, "mode.scheduler._target_")
    if not isinstance(target, str) or not target:
        raise SchedulerTargetError("mode.scheduler._target_ is not set; give a mode by --mode.")
    dotted = target.replace(":", ".")
    registered = [
        item for item in plugins.schedulers.items() if item.record.target.replace(":", ".") == dotted
    ]
    mode = str(OmegaConf.select(cfg, "mode.name")).rpartition(":")[2]
    registered.sort(key=lambda item: item.name != mode)
    found = plugins.resolve(registered[0]) if registered else load_ref(target)
    if not isinstance(found, type) or not issubclass(found, AbstractBaseScheduler):
        raise SchedulerTargetError(
            f"mode.scheduler._target_ '{target}' is {found!r}; a subclass of AbstractBaseScheduler is needed."
        )
    return found


def executor_class(cfg: DictConfig, plugins: PluginManager) -> Any:
    """Return what makes the executor that ``executor.name`` names.

    Args:
        cfg: The composed config.
        plugins: The plugins of this process.

    Raises:
        UnknownNameError: There is no such executor.
        RefError: It cannot be imported; the message names the plugin that registered it.
    """
    name = str(OmegaConf.select(cfg, "executor.name", default="sequential"))
    return plugins.resolve(plugins.executors.entry(name))
