"""The mode ``postprocess``: predictions of earlier runs are calibrated and combined, without their images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mml_core.learning.options import section
from mml_core.schedulers.postprocess_checks import PostprocessError, check_sources
from mml_core.scheduling.base import AbstractBaseScheduler

if TYPE_CHECKING:
    from mml_core.learning.calibrator import Calibrator
    from mml_core.learning.ensembling import Member, Weights
    from mml_core.learning.predictions import Predictions
    from mml_core.schedulers.postprocess_options import EnsembleOptions
    from mml_core.schedulers.postprocess_sources import Source
    from mml_core.scheduling.routine import StepHandle

log = logging.getLogger(__name__)


class PostprocessScheduler(AbstractBaseScheduler):
    """Calibrates and combines saved predictions; what is fitted is fitted on validation samples alone.

    Which files are worked on is chosen when the run is planned. A step of its own takes each, compares it
    with what was committed, and makes it an input of the steps that follow.
    """

    reuse_safe = True

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=["calibrate", "ensemble"])

    def create_routine(self) -> None:
        """Plan the steps: each file is taken and calibrated, then each model measured, and all combined."""
        with self.choosing_steps():
            for task in self.cfg.task_list:
                self._plan(task, self._sources(task))

    def _plan(self, task: str, sources: Sequence[Source]) -> None:
        calibrate, ensemble = (name in self.subroutines for name in ("calibrate", "ensemble"))
        check_sources(task, sources, self.cfg, calibrate=calibrate, ensemble=ensemble)
        last: list[StepHandle] = []
        of_model: dict[str, list[StepHandle]] = {}
        for source in sources:
            handle = self.add_step("take_predictions", task, *source.params, after=())
            if calibrate:
                several = len({each.model for each in sources}) > 1
                name = f"{source.slot}-calibrated" + (f"-{source.model}" if several else "")
                handle = self.add_step("calibrate_fold", task, source.model, source.slot, name, after=handle)
                of_model.setdefault(source.model, []).append(handle)
            last.append(handle)
        for model, handles in of_model.items():
            self.add_step("compare_calibrated", task, model, after=handles)
        if ensemble:
            self.add_step("ensemble_task", task, after=last)

    def _sources(self, task: str) -> list[Source]:
        from mml_core.schedulers.postprocess_options import Choice
        from mml_core.schedulers.postprocess_sources import find_sources

        reuse = section(self.cfg, "reuse")
        wanted = reuse.get("models") and not reuse.get("predictions")
        models = self.get_struct(task).models if wanted else None
        return find_sources(self.fm, task, Choice.from_config(self.cfg.mode), models)

    # -- steps

    def take_predictions(self, task: str, model: str, slot: str, file: str, digest: str) -> dict[str, Any]:
        """Compare a file of predictions with what was committed, and let the steps that follow see it.

        Args:
            task: Name of the task.
            model: Which of the models it is of.
            slot: Which folds the model has not seen.
            file: ``<project>/<path in it>``.
            digest: How the sha256 of its content has to begin.
        """
        from mml_core.files.artefacts import ArtefactStore

        project, _, path = file.partition("/")
        store = ArtefactStore(self.fm.project_path.parent / project)
        record = store.find_path(path)
        if record is None or record.state != "live" or not record.artefact.sha256.startswith(digest):
            raise PostprocessError(
                f"The predictions {file} are not there any more as they were when the run was planned;"
                " restore them, or start the run anew."
            )
        return {
            "task": task,
            "model": model,
            "slot": slot,
            "project": project,
            "run": record.run,
            "files": {"predictions": str(store.verify(record))},
        }

    def calibrate_fold(self, task: str, model: str, slot: str, name: str) -> dict[str, Any]:
        """Fit a calibration on the validation fold of one model, and apply it to all splits."""
        from mml_core.learning.calibration import fit
        from mml_core.learning.calibrator import save_calibrator
        from mml_core.learning.ensembling import require_unseen
        from mml_core.learning.predictions import save_predictions
        from mml_core.learning.prior_shift import correct
        from mml_core.schedulers.postprocess_options import CalibrationOptions

        (taken,) = self.results.by_method("take_predictions")
        parts = _parts(taken["files"]["predictions"])
        require_unseen(parts)
        val = parts["val"]
        options = CalibrationOptions.from_config(self.cfg.mode, val.output)
        calibrator = fit(options.method, val, l2=options.l2)
        for note in calibrator.notes:
            log.warning("%s, %s, %s: %s", task, model, slot, note)
        mapped = {split: calibrator.apply(part) for split, part in parts.items()}
        mapped, shift = correct(mapped, options.priors, options.source_priors)
        path = self.fm.construct_saving_path(None, "predictions", task, f"{name}.parquet")
        save_predictions(path, list(mapped.values()))
        stored = self.fm.construct_saving_path(None, "calibration", task)
        source = {key: taken[key] for key in ("project", "run", "slot")}
        save_calibrator(stored, calibrator, l2=options.l2, prior_shift=shift, of=source)
        metrics = self._save_scores(task, [part for part in mapped.values() if part.split != "train"])
        return {
            "task": task,
            "model": model,
            "slot": slot,
            "project": taken["project"],
            "run": taken["run"],
            "method": _named(calibrator, shift),
            "before": taken["files"]["predictions"],
            "files": {"predictions": str(path), "calibration": str(stored), "metrics": str(metrics)},
        }

    def compare_calibrated(self, task: str, model: str) -> dict[str, Any]:
        """Measure one model before and after calibration, over its folds."""
        from mml_core.learning.ensembling import HELD_OUT

        found = self.results.by_method("calibrate_fold")
        pairs = [(_parts(each["before"]), _parts(each["files"]["predictions"])) for each in found]
        by_split = {
            split: ([before[split] for before, _ in pairs], [after[split] for _, after in pairs])
            for split in HELD_OUT
            if all(split in before for before, _ in pairs)
        }
        of = f"{_count(len(found), 'fold')} of {found[0]['run']}"
        return self._compared(task, f"{found[0]['method']}, {model}", of, by_split)

    def ensemble_task(self, task: str) -> dict[str, Any]:
        """Weigh the models of a task by their validation samples, and combine them on all others."""
        from mml_core.learning.ensembling import HELD_OUT, combine_all, fit_weights
        from mml_core.learning.predictions import save_predictions
        from mml_core.schedulers.postprocess_options import EnsembleOptions
        from mml_core.storage.atomic import write_json

        found = self.results.by_method(
            "calibrate_fold" if "calibrate" in self.subroutines else "take_predictions"
        )
        members = [_member(each) for each in found]
        task_type = next(iter(members[0].parts.values())).output.task_type
        options = EnsembleOptions.from_config(self.cfg.mode, task_type)
        weights = fit_weights(
            members,
            options.method,
            options.metric,
            options.greedy,
            average=options.average,
            seed=self.step_seed,
        )
        ensembles = combine_all(members, weights, average=options.average)
        if not ensembles:
            raise PostprocessError(
                f"The models of task '{task}' have no split in common that they could be combined on; choose"
                " others by mode.runs and mode.folds."
            )
        stored = self.fm.construct_saving_path(None, "ensembles", task)
        write_json(stored, {"task": task, **_described(options, weights, found)})
        files = {"ensembles": str(stored)}
        for ensemble in ensembles:
            name = (f"{ensemble.slot}-" if ensemble.slot else "") + f"ensemble-{options.method}"
            path = self.fm.construct_saving_path(None, "predictions", task, f"{name}.parquet")
            save_predictions(path, ensemble.predictions)
            files[f"predictions, {name}"] = str(path)
        labelled = [each for ensemble in ensembles for each in ensemble.predictions]
        files["metrics"] = str(self._save_scores(task, labelled))
        last = ensembles[-1]
        by_split = {
            each.split: (last.members[each.split], [each] * len(last.members[each.split]))
            for each in last.predictions
            if each.split in HELD_OUT
        }
        of = f"mean of {_count(len(members), 'member')}"
        return {**self._compared(task, _named_ensemble(options, found), of, by_split), "files": files}

    def before_finishing_hook(self) -> None:
        """Show what changed, and where every file is."""
        from mml_core.schedulers.postprocess_evaluation import print_changes
        from mml_core.schedulers.tables import show_files

        combined = self.results.by_method("ensemble_task")
        self.return_value = print_changes([*self.results.by_method("compare_calibrated"), *combined])
        show_files([*self.results.by_method("calibrate_fold"), *combined], self.fm.project_path)

    def _compared(
        self,
        task: str,
        done: str,
        of: str,
        by_split: Mapping[str, tuple[Sequence[Predictions], Sequence[Predictions]]],
    ) -> dict[str, Any]:
        from mml_core.schedulers.postprocess_evaluation import changes, evaluation_options

        found, confidence = {}, None
        for split, (before, after) in by_split.items():
            options = evaluation_options(section(self.cfg, "metrics"), after[0].output.task_type)
            confidence = options.intervals.confidence if options.intervals else None
            found[split] = changes(before, after, options, seed=self.step_seed)
        return {"task": task, "done": done, "of": of, "changes": found, "confidence": confidence}

    def _save_scores(self, task: str, parts: Sequence[Predictions]) -> Path:
        from mml_core.learning.evaluation import measure
        from mml_core.learning.results import save_scores
        from mml_core.schedulers.postprocess_evaluation import evaluation_options

        options = evaluation_options(section(self.cfg, "metrics"), parts[0].output.task_type)
        path = self.fm.construct_saving_path(None, "metrics", task)
        rows = [row for part in parts for row in measure(part, options, seed=self.step_seed)]
        save_scores(path, rows)
        return path


def _parts(path: str) -> dict[str, Predictions]:
    from mml_core.learning.predictions import load_predictions

    return {part.split: part for part in load_predictions(Path(path))}


def _member(result: Mapping[str, Any]) -> Member:
    from mml_core.learning.ensembling import Member

    parts = _parts(result["files"]["predictions"])
    return Member(model=result["model"], slot=result["slot"], parts=parts)


def _named(calibrator: Calibrator, shift: Mapping[str, Any] | None) -> str:
    return calibrator.method + (", prior shift" if shift else "")


def _named_ensemble(options: EnsembleOptions, found: Sequence[Mapping[str, Any]]) -> str:
    before = f"{found[0]['method']}, " if "method" in found[0] else ""
    return f"{before}ensemble: {options.method}"


def _described(
    options: EnsembleOptions, weights: Sequence[Weights], found: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "method": options.method,
        "average": options.average,
        "metric": options.metric,
        "weights": [
            {
                "folds": list(each.slots),
                "models": dict(each.models),
                "scores": dict(each.scores),
                "samples": each.samples,
            }
            for each in weights
        ],
        "members": [{key: each[key] for key in ("model", "slot", "project", "run")} for each in found],
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
