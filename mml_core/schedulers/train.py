"""The mode ``train``: a model per task and fold, its predictions, and metrics of the saved predictions."""

from __future__ import annotations

import logging
from collections import ChainMap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mml_core.learning.factory import check_model
from mml_core.learning.options import plain, section
from mml_core.schedulers.holdouts import Holdout, holdouts
from mml_core.schedulers.leakage_guard import guard_against_leakage
from mml_core.schedulers.train_choices import (
    NoModelError,
    check_predictions,
    chosen_folds,
    newest_model,
    predictions_path,
    require_predictions,
)
from mml_core.schedulers.train_evaluation import evaluate_all
from mml_core.schedulers.train_report import print_report
from mml_core.schedulers.train_selection import GROUPS, best_monitor, refuse_leak, selected_by, selectors
from mml_core.schedulers.training import Training, fit_targets
from mml_core.scheduling.base import AbstractBaseScheduler

if TYPE_CHECKING:
    from mml_core.data.datamodule import MMLDataModule, Part
    from mml_core.learning.module import MMLModule
    from mml_core.scheduling.routine import StepHandle
    from mml_core.tasks.models import ModelStorage
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)

EVALUATED: tuple[Part, ...] = ("val", "outer", "test", "unlabelled")
# Predictions are reported as those of a whole split, however short a trial the training is.
EVERY_BATCH: dict[str, Any] = {"fast_dev_run": False, "limit_predict_batches": None}


