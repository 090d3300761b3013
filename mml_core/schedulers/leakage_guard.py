"""Keeping images and subjects that are trained on out of what is reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from mml_core.errors import MMLError

if TYPE_CHECKING:
    from mml_core.scheduling.base import AbstractBaseScheduler
    from mml_core.tasks.overlaps import Overlap

WARN, STOP, IGNORE = "warn", "stop", "ignore"
_SHOWN = 4


class LeakageFoundError(MMLError):
    """What is trained on would be evaluated, too, and ``leakage=stop`` forbids that."""


class LeakageOptionError(MMLError):
    """``leakage`` is none of its options."""


def guard_against_leakage(
    scheduler: AbstractBaseScheduler, trained_on: Mapping[str, Collection[str]]
) -> None:
    """Look for images and subjects that are trained on and evaluated, as ``leakage`` of the config says.

    With ``warn`` what is found is a notice of the run. Files and subjects are compared; images that look the
    same too, where all of a task's are hashed.

    Args:
        scheduler: In its ``create_routine``.
        trained_on: Of each task that is evaluated, all tasks that its models are trained on.

    Raises:
        LeakageFoundError: Something was found, and ``leakage=stop``.
        LeakageOptionError: The config says something else.
    """
    wanted = scheduler.cfg.get("leakage", WARN)
    if wanted not in (WARN, STOP, IGNORE):
        raise LeakageOptionError(f"leakage is {wanted!r}; warn, stop or ignore is needed.")
    if wanted == IGNORE:
        return
    found = _leaks(scheduler, trained_on)
    if not found:
        return
    lines = "; ".join(map(str, found[:_SHOWN])) + ("; …" if len(found) > _SHOWN else "")
    if wanted == STOP:
        raise LeakageFoundError(
            f"What is evaluated was trained on: {lines}. Take them out of one side (`mml tasks leakage` shows"
            " all), or set leakage=warn or ignore."
        )
    scheduler.notice(f"leakage: what is evaluated was trained on: {lines}. `mml tasks leakage` shows all.")


def _leaks(scheduler: AbstractBaseScheduler, trained_on: Mapping[str, Collection[str]]) -> list[Overlap]:
    from mml_core.tasks.image_hashes import HashCache
    from mml_core.tasks.overlaps import find_overlaps

    names = list(dict.fromkeys([*trained_on, *(name for each in trained_on.values() for name in each)]))
    tasks = [scheduler.get_struct(name).description for name in names]
    cache = HashCache(scheduler.fm.data)
    hashes = {task.name: known for task in tasks if (known := cache.cached(task)) is not None}
    return [overlap for overlap in find_overlaps(tasks, hashes) if _leaks_into(overlap, trained_on)]


def _leaks_into(overlap: Overlap, trained_on: Mapping[str, Collection[str]]) -> bool:
    """Tell whether one side is trained on for the evaluation of the other."""
    sides = ((overlap.left, overlap.right), (overlap.right, overlap.left))
    return any(
        trained[0] in trained_on.get(evaluated[0], ()) and trained[1] == "train"
        for trained, evaluated in sides
    )
