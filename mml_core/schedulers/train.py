"""The mode ``train``: a model per task and fold, its predictions, and metrics of the saved predictions."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig

from mml_core.errors import MMLError
from mml_core.learning.factory import check_model
from mml_core.learning.options import plain
from mml_core.schedulers.train_report import print_report
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.tasks.models import ModelStorage

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule
    from mml_core.learning.outputs import TaskOutput
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)

EVALUATED: tuple[Literal["val", "test"], ...] = ("val", "test")


class FoldsError(MMLError):
    """``mode.folds`` asks for folds that a task does not have."""


class NoModelError(MMLError):
    """There is no model, or no predictions, to go on with."""


class TrainScheduler(AbstractBaseScheduler):
    """Trains, predicts and tests, each task and fold in steps of their own.

    The weights of the last epoch are kept: choosing an epoch by the fold that is reported would leak.
    """

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=["train", "predict", "test"])

    def create_routine(self) -> None:
        """Plan the steps: per task an optional search, per fold training, prediction and test."""
        from mml_core.learning.tuning import wanted

        tuning = "train" in self.subroutines and wanted(self.cfg)
        for task in self.cfg.task_list:
            struct = self.get_struct(task)
            check_model(self.cfg, struct, self.plugins)
            folds = chosen_folds(self.cfg.mode.get("folds"), struct)
            if "test" in self.subroutines and "predict" not in self.subroutines:
                require_predictions(struct, folds)
            tuned = (self.add_step("tune_task", task, folds[0], after=()),) if tuning else ()
            for fold in folds:
                last = tuned
                if "train" in self.subroutines:
                    last = (self.add_step("train_fold", task, fold, after=last),)
                if "predict" in self.subroutines:
                    last = (self.add_step("predict_fold", task, fold, after=last),)
                if "test" in self.subroutines:
                    self.add_step("test_fold", task, fold, after=last)

    def tune_task(self, task: str, fold: int) -> dict[str, Any]:
        """Search learning rate and batch size on the training part of one fold.

        Returns:
            What was found; the training steps of the task read it from this step's record.
        """
        struct = self.get_struct(task)
        datamodule = self.create_datamodule(struct, fold=fold)
        model = self._new_model(struct, fold)
        tuned = self.lightning_tune(model, datamodule, folder=self.checkpoint_path)
        log.info("%s: tuned %s", task, tuned)
        return {"task": task, "tuned": tuned.to_json()}

    def train_fold(self, task: str, fold: int) -> dict[str, Any]:
        """Train on all folds but one and store weights, pipeline, history and the model that names them."""
        from mml_core.learning.history import History
        from mml_core.learning.pipeline import save_pipeline
        from mml_core.learning.results import save_scores
        from mml_core.learning.tuning import Tuned, apply
        from mml_core.learning.weights import save_weights
        from mml_core.storage.atomic import write_json

        struct = self.get_struct(task)
        datamodule = self.create_datamodule(struct, fold=fold)
        model = self._new_model(struct, fold)
        for found in self.results.by_method("tune_task"):
            if found["task"] == task:
                apply(Tuned(**found["tuned"]), model, datamodule)
        history = History()
        trainer = self.create_trainer(
            struct,
            callbacks=[history],
            label=f"train {task}, fold {fold}",
            log_dir=self._log_dir(task, fold),
        )
        began = time.monotonic()
        trainer.fit(model, datamodule=datamodule)
        seconds = time.monotonic() - began

        weights = self.fm.construct_saving_path(model, "parameters", task)
        save_weights(model, weights)
        pipeline = self.fm.construct_saving_path(None, "pipeline", task)
        save_pipeline(self._pipeline(struct, datamodule), pipeline)
        metrics = self.fm.construct_saving_path(None, "metrics", task)
        save_scores(metrics, history.scores(task, fold))
        model_record = ModelStorage(
            weights=weights,
            pipeline=pipeline,
            task=task,
            fold=fold,
            metrics={name: value for name, value in history.last.items() if name.startswith("val/")},
            training_time=seconds,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            run=self.fm.layout.run,
            step=f"train_fold {task} {fold}",
        )
        stored = self.fm.construct_saving_path(model_record, "models", task)
        write_json(stored, model_record.to_json(self.fm.project_path))
        struct.models.append(model_record)
        return {
            "task": task,
            "fold": fold,
            "metrics": model_record.metrics,
            "files": {
                "parameters": str(weights),
                "pipeline": str(pipeline),
                "models": str(stored),
                "history": str(metrics),
            },
        }

    def predict_fold(self, task: str, fold: int) -> dict[str, Any]:
        """Predict the validation fold and the test split with the model of this fold."""
        from mml_core.learning.predictions import save_predictions

        struct = self.get_struct(task)
        storage = newest_model(struct, fold)
        predictions = self._predict(struct, storage)
        file_name = f"fold{fold}.parquet"
        path = self.fm.construct_saving_path(None, "predictions", task, file_name)
        save_predictions(path, predictions)
        return {"task": task, "fold": fold, "files": {"predictions": str(path)}}

    def test_fold(self, task: str, fold: int) -> dict[str, Any]:
        """Compute the metrics of saved predictions, from the file alone."""
        from mml_core.learning.metrics import metric_names
        from mml_core.learning.predictions import evaluate, load_predictions
        from mml_core.learning.results import Score, save_scores

        path = self._predictions_path(task, fold)
        scores: dict[str, dict[str, float]] = {}
        for predictions in load_predictions(path):
            if (predictions.output.task, predictions.fold) != (task, fold):
                raise FoldsError(
                    f"Predictions {path} are those of task '{predictions.output.task}', fold"
                    f" {predictions.fold}, not of task '{task}', fold {fold};"
                    f" set mode.folds=[{predictions.fold}], or add the subroutine predict."
                )
            names = metric_names(plain(self.cfg.metrics), predictions.output.task_type)
            scores[predictions.split] = evaluate(predictions, names)
        rows = [
            Score(task=task, fold=fold, split=split, metric=metric, value=value)
            for split, values in scores.items()
            for metric, value in values.items()
        ]
        metrics = self.fm.construct_saving_path(None, "metrics", task)
        save_scores(metrics, rows)
        return {"task": task, "fold": fold, "scores": scores, "files": {"metrics": str(metrics)}}

    def before_finishing_hook(self) -> None:
        """Show the metrics of each task over its folds, and where every file is."""
        tested = self.results.by_method("test_fold")
        made = [
            *self.results.by_method("train_fold"),
            *self.results.by_method("predict_fold"),
            *tested,
        ]
        self.return_value = print_report(tested, made, self.fm.project_path)

    def _new_model(self, struct: TaskStruct, fold: int) -> MMLModule:
        import torch

        model = self.create_model(struct)
        samples = struct.description.samples
        if "value" in samples.column_names:
            rows = samples.indices("train", fold=fold, part="train")
            values = samples.take(rows).numpy("value")
            model.fit_targets(struct.name, torch.as_tensor(values.copy()))
        return model

    def _pipeline(self, struct: TaskStruct, datamodule: Any) -> Any:
        from dataclasses import replace

        from mml_core.learning.factory import pipeline_of

        means, stds = datamodule.statistics
        normalisation = {struct.name: {"means": list(means), "stds": list(stds)}}
        return replace(pipeline_of(self.cfg, struct), normalisation=normalisation)

    def _predict(self, struct: TaskStruct, storage: ModelStorage) -> list[Any]:
        from mml_core.data.datamodule import create_datamodule
        from mml_core.learning.pipeline import load_model, load_pipeline
        from mml_core.learning.predictions import Predictions, collect

        pipeline = load_pipeline(storage.pipeline)
        model = load_model(pipeline, storage.weights, self.plugins)
        cfg = {**plain(self.cfg), "preprocessing": pipeline.preprocessing}
        datamodule = create_datamodule(
            cfg, struct.description, data_root=self.fm.data, fold=storage.fold, seed=self.step_seed
        )
        output: TaskOutput = model.outputs[struct.name]
        names = struct.description.samples.column("sample_id").to_pylist()
        found = []
        for part in EVALUATED:
            if not len(datamodule.dataset(part)):
                continue
            datamodule.predict_part = part
            label = f"predict {struct.name}, fold {storage.fold}, {part}"
            trainer = self.create_trainer(struct, label=label)
            batches: Any = trainer.predict(model, datamodule=datamodule)
            rows, outputs, targets = collect(batches, output)
            found.append(
                Predictions(
                    output=output,
                    fold=storage.fold,
                    split=part,
                    sample_ids=[names[row] for row in rows.tolist()],
                    outputs=outputs,
                    targets=targets,
                )
            )
        if not found:
            raise NoModelError(
                f"Task '{struct.name}' has neither a validation fold {storage.fold} nor test samples to"
                " predict; create it with more samples."
            )
        return found

    def _predictions_path(self, task: str, fold: int) -> Path:
        for found in self.results.by_method("predict_fold"):
            if found["task"] == task and found["fold"] == fold:
                return Path(found["files"]["predictions"])
        path = self.get_struct(task).paths.get("predictions")
        if path is None:
            raise NoModelError(
                f"Task '{task}', fold {fold}, has no predictions to test; add the subroutine predict, or"
                " reuse.predictions=<project>."
            )
        return path

    def _log_dir(self, task: str, fold: int) -> Path | None:
        run_dir = self._context.run_dir if self._context is not None else None
        return None if run_dir is None else run_dir / "logs" / f"{task}-fold{fold}"


def chosen_folds(asked: Any, struct: TaskStruct) -> list[int]:
    """Read ``mode.folds`` for a task.

    Args:
        asked: ``all``, the first so many (a number), or a list of fold numbers.
        struct: The task.

    Raises:
        FoldsError: If the task has no such folds.
    """
    asked = plain(asked)
    available = list(range(struct.num_folds))
    if asked is None or asked == "all":
        return available
    if isinstance(asked, int) and not isinstance(asked, bool):
        if not 1 <= asked <= len(available):
            raise FoldsError(
                f"mode.folds={asked}: task '{struct.name}' has {len(available)} folds; choose 1 to"
                f" {len(available)}, a list, or all."
            )
        return available[:asked]
    if isinstance(asked, list) and asked:
        for fold in asked:
            if fold not in available or isinstance(fold, bool):
                raise FoldsError(f"mode.folds: task '{struct.name}' has no fold {fold!r}, only {available}.")
        return list(dict.fromkeys(asked))
    raise FoldsError(f"mode.folds must be all, a number or a list of folds, found {asked!r}.")


def require_predictions(struct: TaskStruct, folds: list[int]) -> None:
    """Refuse to plan tests of predictions that no step makes and no reuse gives.

    Raises:
        NoModelError: If no predictions are reused.
        FoldsError: If several folds are asked for: reused predictions are one file, of one fold.
    """
    if "predictions" not in struct.paths:
        raise NoModelError(
            f"Task '{struct.name}' has no predictions to test; add the subroutine predict, or"
            " reuse.predictions=<project>."
        )
    if len(folds) > 1:
        raise FoldsError(
            f"reuse.predictions gives one file per task, with the predictions of one fold; task"
            f" '{struct.name}' is to be tested on folds {', '.join(map(str, folds))}. Choose one by"
            " mode.folds=[…], or predict again with reuse.models=<project>."
        )


def newest_model(struct: TaskStruct, fold: int) -> ModelStorage:
    """Return the last model of a task whose validation fold is ``fold``.

    Raises:
        NoModelError: If there is none.
    """
    for model in reversed(struct.models):
        if model.fold == fold and model.task == struct.name:
            return model
    found = ", ".join(str(model.fold) for model in struct.models) or "none"
    raise NoModelError(
        f"Task '{struct.name}' has no model of fold {fold} (folds with a model: {found}); add the"
        " subroutine train, or reuse.models=<project>."
    )
