"""The mode ``create``: puts datasets in place and makes the tasks of the run over them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mml_core.errors import MMLError
from mml_core.schedulers.task_progress import checking
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.tasks.creation import check_kept, create_task
from mml_core.tasks.datasets import Creation, create_dataset
from mml_core.tasks.finishing import CreationOptions
from mml_core.tasks.tags import parse_task_name, task_to_create

log = logging.getLogger(__name__)


class CreateOptionError(MMLError):
    """An option of the mode ``create`` cannot be used."""


class CreateScheduler(AbstractBaseScheduler):
    """Creates the tasks of the run, tags aside, and before them the datasets they need.

    What is there is kept, unless ``mode.force`` says otherwise. Datasets and tasks lie in the data folder,
    where they appear whole or not at all.
    """

    def __init__(self, cfg: DictConfig | Mapping[str, Any]) -> None:
        super().__init__(cfg, available_subroutines=["dataset", "task"])
        # In self.cfg tasks are named as they are installed; who is to create them stands in the given config.
        self._wanted = {parse_task_name(name)[0]: task_to_create(name) for name in cfg.get("task_list") or ()}
        self.options = _options(self.cfg)

    def create_routine(self) -> None:
        """Plan one step per dataset, and one per task that waits for its dataset."""
        specs = {name: self._find(name) for name in dict.fromkeys(_bases(self.cfg.task_list))}
        handles = {}
        if "dataset" in self.subroutines:
            for spec in specs.values():
                if spec is not None and spec.dataset not in handles:
                    dataset = self.plugins.datasets.label(self.plugins.dataset_of(spec))
                    handles[spec.dataset] = self.add_step(
                        "create_dataset", dataset, after=(), resources={"gpus": 0}
                    )
        if "task" in self.subroutines:
            for name, spec in specs.items():
                needed = handles.get(spec.dataset) if spec is not None else None
                self.add_step(
                    "create_task", name, after=() if needed is None else needed, resources={"gpus": 0}
                )

    def create_dataset(self, name: str) -> dict[str, Any]:
        """Create one dataset, or check every file of one that is there.

        Args:
            name: A dataset that some plugin contributes, ``provider:`` included where several do.

        Returns:
            ``dataset``; the same whether it was made or kept, so that a resumed run returns what an
            uninterrupted one does.
        """
        made = create_dataset(self.plugins.datasets.get(name), self._data, force=self.options.force)
        log.info("dataset %s: %s in %s", name, _outcome(made), made.path)
        return {"dataset": name}

    def create_task(self, name: str) -> dict[str, Any]:
        """Create one task, or check the sample table of one that is there.

        Args:
            name: A task without tags.

        Returns:
            ``task``, ``dataset``, and its ``num_samples`` and ``num_folds``.
        """
        spec = self._find(name)
        if spec is None:
            installed = self.fm.tasks.get(name, plugins=self.plugins)
            check_kept(installed, installed.dataset)
            made = Creation(self._data / "tasks" / name, created=False)
        else:
            with checking(name) as report:
                made = create_task(spec, self._data, self.options, report)
        self.fm.tasks.refresh()
        task = self.fm.tasks.get(name, plugins=self.plugins)
        for warning in made.warnings:
            log.warning(warning)
        counts = ", ".join(f"{count} {split}" for split, count in task.num_samples.items())
        log.info(
            "task %s: %s in %s (%s samples, %d folds)",
            name,
            _outcome(made),
            made.path,
            counts,
            task.num_folds,
        )
        return {
            "task": name,
            "dataset": task.dataset,
            "num_samples": dict(task.num_samples),
            "num_folds": task.num_folds,
        }

    def before_finishing_hook(self) -> None:
        """Return the number of samples of each task, by split."""
        results = self.results.values()
        self.return_value = {each["task"]: each["num_samples"] for each in results if "task" in each}

    @property
    def _data(self) -> Path:
        return self.fm.tasks.data

    def _find(self, name: str) -> Any:
        """The spec to create a task by; None where it is installed and no plugin can create it."""
        spec = self.plugins.find_task(self._wanted.get(name, name))
        if spec is None:
            self.fm.tasks.get(name, plugins=self.plugins)  # raises, with near matches
        return spec


def _bases(task_list: Any) -> Iterator[str]:
    return (parse_task_name(name)[0] for name in task_list)


def _outcome(made: Creation) -> str:
    return "created" if made.created else "already there: kept"


def _options(cfg: Any) -> CreationOptions:
    mode = cfg.mode
    num_folds = mode.get("num_folds", 5)
    if not isinstance(num_folds, int) or isinstance(num_folds, bool) or num_folds < 2:
        raise CreateOptionError(f"mode.num_folds is {num_folds!r}; a whole number from 2 is needed.")
    force = mode.get("force", False)
    if not isinstance(force, bool):
        raise CreateOptionError(f"mode.force is {force!r}; true or false is needed.")
    on_leakage = mode.get("on_leakage", "refuse")
    if on_leakage not in ("refuse", "warn"):
        raise CreateOptionError(f"mode.on_leakage is {on_leakage!r}; refuse or warn is needed.")
    return CreationOptions(
        num_folds=num_folds, seed=int(cfg.get("seed", 42)), force=force, on_leakage=on_leakage
    )
