"""The mode ``train``: a model per task and fold, its predictions, and metrics of the saved predictions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mml_core.learning.options import plain
from mml_core.schedulers.blueprints import Blueprint, chosen_blueprint, with_blueprint, write_blueprint
from mml_core.schedulers.holdouts import Holdout
from mml_core.schedulers.predicting import predict_learnt, predict_other
from mml_core.schedulers.train_choices import check_predictions, newest_model, predictions_path
from mml_core.schedulers.train_evaluation import evaluate_all
from mml_core.schedulers.train_planning import TrainPlanning
from mml_core.schedulers.train_report import print_report
from mml_core.schedulers.train_selection import best_monitor, selected_by, selectors
from mml_core.schedulers.training import Training, fit_targets

if TYPE_CHECKING:
    from mml_core.data.datamodule import MMLDataModule
    from mml_core.data.joint import JointDataModule
    from mml_core.learning.module import MMLModule
    from mml_core.schedulers.train_evaluation import Evaluation
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)


class TrainScheduler(TrainPlanning):
    """Trains, predicts and tests, each task and fold in steps of their own.

    A scheduler that trains in another way extends this one: it overrides ``_new_model``, which makes what is
    trained, and the hooks ``before_training`` and ``after_training``.
    """

    reuse_safe = True

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=["train", "predict", "test"])

    # -- what inheriting schedulers may override

    def before_training(self, training: Training) -> None:
        """Called in each training step, in whatever process, when all is made and nothing is trained yet.

        A step that was killed is called anew: what is done here must depend on the config, the structs, the
        step's seed and ``results`` alone, as all of a step.

        Args:
            training: The model, its data, its trainer, and what they are for.
        """

    def after_training(self, training: Training) -> None:
        """Called in each training step after the training, when the model has the weights to be stored.

        What is changed of the model here is stored with it.

        Args:
            training: What ``before_training`` was given.
        """

    def record_of_training(self, training: Training) -> dict[str, Any]:
        """Return what the record of a training step holds besides, JSON values.

        Args:
            training: What ``before_training`` was given.
        """
        return {}

    # -- steps

    def tune_task(
        self, task: str, fold: int, outer: int | None = None, co_tasks: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Search learning rate and batch size on the training part of one fold.

        Returns:
            What was found; the training steps that wait for this one read it from its record.
        """
        struct = self.get_struct(task)
        partners = [self.get_struct(name) for name in co_tasks]
        cfg, holdout = self._cfg_of(struct), Holdout(fold=fold, outer=outer)
        data: Any = self._data_of(cfg, [struct, *partners], holdout)
        tuned = self.lightning_tune(self._model_for(cfg, struct, fold, data, partners), data)
        log.info("%s: tuned %s", task, tuned)
        return {"task": task, "tuned": tuned.to_json()}

    def train_fold(
        self, task: str, fold: int, outer: int | None = None, co_tasks: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Train without the folds held out; store weights, pipeline, history, and the model naming them."""
        from mml_core.learning.factory import pipeline_of

        struct = self.get_struct(task)
        partners = [self.get_struct(name) for name in co_tasks]
        blueprint = chosen_blueprint(self.cfg, struct)
        training = self._training(struct, Holdout(fold=fold, outer=outer), partners, blueprint)
        self.before_training(training)
        training.fit()
        self.after_training(training)
        cfg = with_blueprint(self.cfg, blueprint)
        pipeline = pipeline_of(cfg, struct, *partners)
        stored = training.store(self.fm, pipeline, self.step_id)
        if self.cfg.mode.get("write_blueprint"):
            path = self.fm.construct_saving_path(None, "blueprint", task)
            write_blueprint(path, cfg, pipeline, training.optimizer)
            stored["files"]["blueprint"] = str(path)
        taken = {} if blueprint is None else blueprint.to_json()
        return {**stored, **taken, **self.record_of_training(training)}

    def predict_fold(self, task: str, fold: int, outer: int | None = None) -> dict[str, Any]:
        """Predict what was not trained on: the folds that were held out, test and unlabelled samples."""
        from mml_core.learning.predictions import save_predictions

        struct, holdout = self.get_struct(task), Holdout(fold=fold, outer=outer)
        storage = newest_model(struct, holdout)
        predictions = predict_learnt(self, struct, storage)
        path = self.fm.construct_saving_path(None, "predictions", task, f"fold{holdout.key}.parquet")
        save_predictions(path, predictions)
        storage.predictions = {**storage.predictions, **{each.split: path for each in predictions}}
        struct.paths[f"predictions_{holdout.key}"] = path
        return {"task": task, "fold": fold, "files": {"predictions": str(path)}}

    def predict_other(self, task: str, other: str, fold: int, outer: int | None = None) -> dict[str, Any]:
        """Predict another task with the model of this one: by its head for it, or by the names of classes."""
        from mml_core.learning.predictions import save_predictions

        struct, target, holdout = (
            self.get_struct(task),
            self.get_struct(other),
            Holdout(fold=fold, outer=outer),
        )
        class_map = (plain(self.cfg.mode.get("class_maps")) or {}).get(other)
        predictions = predict_other(self, struct, target, newest_model(struct, holdout), class_map)
        owner, name = on(task, other), f"fold{holdout.key}.parquet"
        path = self.fm.construct_saving_path(None, "predictions", owner, name)
        save_predictions(path, predictions)
        struct.paths[f"predictions_{holdout.key}@{other}"] = path
        return {"task": owner, "fold": fold, "files": {"predictions": str(path)}}

    def test_fold(self, task: str, fold: int, outer: int | None = None) -> dict[str, Any]:
        """Compute the metrics of saved predictions, from the file alone."""
        from mml_core.learning.predictions import load_predictions

        struct, holdout = self.get_struct(task), Holdout(fold=fold, outer=outer)
        path = predictions_path(struct, holdout)
        parts = load_predictions(path)
        check_predictions(path, parts, task, holdout)
        evaluation = evaluate_all(parts, plain(self.cfg.metrics), struct, seed=self.step_seed)
        stored = self._store_evaluation(evaluation, task, fold)
        struct.paths[f"metrics_{holdout.key}"] = Path(stored["files"]["metrics"])
        for model in struct.models:
            if path in model.predictions.values():
                stored["selected_by"] = model.selected_by
                model.metrics = {**model.metrics, **_named(evaluation.scores)}
        return stored

    def test_other(self, task: str, other: str, fold: int, outer: int | None = None) -> dict[str, Any]:
        """Compute the metrics of the predictions of another task."""
        from mml_core.learning.predictions import load_predictions

        struct, target, holdout = (
            self.get_struct(task),
            self.get_struct(other),
            Holdout(fold=fold, outer=outer),
        )
        parts = load_predictions(struct.paths[f"predictions_{holdout.key}@{other}"])
        evaluation = evaluate_all(parts, plain(self.cfg.metrics), target, seed=self.step_seed)
        stored = self._store_evaluation(evaluation, on(task, other), fold)
        struct.paths[f"metrics_{holdout.key}@{other}"] = Path(stored["files"]["metrics"])
        return stored

    def _store_evaluation(self, evaluation: Evaluation, owner: str, fold: int) -> dict[str, Any]:
        from mml_core.learning.results import save_scores
        from mml_core.storage.atomic import write_bytes

        metrics = self.fm.construct_saving_path(None, "metrics", owner)
        save_scores(metrics, evaluation.rows)
        files = {"metrics": str(metrics)}
        for name, image in evaluation.plots.items():
            plot = self.fm.construct_saving_path(None, "plots", owner, name)
            write_bytes(plot, image)
            files[f"plots, {name.partition('_fold')[0]}"] = str(plot)
        return {
            "task": owner,
            "fold": fold,
            "scores": evaluation.scores,
            "selected_by": [],
            "intervals": evaluation.intervals,
            "confidence": evaluation.confidence,
            "files": files,
        }

    def before_finishing_hook(self) -> None:
        """Show the metrics of each task over its folds, and where every file is."""
        of = self.results.by_method
        tested = [*of("test_fold"), *of("test_other")]
        made = [*of("train_fold"), *of("predict_fold"), *of("predict_other"), *tested]
        self.return_value = print_report(tested, made, self.fm.project_path)

    # -- what a training is made of

    def _new_model(self, struct: TaskStruct, fold: int) -> MMLModule:
        """Make what is trained on a task while ``fold`` validates."""
        return self._new_joint_model(self._cfg_of(struct), struct)

    def _new_joint_model(self, cfg: Any, struct: TaskStruct, *co_tasks: TaskStruct) -> MMLModule:
        """Make what is trained on a task and its co-tasks."""
        model = self.create_model(struct, *co_tasks, cfg=cfg)
        if co_tasks and model.recipe is not None:
            weights = plain(self.cfg.mode.get("task_weights")) or {}
            mine = {name: float(weights[name]) for name in model.outputs if name in weights}
            model.recipe = replace(model.recipe, task_weights=mine)
        return model

    def _model_for(
        self,
        cfg: Any,
        struct: TaskStruct,
        fold: int,
        data: MMLDataModule | JointDataModule,
        co_tasks: Sequence[TaskStruct],
    ) -> MMLModule:
        model = self._new_joint_model(cfg, struct, *co_tasks) if co_tasks else self._new_model(struct, fold)
        fit_targets(model, data)
        return model

    def _training(
        self,
        struct: TaskStruct,
        holdout: Holdout,
        co_tasks: Sequence[TaskStruct],
        blueprint: Blueprint | None,
    ) -> Training:
        from mml_core.learning.best_weights import BestWeights
        from mml_core.learning.history import History
        from mml_core.learning.tuning import Tuned, apply

        cfg = with_blueprint(self.cfg, blueprint)
        if blueprint is not None:
            log.info("%s: takes %s from %s", struct.name, ", ".join(blueprint.groups), blueprint.path)
        data = self._data_of(cfg, [struct, *co_tasks], holdout)
        model = self._model_for(cfg, struct, holdout.fold, data, co_tasks)
        for found in self.results.by_method("tune_task"):
            if found["task"] == struct.name:
                apply(Tuned(**found["tuned"]), model, data)
        history, monitor = History(), best_monitor(self.cfg)
        best = None if monitor is None else BestWeights(monitor)
        trainer = self.create_trainer(
            struct,
            callbacks=[history, *([best] if best else [])],
            label=f"train {struct.name}, {holdout}",
            log_dir=self._log_dir(struct.name, holdout),
            **({} if blueprint is None else blueprint.trainer),
        )
        return Training(
            struct=struct,
            co_tasks=tuple(co_tasks),
            holdout=holdout,
            model=model,
            datamodule=data,
            trainer=trainer,
            history=history,
            best=best,
            selected_by=selected_by(selectors(cfg)),
        )

    def _log_dir(self, task: str, holdout: Holdout) -> Path | None:
        return None if self._run_dir is None else self._run_dir / "logs" / f"{task}-fold{holdout.key}"


def _named(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return scores of the splits that are reported as a model names them."""
    return {
        f"{split}/{name}": value
        for split in ("test", "outer")
        for name, value in scores.get(split, {}).items()
    }


def on(task: str, other: str) -> str:
    """Return what results of a task's model on another task are filed under: no task has such a name."""
    return f"{task}@{other}"
