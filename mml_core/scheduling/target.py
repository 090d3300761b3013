"""The scheduler class that a config names."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from mml_core.errors import MMLError
from mml_core.plugins.refs import load_ref
from mml_core.scheduling.base import AbstractBaseScheduler


class SchedulerTargetError(MMLError):
    """``mode.scheduler._target_`` is no scheduler."""


def scheduler_class(cfg: DictConfig) -> type[AbstractBaseScheduler]:
    """Return the scheduler that ``mode.scheduler._target_`` names, dotted or with a colon.

    Raises:
        SchedulerTargetError: It names something else than a subclass of AbstractBaseScheduler.
        RefError: It names nothing that can be imported.
    """
    target = OmegaConf.select(cfg, "mode.scheduler._target_")
    if not isinstance(target, str) or not target:
        raise SchedulerTargetError("mode.scheduler._target_ is not set; give a mode by --mode.")
    found = load_ref(target if ":" in target else ":".join(target.rsplit(".", 1)))
    if not isinstance(found, type) or not issubclass(found, AbstractBaseScheduler):
        raise SchedulerTargetError(
            f"mode.scheduler._target_ '{target}' is {found!r}; a subclass of AbstractBaseScheduler is needed."
        )
    return found
