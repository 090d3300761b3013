"""The tasks of a run: ``task_list`` with the tags that the config adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mml_core.errors import MMLError, near_matches
from mml_core.tasks.tags import without_provider


class TaskListError(MMLError):
    """``task_list``, ``tagging`` or ``pivot`` of the config cannot be used."""


def resolve_task_list(cfg: Mapping[str, Any]) -> list[str]:
    """Return the run's tasks: ``task_list`` with the tags of ``pivot`` and ``tagging``.

    Tasks are named as they are installed, without ``provider:``. ``tagging.all`` is added to every task; each
    of ``tagging.variants`` makes a further task of every task; ``pivot.tags`` are added to the pivot alone,
    before the others.
    """
    tagging = cfg.get("tagging") or {}
    common = _tags(tagging.get("all"))
    variants = _list(tagging.get("variants"))
    name, tagged = _pivot(cfg)
    tasks: list[str] = []
    for task in map(without_provider, _list(cfg.get("task_list"))):
        base = (tagged if task == name else task) + common
        tasks.extend([base, *(base + _tags(variant) for variant in variants)])
    repeated = (
        sorted({task for task in tasks if tasks.count(task) > 1}) if len(set(tasks)) < len(tasks) else []
    )
    if repeated:
        raise TaskListError(
            f"The task list names {', '.join(map(repr, repeated))} more than once; name it once."
        )
    return tasks


def resolve_pivot(cfg: Mapping[str, Any], tasks: list[str]) -> str | None:
    """Return the pivot as it is named in the resolved ``tasks``; None where the config names none.

    Raises:
        TaskListError: The pivot is not one of the tasks.
    """
    name, tagged = _pivot(cfg)
    if name is None:
        return None
    full = tagged + _tags((cfg.get("tagging") or {}).get("all"))
    if full in tasks:
        return full
    if name in tasks:
        return name
    raise TaskListError(
        f"pivot.name '{name}' is not in task_list ({', '.join(tasks) or 'empty'}); add it by --tasks."
        f"{near_matches(name, tasks)}"
    )


def _pivot(cfg: Mapping[str, Any]) -> tuple[str | None, str]:
    pivot = cfg.get("pivot") or {}
    name = pivot.get("name")
    if not name:
        return None, ""
    task = without_provider(str(name))
    return task, task + _tags(pivot.get("tags"))


def _tags(value: Any) -> str:
    return "".join("+" + str(tag).removeprefix("+") for tag in _list(value))


def _list(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) else [str(item) for item in value]
