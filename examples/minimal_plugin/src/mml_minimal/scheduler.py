"""The mode ``brightness``: one atomic step per task, and one that ranks the tasks."""

import json
from typing import Any

from mml_core.api import AbstractBaseScheduler


class BrightnessScheduler(AbstractBaseScheduler):
    """Measure the mean brightness of each task and rank the tasks by it."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg, available_subroutines=["measure", "rank"])

    def create_routine(self) -> None:
        """Plan one measurement per task, independent of each other, and the ranking after them."""
        measured = ()
        if "measure" in self.subroutines:
            measured = tuple(self.add_step("measure", name, after=()) for name in self.cfg.task_list)
        if "rank" in self.subroutines:
            self.add_step("rank", after=measured)

    def measure(self, task_name: str) -> float:
        """Write the mean of the task's channel means, on a scale from 0 to 1, and return it."""
        struct = self.get_struct(task_name)
        brightness = sum(struct.means) / len(struct.means)
        record = {"task": task_name, "brightness": round(brightness, self.cfg.mode.digits)}
        path = self.fm.construct_saving_path(record, "brightness", task_name=task_name)
        path.write_text(json.dumps(record))
        struct.paths["brightness"] = path
        return brightness

    def rank(self) -> list[str]:
        """Return the task names, brightest first, by the files that this or a reused project holds."""

        def brightness(name: str) -> float:
            return float(json.loads(self.get_struct(name).paths["brightness"].read_text())["brightness"])

        self.return_value = sorted(self.cfg.task_list, key=brightness, reverse=True)
        return list(self.return_value)
