"""The mode ``suggest``: a blueprint for a task, by what was best on the tasks nearest to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mml_core.api import AbstractBaseScheduler, writing
from mml_suggest.options import Options, SuggestError

if TYPE_CHECKING:
    from mml_suggest.distances import Distances

_REUSED = "reuse:"


class SuggestScheduler(AbstractBaseScheduler):
    """Takes the models of each task, proposes blueprints, and evaluates such proposals."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg, available_subroutines=["suggest", "evaluate"])

    def create_routine(self) -> None:
        """Plan the steps: models of each task are taken, then blueprints proposed and proposals evaluated."""
        with self.choosing_steps():
            tasks = list(self.cfg.task_list)
            pivot = self.pivot
        targets = [pivot.name] if pivot is not None else tasks
        if len(tasks) < 2:
            raise SuggestError("mode=suggest needs another task to learn from; name two at least by --tasks.")
        with self.choosing_steps():
            self._distances().require(tasks if "evaluate" in self.subroutines else targets, tasks)
        taken = [self.add_step("take_models", task, after=()) for task in tasks]
        if "suggest" in self.subroutines:
            for target in targets:
                self.add_step("suggest_blueprint", target, after=taken)
        if "evaluate" in self.subroutines:
            self.add_step("evaluate", after=taken)

    # -- steps

    def take_models(self, task: str) -> dict[str, Any]:
        """Return the blueprints that the stored models of a task were trained with, and their scores."""
        from mml_suggest.candidates import candidates_of

        options = self._options()
        found = candidates_of(self.get_struct(task).models, options.metrics)
        return {"task": task, "candidates": [each.to_json() for each in found]}

    def suggest_blueprint(self, target: str) -> dict[str, Any]:
        """Write the blueprint that the nearest tasks propose; return the ranking.

        Raises:
            SuggestError: None of the other tasks has a model with the metric.
        """
        import yaml

        from mml_suggest.ranking import rank

        options, known = self._options(), self._known()
        proposals = rank(target, self._scores(), self._distances(), options.neighbours)
        if not proposals:
            raise SuggestError(
                f"No other task than '{target}' has a stored model with any of {', '.join(options.metrics)};"
                " set reuse.models=<project>, or mode.metric."
            )
        best = known[proposals[0].blueprint]
        path = self.fm.construct_saving_path(None, "blueprint", target)
        with writing(path) as temp:
            stored = {"version": 1, "config": best["groups"]}
            temp.write_text(yaml.safe_dump(stored, sort_keys=True, allow_unicode=True), encoding="utf-8")
        rows = [
            {
                **asdict(each),
                "voters": list(each.voters),
                "architecture": known[each.blueprint]["architecture"],
            }
            for each in proposals
        ]
        table = self.fm.construct_saving_path(None, "suggestions", file_name=f"{_plain(target)}.parquet")
        _save(table, rows)
        return {"task": target, "proposals": rows, "files": {"blueprint": str(path), "ranking": str(table)}}

    def evaluate(self) -> dict[str, Any]:
        """Leave out one task after the other, and compare what is proposed for it with other choices."""
        from mml_suggest.ranking import leave_each_out

        sign = 1 if self._options().maximise else -1
        left_out = leave_each_out(self._scores(), self._distances(), self._options().neighbours)
        rows = []
        for each in left_out:
            scores = {name: value for name, value in asdict(each).items() if name.endswith("_score")}
            relative = {
                f"{name}_relative": each.relative(scores[f"{name}_score"])
                for name in ("suggested", "single", "mean")
            }
            signed = {name: sign * value for name, value in scores.items()}
            rows.append({**asdict(each), **signed, **relative})
        if not rows:
            return {"tasks": 0, "rows": [], "files": {}}
        path = self.fm.construct_saving_path(None, "suggestions", file_name="evaluation.parquet")
        _save(path, rows)
        means = {
            name: fmean(row[f"{name}_relative"] for row in rows) for name in ("suggested", "single", "mean")
        }
        return {"tasks": len(rows), "relative": means, "rows": rows, "files": {"evaluation": str(path)}}

    def before_finishing_hook(self) -> None:
        """Show what is proposed, and what such proposals are worth."""
        suggested = {
            found["task"]: found["proposals"] for found in self.results.by_method("suggest_blueprint")
        }
        for task, proposals in suggested.items():
            print(f"Blueprints for {task}, the first is written:")
            _show(proposals, ("blueprint", "architecture", "votes", "relative", "voters"))
        returned: dict[str, Any] = {"suggested": {task: each[0] for task, each in suggested.items()}}
        for found in self.results.by_method("evaluate"):
            if not found["rows"]:
                print("No task shares blueprints with others, so that there is nothing to evaluate by.")
                continue
            print(f"Each of {found['tasks']} tasks left out:")
            _show(
                found["rows"],
                (
                    "task",
                    "suggested_score",
                    "single_score",
                    "mean_score",
                    "best_score",
                    "suggested",
                    "single",
                ),
            )
            means = ", ".join(f"{name} {value:.3f}" for name, value in found["relative"].items())
            print(f"Mean between the worst (0) and the best (1) blueprint of each task: {means}")
            returned["evaluation"] = {"tasks": found["tasks"], **found["relative"]}
        self.return_value = returned

    # -- what steps use

    def _options(self) -> Options:
        from omegaconf import OmegaConf

        mode = {key: OmegaConf.select(self.cfg, f"mode.{key}", default="???") for key in self.cfg.mode}
        plain = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in mode.items()
        }
        return Options.read(plain)

    def _distances(self) -> Distances:
        from mml_suggest.distances import load_distances

        options = self._options()
        if options.distances.startswith(_REUSED):
            path = self.fm.global_path(options.distances.removeprefix(_REUSED))
        else:
            path = Path(options.distances).expanduser().absolute()
            self.fm.take_file(path)
        return load_distances(path, options.distance)

    def _known(self) -> dict[str, dict[str, Any]]:
        """Return the candidates of all tasks by the ids of their blueprints."""
        return {
            each["id"]: each
            for found in self.results.by_method("take_models")
            for each in found["candidates"]
        }

    def _scores(self) -> dict[str, dict[str, float]]:
        """Return task → blueprint → score; where less is better the negative of it."""
        sign = 1 if self._options().maximise else -1
        return {
            found["task"]: {each["id"]: sign * each["score"] for each in found["candidates"]}
            for found in self.results.by_method("take_models")
        }


def _save(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with writing(path) as temp:
        pq.write_table(pa.Table.from_pylist(rows), temp)


def _show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    cells = [list(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _plain(task: str) -> str:
    return "".join(each if each.isalnum() or each in "-_." else "_" for each in task)
