"""The mode ``train``: a model per task and fold, its predictions, and metrics of the saved predictions."""

from __future__ import annotations

import logging
import math
from collections import ChainMap
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig

from mml_core.learning.factory import check_model
from mml_core.learning.options import plain
from mml_core.schedulers.train_choices import (
    FoldsError,
    NoModelError,
    chosen_folds,
    newest_model,
    predictions_path,
    require_predictions,
)
from mml_core.schedulers.train_evaluation import evaluate_all
from mml_core.schedulers.train_report import print_report
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.tasks.models import ModelStorage

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)

EVALUATED: tuple[Literal["val", "test"], ...] = ("val", "test")
# Predictions are reported as those of a whole split, however short a trial the training is.
EVERY_BATCH: dict[str, Any] = {"fast_dev_run": False, "limit_predict_batches": None}
LOSS = "train/loss"


class TrainScheduler(AbstractBaseScheduler):
    """Trains, predicts and tests, each task and fold in steps of their own.

    The weights of the last epoch are kept: choosing an epoch by the fold that is reported would leak.
    """

    reuse_safe = True

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=["train", "predict", "test"])

    def create_routine(self) -> None:
        """Plan the steps: per task an optional search, per fold training, prediction and test."""
        with self.choosing_steps():
            self._choose_steps()

    def _choose_steps(self) -> None:
        from mml_core.learning.tuning import wanted

        train, predict, test = (name in self.subroutines for name in ("train", "predict", "test"))
        tuning = train and wanted(self.cfg)
        folds_of = {
            task: chosen_folds(self.cfg.mode.get("folds"), self.get_struct(task))
            for task in self.cfg.task_list
        }
        self._check(folds_of)
        for task, folds in folds_of.items():
            tuned = (self.add_step("tune_task", task, folds[0], after=()),) if tuning else ()
            for fold in folds:
                last = tuned
                if train:
                    last = (self.add_step("train_fold", task, fold, after=last),)
                if predict:
                    last = (self.add_step("predict_fold", task, fold, after=last),)
                if test:
                    self.add_step("test_fold", task, fold, after=last)

    def _check(self, folds_of: Mapping[str, list[int]]) -> None:
        """Refuse what the steps would fail by, while there is no run yet that would have to be continued."""
        train, predict, test = (name in self.subroutines for name in ("train", "predict", "test"))
        structs = {task: self.get_struct(task) for task in folds_of}
        for task, struct in structs.items():
            if train:
                check_model(self.cfg, struct, self.plugins)
            elif predict:
                for fold in folds_of[task]:
                    newest_model(struct, fold)
            if test and not predict:
                require_predictions(struct, folds_of[task])
        if self._run_dir is None:  # a plan that is only shown does not wait for torch
            return
        from mml_core.learning.checks import check_training, check_use

        check_use(self.cfg, structs.values(), self.plugins)
        if train:
            check_training(self.cfg, structs.values(), self.plugins)
            for task, folds in folds_of.items():
                for fold in folds:
                    self.create_datamodule(structs[task], fold=fold).check_training()

    def tune_task(self, task: str, fold: int) -> dict[str, Any]:
        """Search learning rate and batch size on the training part of one fold.

        Returns:
            What was found; the training steps of the task read it from this step's record.
        """
        struct = self.get_struct(task)
        datamodule = self.create_datamodule(struct, fold=fold)
        model = self._new_model(struct, fold)
        tuned = self.lightning_tune(model, datamodule)
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
        trainer.fit(model, datamodule=datamodule)
        if not math.isfinite(history.last.get(LOSS, 0.0)):
            log.warning(
                "%s, fold %d: the training has diverged, its last loss is %s; lower optimizer.lr, or set"
                " trainer.gradient_clip_val",
                task,
                fold,
                history.last[LOSS],
            )

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
            training_time=trainer.fit_seconds,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            run=self.fm.layout.run,
            step=self.step_id,
        )
        stored = self.fm.construct_saving_path(model_record, "models", task)
        write_json(stored, model_record.to_json(self.fm.project_path))
        struct.models.append(model_record)
        struct.paths |= {f"pipeline_{fold}": pipeline, f"history_{fold}": metrics}
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
        storage.predictions = {each.split: path for each in predictions}
        struct.paths[f"predictions_{fold}"] = path
        return {"task": task, "fold": fold, "files": {"predictions": str(path)}}

    def test_fold(self, task: str, fold: int) -> dict[str, Any]:
        """Compute the metrics of saved predictions, from the file alone."""
        from mml_core.learning.predictions import load_predictions
        from mml_core.learning.results import save_scores
        from mml_core.storage.atomic import write_bytes

        struct = self.get_struct(task)
        path = predictions_path(struct, fold)
        parts = load_predictions(path)
        for predictions in parts:
            if (predictions.output.task, predictions.fold) != (task, fold):
                raise FoldsError(
                    f"Predictions {path} are those of task '{predictions.output.task}', fold"
                    f" {predictions.fold}, not of task '{task}', fold {fold};"
                    f" set mode.folds=[{predictions.fold}], or add the subroutine predict."
                )
        evaluation = evaluate_all(parts, plain(self.cfg.metrics), struct, seed=self.step_seed)
        scores = evaluation.scores
        metrics = self.fm.construct_saving_path(None, "metrics", task)
        save_scores(metrics, evaluation.rows)
        files = {"metrics": str(metrics)}
        for name, image in evaluation.plots.items():
            plot = self.fm.construct_saving_path(None, "plots", task, name)
            write_bytes(plot, image)
            files[f"plots, {name.partition('_fold')[0]}"] = str(plot)
        struct.paths[f"metrics_{fold}"] = metrics
        for model in struct.models:
            if path in model.predictions.values():
                tested = {f"test/{name}": value for name, value in scores.get("test", {}).items()}
                model.metrics = {**model.metrics, **tested}
        return {
            "task": task,
            "fold": fold,
            "scores": scores,
            "intervals": evaluation.intervals,
            "confidence": evaluation.confidence,
            "files": files,
        }

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
        return replace(
            pipeline_of(self.cfg, struct),
            normalisation={struct.name: {"means": list(means), "stds": list(stds)}},
            trained_on={struct.name: datamodule.provenance},
        )

    def _predict(self, struct: TaskStruct, storage: ModelStorage) -> list[Any]:
        from mml_core.data.datamodule import create_datamodule
        from mml_core.learning.pipeline import load_model, load_pipeline
        from mml_core.learning.predictions import predict

        task, fold = struct.name, storage.fold
        pipeline = load_pipeline(storage.pipeline)
        normalisation = pipeline.normalisation[task]
        datamodule = create_datamodule(
            ChainMap({"preprocessing": pipeline.preprocessing}, self.cfg),
            struct.description,
            data_root=self.fm.data,
            fold=fold,
            seed=self.step_seed,
            normalisation=(normalisation["means"], normalisation["stds"]),
        )
        pipeline.check_task(task, datamodule.provenance)
        model = load_model(pipeline, storage.weights, self.plugins)
        found = []
        for part in EVALUATED:
            if len(datamodule.dataset(part)):
                label = f"predict {task}, fold {fold}, {part}"
                trainer = self.create_trainer(struct, label=label, **EVERY_BATCH)
                found.append(predict(trainer, model, datamodule, part, fold=fold))
        if not found:
            raise NoModelError(
                f"Task '{task}' has neither a validation fold {fold} nor test samples to predict; create it"
                " with more samples."
            )
        return found

    @property
    def _run_dir(self) -> Path | None:
        return self._context.run_dir if self._context is not None else None

    def _log_dir(self, task: str, fold: int) -> Path | None:
        return None if self._run_dir is None else self._run_dir / "logs" / f"{task}-fold{fold}"
