"""What is refused before a run is started, from whatever it is started: a command, a script, a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.errors import MMLError
from mml_core.plugins.requiring import check_required
from mml_core.scheduling.providers import providers_of
from mml_core.scheduling.target import executor_class, scheduler_class
from mml_core.scheduling.task_list import resolve_pivot, resolve_task_list
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.tags import parse_task_name, task_to_create

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mml_core.plugins import PluginManager


class DataFolderError(MMLError):
    """The data folder cannot be read."""


def check_job(cfg: DictConfig, plugins: PluginManager) -> None:
    """Refuse, before anything is written, a mode that is no scheduler, files of two owners, unknown tasks.

    Raises:
        RequiredPluginError: A plugin that the project requires is not there.
        DataFolderError: The data folder is there and cannot be read.
        RefError: What a record of the mode or executor names cannot be imported; its plugin is named.
        ConflictError: Two plugins claim one path key, and the run uses one of them.
        SchedulerTargetError: ``mode.scheduler._target_`` is something else.
        TaskListError: The task list names a task twice, or not the pivot.
        UnknownTaskError: A task is neither installed nor can it be created.
        UnknownNameError: A tag, or a task with its provider, is unknown.
    """
    check_required(Path(cfg.paths.results) / str(cfg.proj), plugins)
    _check_data(Path(cfg.paths.data))
    scheduler_class(cfg, plugins)
    executor_class(cfg, plugins)
    plugins.check_conflicts(providers_of(cfg, plugins))
    tasks = resolve_task_list(cfg)
    resolve_pivot(cfg, tasks)
    if tasks:
        _check_tasks(cfg.task_list, tasks, Path(cfg.paths.data), plugins)


def _check_data(data: Path) -> None:
    """Refuse data that are there and cannot be looked through, which would pass for none."""
    for folder in (data, data / "tasks"):
        try:
            next(folder.iterdir(), None)
        except FileNotFoundError:
            return
        except OSError as error:
            problem = (error.strerror or str(error)).lower()
            raise DataFolderError(
                f"'{folder}' cannot be used for data: {problem}; repair it, or choose another folder by "
                "paths.data or MML_DATA_PATH."
            ) from error


def _check_tasks(written: Iterable[str], tasks: Iterable[str], data: Path, plugins: PluginManager) -> None:
    """Refuse tasks and tags that are unknown; ``written`` has providers, ``tasks`` all tags of the config."""
    index = TaskIndex(data)
    for name in written:
        base, wanted = parse_task_name(name)[0], task_to_create(name)
        if (base in index and wanted == base) or plugins.find_task(wanted) is not None:
            continue
        if wanted == base:
            index.get(base, plugins=plugins)  # raises, with near matches
        plugins.tasks.get(wanted)  # raises, too
    for tag in {tag.name for task in tasks for tag in parse_task_name(task)[1]}:
        plugins.tags.get(tag)
