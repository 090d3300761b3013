"""The mode ``info``: shows what is installed, what can be created, what a project holds; writes nothing."""

from __future__ import annotations

from omegaconf import DictConfig

from mml_core.schedulers import inventory
from mml_core.schedulers.tables import show
from mml_core.scheduling.base import AbstractBaseScheduler


class InfoScheduler(AbstractBaseScheduler):
    """Prints one table per subroutine; works with no tasks, no data folder and no project, too."""

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=["tasks", "models", "samples", "plugins"])

    def create_routine(self) -> None:
        """Plan one step per subroutine, in the order in which they are named, once all tasks are found."""
        if "samples" in self.subroutines:
            for name in self.cfg.task_list:
                self.fm.tasks.get(name, plugins=self.plugins)
        for subroutine in self.subroutines:
            self.commands.append(f"show_{subroutine}")
            self.params.append([])

    def show_tasks(self) -> int:
        """Print the tasks that are installed or can be created; return how many."""
        rows = inventory.task_rows(self.fm.data, self.plugins)
        columns = ("task", "type", "samples", "folds", "classes", "state")
        show(rows, columns, title="tasks", empty="none installed, and no plugin can create one")
        return len(rows)

    def show_models(self) -> int:
        """Print the models that runs of the project have stored; return how many."""
        rows = inventory.model_rows(self.fm.project_path, list(self.cfg.task_list))
        columns = ("task", "fold", "metrics", "created", "run", "path")
        show(rows, columns, title=f"models of the project {self.cfg.proj}", empty="none")
        return len(rows)

    def show_samples(self) -> int:
        """Print sample counts of the tasks of the run, or of all; return for how many."""
        rows = inventory.sample_rows(self.fm.data, list(self.cfg.task_list), self.plugins)
        columns = ("task", "train", "test", "unlabelled", "folds", "per_class")
        show(rows, columns, title="samples", empty="no task is installed")
        return len(rows)

    def show_plugins(self) -> int:
        """Print the status of every plugin; return how many there are."""
        rows = inventory.plugin_rows(self.plugins)
        show(rows, ("plugin", "version", "status", "contributes", "cause"), title="plugins")
        return len(rows)