class TrainScheduler(AbstractBaseScheduler):
    """Trains, predicts and tests, each task and fold in steps of their own.

    A scheduler that trains in another way extends this one: it overrides ``_new_model``, which makes what is
    trained, and the hooks ``before_training`` and ``after_training``.
    """

    reuse_safe = True

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=["train", "predict", "test"])

    # -- what inheriting schedulers may override

    def steps_before_training(self) -> tuple[StepHandle, ...]:
        """Plan what every training waits for; called once, with the plan, where there are trainings."""
        return ()

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

    # -- planning

    def create_routine(self) -> None:
        """Plan the steps: per task an optional search, per fold training, prediction and test."""
        with self.choosing_steps():
            self._choose_steps()

    def _choose_steps(self) -> None:
        from mml_core.learning.tuning import wanted

        train, predict, test = (name in self.subroutines for name in ("train", "predict", "test"))
        tuning = train and wanted(self.cfg)
        nested = bool(self.cfg.mode.get("nested"))
        held_out = {}
        for task in self.cfg.task_list:
            struct = self.get_struct(task)
            folds = chosen_folds(self.cfg.mode.get("folds"), struct)
            held_out[task] = list(holdouts(folds, nested=nested, num_folds=struct.num_folds, task=task))
        self._check(held_out)
        first = self.steps_before_training() if train else ()
        for task, each_holdout in held_out.items():
            tuned: tuple[StepHandle, ...] = ()
            for holdout in each_holdout:
                if tuning and (nested or not tuned):  # a search must not see the outer fold either
                    tuned = (self.add_step("tune_task", task, *holdout.params, after=first),)
                last = tuned or first
                for wanted_step, name in (
                    (train, "train_fold"),
                    (predict, "predict_fold"),
                    (test, "test_fold"),
                ):
                    if wanted_step:
                        last = (self.add_step(name, task, *holdout.params, after=last),)

    def _check(self, held_out: Mapping[str, Sequence[Holdout]]) -> None:
        """Refuse what the steps would fail by, while there is no run yet that would have to be continued."""
        train, predict, test = (name in self.subroutines for name in ("train", "predict", "test"))
        structs = {task: self.get_struct(task) for task in held_out}
        choosing = selectors(self.cfg) if train else {}
        for task, struct in structs.items():
            if train:
                check_model(self.cfg, struct, self.plugins)
            for holdout in held_out[task]:
                chosen_by = selected_by(choosing)
                if predict and not train:
                    chosen_by = newest_model(struct, holdout).selected_by
                if test:
                    refuse_leak(chosen_by, struct, holdout)
            if test and not predict:
                require_predictions(struct, held_out[task])
        guard_against_leakage(self, {task: [task] for task in held_out})
        if self._run_dir is None:  # a plan that is only shown does not wait for torch
            return
        from mml_core.learning.checks import check_training, check_use
        from mml_core.learning.outputs import TaskOutput
        from mml_core.learning.selection import logged_names, require_logged

        check_use(self.cfg, structs.values(), self.plugins)
        if train:
            check_training(self.cfg, structs.values(), self.plugins)
            for task, struct in structs.items():
                names = logged_names([TaskOutput.of(struct)], section(self.cfg, "metrics"))
                for setting, monitor in choosing.items():
                    require_logged(GROUPS[setting], monitor, names)
                for holdout in held_out[task]:
                    self._datamodule(struct, holdout).check_training()

    # -- steps

    def tune_task(self, task: str, fold: int, outer: int | None = None) -> dict[str, Any]:
        """Search learning rate and batch size on the training part of one fold.

        Returns:
            What was found; the training steps that wait for this one read it from its record.
        """
        struct, holdout = self.get_struct(task), Holdout(fold=fold, outer=outer)
        datamodule = self._datamodule(struct, holdout)
        tuned = self.lightning_tune(self._model_for(struct, holdout, datamodule), datamodule)
        log.info("%s: tuned %s", task, tuned)
        return {"task": task, "tuned": tuned.to_json()}

    def train_fold(self, task: str, fold: int, outer: int | None = None) -> dict[str, Any]:
        """Train without the folds held out; store weights, pipeline, history, and the model naming them."""
        from mml_core.learning.factory import pipeline_of

        training = self._training(self.get_struct(task), Holdout(fold=fold, outer=outer))
        self.before_training(training)
        training.fit()
        self.after_training(training)
        stored = training.store(self.fm, pipeline_of(self.cfg, training.struct), self.step_id)
        return {**stored, **self.record_of_training(training)}

    def predict_fold(self, task: str, fold: int, outer: int | None = None) -> dict[str, Any]:
        """Predict what was not trained on: the folds that were held out, test and unlabelled samples."""
        from mml_core.learning.predictions import save_predictions

        struct, holdout = self.get_struct(task), Holdout(fold=fold, outer=outer)
        storage = newest_model(struct, holdout)
        predictions = self._predict(struct, storage)
        path = self.fm.construct_saving_path(None, "predictions", task, f"fold{holdout.key}.parquet")
        save_predictions(path, predictions)
        storage.predictions = {**storage.predictions, **{each.split: path for each in predictions}}
        struct.paths[f"predictions_{holdout.key}"] = path
        return {"task": task, "fold": fold, "files": {"predictions": str(path)}}

    def test_fold(self, task: str, fold: int, outer: int | None = None) -> dict[str, Any]:
        """Compute the metrics of saved predictions, from the file alone."""
        from mml_core.learning.predictions import load_predictions
        from mml_core.learning.results import save_scores
        from mml_core.storage.atomic import write_bytes

        struct, holdout = self.get_struct(task), Holdout(fold=fold, outer=outer)
        path = predictions_path(struct, holdout)
        parts = load_predictions(path)
        check_predictions(path, parts, task, holdout)
        evaluation = evaluate_all(parts, plain(self.cfg.metrics), struct, seed=self.step_seed)
        metrics = self.fm.construct_saving_path(None, "metrics", task)
        save_scores(metrics, evaluation.rows)
        files = {"metrics": str(metrics)}
        for name, image in evaluation.plots.items():
            plot = self.fm.construct_saving_path(None, "plots", task, name)
            write_bytes(plot, image)
            files[f"plots, {name.partition('_fold')[0]}"] = str(plot)
        struct.paths[f"metrics_{holdout.key}"] = metrics
        chosen_by: list[str] = []
        for model in struct.models:
            if path in model.predictions.values():
                chosen_by = model.selected_by
                model.metrics = {**model.metrics, **_named(evaluation.scores)}
        return {
            "task": task,
            "fold": fold,
            "scores": evaluation.scores,
            "selected_by": chosen_by,
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
        """Make what is trained on a task while ``fold`` validates."""
        return self.create_model(struct)

    def _model_for(self, struct: TaskStruct, holdout: Holdout, datamodule: MMLDataModule) -> MMLModule:
        model = self._new_model(struct, holdout.fold)
        fit_targets(model, datamodule)
        return model

    def _training(self, struct: TaskStruct, holdout: Holdout) -> Training:
        from mml_core.learning.best_weights import BestWeights
        from mml_core.learning.history import History
        from mml_core.learning.tuning import Tuned, apply

        datamodule = self._datamodule(struct, holdout)
        model = self._model_for(struct, holdout, datamodule)
        for found in self.results.by_method("tune_task"):
            if found["task"] == struct.name:
                apply(Tuned(**found["tuned"]), model, datamodule)
        history, monitor = History(), best_monitor(self.cfg)
        best = None if monitor is None else BestWeights(monitor)
        trainer = self.create_trainer(
            struct,
            callbacks=[history, *([best] if best else [])],
            label=f"train {struct.name}, {holdout}",
            log_dir=self._log_dir(struct.name, holdout),
        )
        return Training(
            struct=struct,
            holdout=holdout,
            model=model,
            datamodule=datamodule,
            trainer=trainer,
            history=history,
            best=best,
            selected_by=selected_by(selectors(self.cfg)),
        )

    def _datamodule(self, struct: TaskStruct, holdout: Holdout) -> MMLDataModule:
        return self.create_datamodule(struct, fold=holdout.fold, outer=holdout.outer)

    def _predict(self, struct: TaskStruct, storage: ModelStorage) -> list[Any]:
        from mml_core.data.datamodule import create_datamodule
        from mml_core.learning.pipeline import load_model, load_pipeline
        from mml_core.learning.predictions import predict

        task, holdout = struct.name, Holdout(fold=storage.fold, outer=storage.outer)
        pipeline = load_pipeline(storage.pipeline)
        normalisation = pipeline.normalisation[task]
        datamodule = create_datamodule(
            ChainMap({"preprocessing": pipeline.preprocessing}, self.cfg),
            struct.description,
            data_root=self.fm.data,
            fold=holdout.fold,
            outer=holdout.outer,
            seed=self.step_seed,
            normalisation=(normalisation["means"], normalisation["stds"]),
        )
        pipeline.check_task(task, datamodule.provenance)
        model = load_model(pipeline, storage.weights, self.plugins)
        found = []
        for part in EVALUATED:
            if len(datamodule.rows(part)):
                label = f"predict {task}, {holdout}, {part}"
                trainer = self.create_trainer(struct, label=label, **EVERY_BATCH)
                found.append(predict(trainer, model, datamodule, part, fold=holdout.fold))
        if not found:
            raise NoModelError(
                f"Task '{task}' has neither a validation {holdout} nor test samples to predict; create it"
                " with more samples."
            )
        return found

    @property
    def _run_dir(self) -> Path | None:
        return self._context.run_dir if self._context is not None else None

    def _log_dir(self, task: str, holdout: Holdout) -> Path | None:
        return None if self._run_dir is None else self._run_dir / "logs" / f"{task}-fold{holdout.key}"


def _named(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return scores of the splits that are reported as a model names them."""
    return {
        f"{split}/{name}": value
        for split in ("test", "outer")
        for name, value in scores.get(split, {}).items()
    }
