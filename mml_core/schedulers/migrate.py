"""The mode ``migrate``: one step per store of an older mml, which brings it to the present form in place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mml_core.data.manifest import FORMAT
from mml_core.data.migration import form_of, migrate_store
from mml_core.data.prepared import store_folder
from mml_core.errors import MMLError
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.tasks.tags import parse_task_name


class MigrationError(MMLError):
    """What is to be migrated cannot be written to."""


class MigrateScheduler(AbstractBaseScheduler):
    """Looks at all stores of the tasks when the run is planned, and migrates those of an older form.

    Headers and sample tables of tasks have had one form so far, which was only added to: they are read as
    they are, and their fingerprints stay. Here they are read, so that what is of a newer mml, or of none, is
    named before anything is changed.
    """

    def __init__(self, cfg: DictConfig | Mapping[str, Any]) -> None:
        super().__init__(cfg, available_subroutines=["stores"])

    def create_routine(self) -> None:
        """Plan one step for each store of an older form.

        Raises:
            NewerSchemaError: A task is of a newer mml.
            DamagedTaskError: A task cannot be read.
            NewerStoreError: A store is of a newer mml.
            DamagedStoreError: A store is not as it was written.
            MigrationError: A store that is to be migrated cannot be written to.
        """
        if "stores" not in self.subroutines:
            return
        with self.choosing_steps():
            for task, prep_id in self._stores():
                folder = store_folder(self.fm.data, prep_id, task)
                found = form_of(folder)
                if found == FORMAT:
                    continue
                _require_writable(folder)
                self.add_step("migrate_store", task, prep_id, found, after=(), resources={"gpus": 0})

    def _stores(self) -> Iterator[tuple[str, str]]:
        tasks = self.fm.tasks
        for task in dict.fromkeys(parse_task_name(name)[0] for name in self.cfg.task_list or tasks.names()):
            tasks.get(task, plugins=self.plugins)  # raises where it is not there, or of another form
            for prep_id in tasks.preprocessings():
                if store_folder(self.fm.data, prep_id, task).is_dir():
                    yield task, prep_id

    def migrate_store(self, task: str, prep_id: str, found: int) -> dict[str, Any]:
        """Bring one store to the present form.

        Args:
            task: A task without tags.
            prep_id: The preprocessing it is stored in.
            found: The format it had when the run was planned.

        Returns:
            The same whether it was migrated now, or before the step was interrupted.
        """
        migrate_store(store_folder(self.fm.data, prep_id, task))
        return {"task": task, "preprocessing": prep_id, "format": found, "now": FORMAT}

    def before_finishing_hook(self) -> None:
        """Show and return what was migrated."""
        from mml_core.schedulers.tables import show

        rows = list(self.results.by_method("migrate_store"))
        show(
            rows,
            ["task", "preprocessing", "format", "now"],
            title="Migrated stores",
            empty="all are of the present form.",
        )
        self.return_value = rows


def _require_writable(folder: Path) -> None:
    if not (os.access(folder, os.W_OK) and os.access(folder.parent, os.W_OK)):
        raise MigrationError(
            f"The store {folder} is of an older form and cannot be written to: migrate it where it can be, or"
            " make the data folder writable."
        )
