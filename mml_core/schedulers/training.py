"""One training of a step: what it works with, and what is stored of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from mml_core.schedulers.holdouts import Holdout
from mml_core.tasks.models import ModelStorage

if TYPE_CHECKING:
    from mml_core.data.datamodule import MMLDataModule
    from mml_core.data.joint import JointDataModule
    from mml_core.files.manager import MMLFileManager
    from mml_core.learning.best_weights import BestWeights
    from mml_core.learning.history import History
    from mml_core.learning.module import MMLModule
    from mml_core.learning.pipeline import Pipeline
    from mml_core.learning.resuming import StepTrainer
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)

LOSS = "train/loss"


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a training step works with; the hooks around the training are given it.

    Attributes:
        struct: The task.
        co_tasks: Tasks that are learnt together with it.
        holdout: The folds that are not trained on.
        model: What is trained.
        datamodule: Its data; of several tasks, joint batches.
        trainer: Trains it.
        history: Losses and metrics of each epoch.
        best: Keeps the best weights; None where the last ones are stored.
        selected_by: Settings by which the training chooses by its validation fold.
    """

    struct: TaskStruct
    holdout: Holdout
    model: MMLModule
    datamodule: MMLDataModule | JointDataModule
    trainer: StepTrainer
    history: History
    co_tasks: Sequence[TaskStruct] = ()
    best: BestWeights | None = None
    selected_by: Sequence[str] = ()

    @property
    def optimizer(self) -> dict[str, Any]:
        """The group ``optimizer`` as it was used, with the learning rate that a search has found."""
        return dict(self.model.recipe.optimizer) if self.model.recipe is not None else {}

    @property
    def metrics(self) -> dict[str, float]:
        """What the validation of the stored weights gave."""
        if self.best is not None and self.best.value is not None:
            return dict(self.best.metrics)
        return {name: value for name, value in self.history.last.items() if name.startswith("val/")}

    @property
    def left_out(self) -> dict[str, int]:
        """Training samples of each task that are left out, as another task that is learnt holds them out."""
        whole = {struct.name: len(struct.description.samples) for struct in (self.struct, *self.co_tasks)}
        found = {
            task: whole[task] - len(module.description.samples)
            for task, module in modules_of(self.datamodule).items()
        }
        return {task: number for task, number in found.items() if number}

    def fit(self) -> None:
        """Train, and leave the model with the weights that are to be stored."""
        for task, number in self.left_out.items():
            log.info(
                "%s: leaves out %d training samples whose images or subjects are held out of tasks that are"
                " learnt with it",
                task,
                number,
            )
        self.trainer.fit(self.model, datamodule=self.datamodule)
        where = f"{self.struct.name}, {self.holdout}"
        if self.best is not None and self.best.restore(self.model):
            name, value, epoch = self.best.monitor.name, self.best.value, self.best.epoch
            log.info("%s: keeps the weights of epoch %s, %s %.4g", where, epoch, name, value)
        elif self.best is not None:
            log.warning("%s: no %s was a number, the last weights are kept", where, self.best.monitor.name)
        last = self.history.last.get(LOSS, 0.0)
        if not math.isfinite(last):
            log.warning(
                "%s: the training has diverged, its last loss is %s; lower optimizer.lr, or set"
                " trainer.gradient_clip_val",
                where,
                last,
            )

    def store(self, fm: MMLFileManager, pipeline: Pipeline, step: str) -> dict[str, Any]:
        """Write weights, pipeline, history, and the model that names them; attach them to the struct.

        Args:
            fm: Says where.
            pipeline: Describes the model; its normalisation is replaced by that of the data.
            step: Id of the running step.

        Returns:
            What the step returns.
        """
        from mml_core.learning.adapters import merge_adapters
        from mml_core.learning.pipeline import save_pipeline
        from mml_core.learning.results import save_scores
        from mml_core.learning.weights import save_weights
        from mml_core.storage.atomic import write_json

        task, fold = self.struct.name, self.holdout.fold
        merge_adapters(self.model)
        weights = fm.construct_saving_path(self.model, "parameters", task)
        save_weights(self.model, weights)
        pipeline_file = fm.construct_saving_path(None, "pipeline", task)
        save_pipeline(self._with_data(pipeline), pipeline_file)
        history = fm.construct_saving_path(None, "metrics", task)
        save_scores(history, self.history.scores(task, fold))
        model = ModelStorage(
            weights=weights,
            pipeline=pipeline_file,
            task=task,
            fold=fold,
            outer=self.holdout.outer,
            selected_by=list(self.selected_by),
            metrics=self.metrics,
            training_time=self.trainer.fit_seconds,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            run=fm.layout.run,
            step=step,
        )
        stored = fm.construct_saving_path(model, "models", task)
        write_json(stored, model.to_json(fm.project_path))
        self.struct.models.append(model)
        key = self.holdout.key
        self.struct.paths |= {f"pipeline_{key}": pipeline_file, f"history_{key}": history}
        return {
            "task": task,
            "fold": fold,
            **({} if self.holdout.outer is None else {"outer": self.holdout.outer}),
            **({} if self.best is None else {"epoch": self.best.epoch}),
            **({"co_tasks": [struct.name for struct in self.co_tasks]} if self.co_tasks else {}),
            **({"left_out": self.left_out} if self.left_out else {}),
            **({"class_weights": self.model.class_weights} if self.model.class_weights else {}),
            "metrics": model.metrics,
            "files": {
                "parameters": str(weights),
                "pipeline": str(pipeline_file),
                "models": str(stored),
                "history": str(history),
            },
        }

    def _with_data(self, pipeline: Pipeline) -> Pipeline:
        modules = modules_of(self.datamodule)
        statistics = {task: module.statistics for task, module in modules.items()}
        return replace(
            pipeline,
            normalisation={
                task: {"means": list(means), "stds": list(stds)} for task, (means, stds) in statistics.items()
            },
            trained_on={task: module.provenance for task, module in modules.items()},
            training={
                **pipeline.training,
                "optimizer": self.optimizer,
                "loader": {"batch_size": self.datamodule.batch_size},
            },
            initial_weights=self.model.initial_weights,
        )


