"""Predictions of a stored model: on what it was not trained on of its own task, and on other tasks."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mml_core.schedulers.holdouts import Holdout
from mml_core.schedulers.train_choices import NoModelError

if TYPE_CHECKING:
    from mml_core.data.datamodule import MMLDataModule, Part
    from mml_core.learning.module import MMLModule
    from mml_core.learning.pipeline import Pipeline
    from mml_core.learning.predictions import Predictions
    from mml_core.scheduling.base import AbstractBaseScheduler
    from mml_core.tasks.models import ModelStorage
    from mml_core.tasks.struct import TaskStruct

EVALUATED: tuple[Part, ...] = ("val", "outer", "test", "unlabelled")
# Predictions are reported as those of a whole split, however short a trial the training is.
EVERY_BATCH: dict[str, Any] = {"fast_dev_run": False, "limit_predict_batches": None}


def predict_learnt(
    scheduler: AbstractBaseScheduler, target: TaskStruct, storage: ModelStorage
) -> list[Predictions]:
    """Predict what was held out of a task that a model has learnt: its own, or a co-task.

    Raises:
        OutdatedModelError: The task is not the one that the model was trained on.
        NoModelError: There is nothing to predict.
    """
    from mml_core.learning.head_views import view_of
    from mml_core.learning.pipeline import load_model, load_pipeline

    pipeline = load_pipeline(storage.pipeline)
    holdout = Holdout(fold=storage.fold, outer=storage.outer)
    data = _data(scheduler, target, pipeline, target.name, holdout)
    pipeline.check_task(target.name, data.provenance)
    model = view_of(load_model(pipeline, storage.weights, scheduler.plugins), target.name)
    return _predict(scheduler, target, model, data, holdout)


def predict_other(
    scheduler: AbstractBaseScheduler,
    struct: TaskStruct,
    target: TaskStruct,
    storage: ModelStorage,
    class_map: Mapping[str, Any] | None,
) -> list[Predictions]:
    """Predict a task by a model of another one: by the head for it where it has one, else by class names.

    Where a map of classes is given, it is followed.

    A task that the model has not learnt is shown as the model's own: preprocessed and normalised like that.
    All its samples are unseen; predicted are its test split, and the folds of the numbers that were held out
    of the model's own task, so that a model of the task itself can be compared.

    Args:
        scheduler: Whose step it is.
        struct: The model's own task.
        target: The other task.
        storage: The model.
        class_map: Class of the other task → class of the model.

    Raises:
        ClassMapError: The classes do not fit.
        OptionError: The images do not.
        NoModelError: There is nothing to predict.
    """
    from mml_core.learning.class_maps import Labelling, map_classes, remapped
    from mml_core.learning.outputs import TaskOutput
    from mml_core.learning.pipeline import load_model, load_pipeline

    pipeline = load_pipeline(storage.pipeline)
    if class_map is None and target.name in {output.task for output in pipeline.outputs}:
        return predict_learnt(scheduler, target, storage)
    groups = map_classes(Labelling.of(struct), Labelling.of(target), class_map)
    holdout = Holdout(fold=storage.fold, outer=storage.outer)
    data = _data(scheduler, target, pipeline, struct.name, holdout)
    whole = load_model(pipeline, storage.weights, scheduler.plugins)
    model = remapped(whole, struct.name, TaskOutput.of(target), groups)
    return _predict(scheduler, target, model, data, holdout)


def _data(
    scheduler: AbstractBaseScheduler, target: TaskStruct, pipeline: Pipeline, as_of: str, holdout: Holdout
) -> MMLDataModule:
    """The data module of a task, as a pipeline treats the images of the task ``as_of``."""
    from mml_core.data.datamodule import create_datamodule

    normalisation = pipeline.normalisation[as_of]
    has_folds = max(holdout.fold, holdout.outer or 0) < target.num_folds
    return create_datamodule(
        ChainMap({"preprocessing": pipeline.preprocessing}, scheduler.cfg),
        target.description,
        data_root=scheduler.fm.data,
        fold=holdout.fold if has_folds else None,
        outer=holdout.outer if has_folds else None,
        seed=scheduler.step_seed,
        normalisation=(normalisation["means"], normalisation["stds"]),
    )


def _predict(
    scheduler: AbstractBaseScheduler,
    target: TaskStruct,
    model: MMLModule,
    data: MMLDataModule,
    holdout: Holdout,
) -> list[Predictions]:
    from mml_core.learning.predictions import predict

    found = []
    for part in EVALUATED:
        if len(data.rows(part)):
            label = f"predict {target.name}, {holdout}, {part}"
            trainer = scheduler.create_trainer(target, label=label, **EVERY_BATCH)
            found.append(predict(trainer, model, data, part, fold=holdout.fold))
    if not found:
        raise NoModelError(
            f"Task '{target.name}' has neither a validation {holdout} nor test samples to predict; create it"
            " with more samples."
        )
    return found
