"""The mode ``dimensionality``: features of each task, estimates of each task, one table of all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mml_core.api import FeatureScheduler, OptionError, writing

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mml_dimensionality.options import Options

log = logging.getLogger(__name__)


class DimensionalityScheduler(FeatureScheduler):
    """Estimates the intrinsic dimension of each task by itself."""

    reuse_safe = True

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self) -> None:
        """Plan a step for the features of each task, one for its estimates, and one for the table."""
        tasks = list(self.cfg.task_list)
        if not tasks:
            raise OptionError("There is no task to estimate the dimension of; name some by --tasks=a,b.")
        with self.choosing_steps():
            self._check(tasks)
        extracted = self.plan_features()
        estimated = [
            self.add_step("estimate_task", task, after=handle)
            for task, handle in zip(tasks, extracted, strict=True)
        ]
        self.add_step("save_table", after=estimated)

    def _check(self, tasks: list[str]) -> None:
        from mml_dimensionality.estimating import require_samples

        options = self._options()
        for task in tasks:
            struct = self.get_struct(task)
            if (
                "features" in struct.paths
            ):  # how many there are, and how many differ, is seen when they are read
                continue
            split, most = self.cfg.mode.get("split") or "all", self.cfg.mode.get("samples")
            counts = struct.header.num_samples
            found = sum(counts.values()) if split == "all" else counts.get(split, 0)
            require_samples(task, found if most is None else min(found, most), options)

    # -- steps

    def estimate_task(self, task: str) -> dict[str, Any]:
        """Estimate the dimension of one task.

        Returns:
            ``task`` and ``estimates``, one for each estimator and scale.
        """
        from mml_dimensionality.estimating import estimate

        (features,) = self.features_of_tasks()
        estimates = estimate(task, features.values, self._options(), self.step_seed)
        for each in estimates:
            if each.dimension is None:
                log.warning("%s: %s has no finite estimate at scale %d", task, each.estimator, each.scale)
        return {"task": task, "estimates": [each.to_json() for each in estimates]}

    def save_table(self) -> dict[str, Any]:
        """Save the estimates of all tasks as one table."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [row for each in self.results.by_method("estimate_task") for row in each["estimates"]]
        path = self.fm.construct_saving_path(None, "dimensionality")
        with writing(path) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, _schema()), temporary, compression="zstd")
        return {"table": str(path)}

    def before_finishing_hook(self) -> None:
        """Show the estimates, and return those of all samples together: task → estimator → dimension."""
        (saved,) = self.results.by_method("save_table")
        found = self.results.by_method("estimate_task")
        print("\n".join([*_lines(found), f"Table: {saved['table']}"]))
        first = self._options().scales[0]
        self.return_value = {
            "table": saved["table"],
            "dimensions": {
                each["task"]: {
                    row["estimator"]: row["dimension"] for row in each["estimates"] if row["scale"] == first
                }
                for each in found
            },
        }

    def _options(self) -> Options:
        from mml_dimensionality.options import Options

        return Options.from_config(self.cfg.mode)


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("task", pa.string()),
            ("estimator", pa.string()),
            ("scale", pa.int64()),
            ("samples", pa.int64()),
            ("duplicates", pa.int64()),
            ("width", pa.int64()),
            ("dimension", pa.float64()),
            ("spread", pa.float64()),
        ]
    )


def _lines(found: list[dict[str, Any]]) -> list[str]:
    """Return a table of text: a row for each task and estimator, a column for each scale."""
    scales = dict.fromkeys(row["scale"] for row in found[0]["estimates"])
    heads = ["all" if scale == 1 else f"1/{scale}" for scale in scales]
    table = [["task", "estimator", "samples", "width", *heads]]
    for each in found:
        for name in dict.fromkeys(row["estimator"] for row in each["estimates"]):
            rows = [row for row in each["estimates"] if row["estimator"] == name]
            most = max(row["samples"] for row in rows)
            table.append([each["task"], name, str(most), str(rows[0]["width"]), *map(_cell, rows)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    padded = (map(str.ljust, line, widths) for line in table)
    return ["  ".join(line).rstrip() for line in padded]


def _cell(row: dict[str, Any]) -> str:
    if row["dimension"] is None:
        return "-"
    spread = "" if row["spread"] is None else f" ± {row['spread']:.2f}"
    return f"{row['dimension']:.2f}{spread}"
