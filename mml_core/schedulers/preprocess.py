"""The mode ``preprocess``: one step per task, which makes its store or keeps the one that is up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from mml_core.data.errors import PreprocessingError
from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import Preprocessing
from mml_core.data.progress import progress
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.resources import processors
from mml_core.tasks.tags import parse_task_name

log = logging.getLogger(__name__)


class PreprocessScheduler(AbstractBaseScheduler):
    """Preprocesses the tasks of the run, each into a store that training maps into memory.

    Tags change which samples of a task are used, not their pixels, so that a task is preprocessed once
    however many tags it is listed with.
    """

    def __init__(self, cfg: DictConfig | Mapping[str, Any]) -> None:
        super().__init__(cfg, available_subroutines=["preprocess"])
        self.preprocessing = Preprocessing.from_config(self.cfg.preprocessing)
        self.workers = _workers(self.cfg.mode.get("workers"))
        self.verify = _switch("verify", self.cfg.mode.get("verify", False))

    def create_routine(self) -> None:
        """Plan one step per task, tags aside."""
        if "preprocess" not in self.subroutines:
            return
        for task in dict.fromkeys(parse_task_name(name)[0] for name in self.cfg.task_list):
            # Its workers are counted, so that an executor starts no more steps than there are processors for.
            self.add_step("preprocess_task", task, after=(), resources={"cpus": self.workers, "gpus": 0})

    def preprocess_task(self, task: str) -> dict[str, Any]:
        """Make the store of one task.

        Args:
            task: An installed task, without tags.

        Returns:
            ``task``, ``prep_id`` and ``samples``; the same whether the store was made or kept, so that a
            resumed run returns what an uninterrupted one does.
        """
        started = time.monotonic()
        description = self.fm.tasks.get(task, plugins=self.plugins)
        with progress(f"preprocessing {task}", len(description.samples)) as advance:
            made = prepare_task(
                description,
                self.preprocessing,
                workers=self.workers,
                verify=self.verify,
                advance=advance,
            )
        log.info(
            "%s: %s in preprocessing %s (%d samples, %.1f MiB, %.1f s)",
            task,
            _OUTCOMES[made.outcome],
            made.prep_id,
            made.samples,
            made.bytes / 2**20,
            time.monotonic() - started,
        )
        if made.taken_up:
            log.info("%s: %d of them had been finished before an interruption", task, made.taken_up)
        return {"task": task, "prep_id": made.prep_id, "samples": made.samples}

    def before_finishing_hook(self) -> None:
        """Return the preprocessing each task is stored in."""
        self.return_value = {result["task"]: result["prep_id"] for result in self.results.values()}


_OUTCOMES = {
    "made": "stored",
    "kept": "already there and up to date: kept",
    "remade": "changed since it was stored: stored anew",
    "repaired": "was damaged: stored anew",
}


def _workers(chosen: Any) -> int:
    if chosen is None:
        return min(4, processors())
    if not isinstance(chosen, int) or isinstance(chosen, bool) or chosen < 1:
        raise PreprocessingError(f"mode.workers is {chosen!r}; a whole number from 1 is needed, or null.")
    return chosen


def _switch(key: str, chosen: Any) -> bool:
    if not isinstance(chosen, bool):
        raise PreprocessingError(f"mode.{key} is {chosen!r}; it can be true or false.")
    return chosen