def modules_of(datamodule: MMLDataModule | JointDataModule) -> dict[str, MMLDataModule]:
    """Return the data module of each task, that of the model's own task first."""
    from mml_core.data.joint import JointDataModule

    if isinstance(datamodule, JointDataModule):
        return datamodule.modules
    return {datamodule.description.name: datamodule}


def check_data(datamodule: MMLDataModule | JointDataModule, loss: Mapping[str, Any]) -> None:
    """Refuse data that cannot be trained on, without opening any image.

    Args:
        datamodule: The data.
        loss: The config group ``loss``.

    Raises:
        MMLError: Sampling, augmentation or class weights ask for what is not there.
    """
    from mml_core.data.class_weights import balanced_class_weights
    from mml_core.learning.losses import is_balanced
    from mml_core.learning.outputs import SEGMENTATION

    datamodule.check_training()
    for module in modules_of(datamodule).values():
        task_type = module.description.task_type.value
        if is_balanced(task_type, dict(loss)) and task_type != SEGMENTATION:
            balanced_class_weights(module)


def fit_targets(model: MMLModule, datamodule: MMLDataModule | JointDataModule) -> None:
    """Standardise the targets of regressions, and balance classes, by those that are trained on."""
    import torch

    from mml_core.data.class_weights import balanced_class_weights

    unbalanced = model.unbalanced
    for task, module in modules_of(datamodule).items():
        samples = module.description.samples
        if "value" in samples.column_names:
            values = samples.take(module.rows("train")).numpy("value")
            model.fit_targets(task, torch.as_tensor(values.copy()))
        if task in unbalanced:
            model.balance_classes(task, balanced_class_weights(module))
