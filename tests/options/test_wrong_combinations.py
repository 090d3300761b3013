"""Options that do not go together, or not with the task, are refused before anything is read or written.

Each in one line that gives the reason and what to set. Single options that are impossible by themselves are
in ``tests/learning/test_learning_train_misuse.py``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.creation import import_task
from mml_core.tasks.finishing import CreationOptions
from mml_core.testing.fixtures import CommandRunner, MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]

SIZE, SAMPLES = 16, 12
TASKS: dict[str, tuple[str, int, str]] = {
    "pictures": ("classification", 3, "train"),
    "halves": ("classification", 2, "train"),
    "tested": ("classification", 3, "test"),
    "labels": ("multilabel", 3, "train"),
    "values": ("regression", 3, "train"),
    "masks": ("semantic_segmentation", 3, "train"),
}
"""Task → its type, its folds, and the split of its last samples. None has subjects."""

OPENED: list[str] = []


def _note_images(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and str(arguments[0]).endswith(".png"):
        OPENED.append(str(arguments[0]))


sys.addaudithook(_note_images)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a task of each type; all show the same images."""
    folder = tmp_path_factory.mktemp("combinations")
    for name, (task_type, folds, last) in TASKS.items():

        def fill(root: Path, name: str = name, task_type: str = task_type, last: str = last) -> TaskBuilder:
            builder = TaskBuilder(name=name, task_type=task_type, dataset=name, dataset_root=root)
            if task_type != "regression":
                builder.describe(idx_to_class=["dark", "bright"])
            for number in range(SAMPLES):
                pixels = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
                Image.fromarray(pixels).save(root / f"{number}.png")
                target: dict[str, Any] = {
                    "classification": {"label": number % 2},
                    "multilabel": {"labels": [float(number % 2), float(number % 3 == 0)]},
                    "regression": {"value": [float(number)]},
                    "semantic_segmentation": {"mask": "mask.png"},
                }[task_type]
                builder.add(
                    sample_id=f"s{number}",
                    image=f"{number}.png",
                    split=last if number >= SAMPLES - 3 else "train",
                    **target,
                )
            if task_type == "semantic_segmentation":
                Image.fromarray((pixels[:, :, 0] > 127).astype(np.uint8)).save(root / "mask.png")
            return builder

        import_task(fill, name, folder, CreationOptions(num_folds=folds))
    return folder


NESTED = "mode.nested=true"
TRANSFER = "mode=transfer mode.pretrain_task=tested leakage=ignore"
CASES: dict[str, list[tuple[str, str]]] = {
    # loss
    "pictures loss.classification.name=bce": "Unknown loss for classification tasks 'bce'",
    "masks loss.semantic_segmentation.name=mse": "Unknown loss for semantic_segmentation",
    "pictures +loss.classification.kwargs.weight=[1,2,3]": "cannot be computed for 2 outputs",
    "pictures loss.classification.class_weights=[1,2,3]": "cannot be computed for 2 outputs",
    "masks loss.semantic_segmentation.name=cross_entropy loss.semantic_segmentation.class_weights=[1]": (
        "cannot be computed for 2 outputs"
    ),
    "labels loss.multilabel.class_weights=[1,2,3]": "cannot be computed for 2 outputs",
    "values +loss.regression.class_weights=balanced": "no classes to weight",
    "pictures loss.classification.class_weights=balanced sampling=balanced": "both make up for rare classes",
    # sampling
    "values sampling=balanced": "sampling=balanced needs a classification task",
    "masks sampling=balanced": "sampling=balanced needs a classification task",
    "labels sampling=weighted": "needs a classification task",
    "pictures sampling=subjects": "does not say of which subject",
    "pictures sampling=weighted sampling.weights={dark:1}": "no weight for 'bright'",
    "pictures sampling=weighted sampling.column=hospital": "has the columns",
    "pictures sampling=balanced sampling.column=group": "is for sampling=weighted",
    # augmentation
    "values augmentations.mixup=0.2": "augmentations.mixup mixes the classes",
    "masks augmentations.cutmix=1": "augmentations.cutmix mixes the classes",
    "pictures augmentations.mixup=0.2 loss.classification.name=torch.nn:MultiMarginLoss"
    " ~loss.classification.kwargs.label_smoothing": "shares of mixed classes",
    "pictures augmentations.test_time=[flip_up]": "flip_up",
    "pictures augmentations.kornia=[{name:RandomGausianBlur}]": "RandomGaus",
    # schedule
    "pictures lr_scheduler.interval=epoch": "set lr_scheduler.interval=step",
    "pictures lr_scheduler=plateau lr_scheduler.interval=step " + NESTED: "set lr_scheduler.interval=epoch",
    "pictures lr_scheduler=plateau lr_scheduler.monitor=null " + NESTED: "lr_scheduler.monitor",
    "pictures lr_scheduler=plateau lr_scheduler.monitor=val/mae " + NESTED: "val/mae",
    "pictures lr_scheduler=polynomial trainer.max_epochs=-1 trainer.max_time=00:00:01:00": "needs an end",
    # what chooses by the fold that is reported
    "pictures callbacks.early_stopping.patience=3": "mode.nested=true",
    "pictures mode.weights=best": "mode.nested=true",
    "pictures lr_scheduler=plateau": "mode.nested=true",
    "halves mode.weights=best mode.nested=true": "mode.num_folds=3 or more",
    "tested mode.weights=best mode.monitor=val/dice": "val/dice",
    "tested mode.weights=best mode.monitor=null": "mode.monitor",
    "tested mode.weights=best trainer.limit_val_batches=0": "limit_val_batches=0 allows none",
    "tested callbacks.early_stopping.patience=1 trainer.limit_val_batches=0": (
        "limit_val_batches=0 allows none"
    ),
    "tested lr_scheduler=plateau trainer.limit_val_batches=0": "limit_val_batches=0 allows none",
    "tested mode.weights=best trainer.check_val_every_n_epoch=20": "validate more often",
    # averages of weights
    "pictures callbacks.ema.decay=0.9 callbacks.swa.start=0.5": "in one way only",
    "pictures callbacks.swa.start=0.5": "choose lr_scheduler=cosine",
    "pictures callbacks.ema.decay=0.9 callbacks.ema.start_epoch=12": "is never reached",
    "tested callbacks.swa.start=0.5 lr_scheduler=cosine mode.weights=best": "set mode.weights=last",
    "tested callbacks.swa.start=0.5 lr_scheduler=cosine callbacks.early_stopping.patience=1": (
        "callbacks.early_stopping.patience=null"
    ),
    "pictures callbacks.swa.start=0.5 lr_scheduler=cosine trainer.max_steps=9": "trainer.max_steps=-1",
    "tested callbacks.ema.decay=0.9 callbacks.ema.validate=false mode.weights=best": "ema.validate=true",
    # network
    "masks arch.name=ResNet": "ResNet",
    "pictures arch.weights=nowhere.safetensors": "nowhere.safetensors",
    "pictures arch.weights=hub": "arch.weights",
    "pictures adapter=lora adapter.targets=[nothing]": "nothing",
    "pictures optimizer.layer_decay=0": "layer_decay",
    "pictures arch.compile=fast": "compile",
    # trainer
    "pictures trainer.accelerator=cuda": "trainer",
    "pictures trainer.gradient_clip_val=1 trainer.gradient_clip_algorithm=size": "gradient_clip_algorithm",
    "pictures trainer.precision=16-mixed": "needs a GPU.*set trainer.precision=bf16-mixed",
    "pictures trainer.accumulate_grad_batches=0": "accumulate_grad_batches is 0",
    "pictures trainer.limit_train_batches=0": "nothing would be trained",
    "pictures trainer.max_epochs=0": "nothing would be trained",
    "pictures callbacks.learning_rate=true": "needs a logger",
    # tuning
    "pictures tune.lr=true tune.min_lr=0": "0 < min_lr",
    "pictures tune.batch_size=true tune.max_batch_size=1": "max_batch_size >= 2",
    "pictures tune.lr=true trainer.limit_train_batches=0": "nothing would be trained",
    "pictures tune.batch_size=true tune.max_batch_size=32": "loader.batch_size=64, which is above",
    # data
    "pictures loader.cache=ram": "--mode=preprocess",
    "pictures leakage=maybe": "leakage",
    "pictures mode.eval_on=[tested] leakage=stop": "leak",
    # folds and tasks
    "halves mode.nested=true": "mode.num_folds=3 or more",
    "pictures mode.co_tasks.tasks=[masks]": "masks",
    "pictures mode.co_tasks.tasks=[halves]": "has 2 folds",
    "pictures mode.co_tasks.tasks=[picture]": "pictures",
    "pictures mode.co_tasks.tasks=[values] mode.joint=longst": "longest",
    "pictures mode.co_tasks.draw=2 mode.co_tasks.pool=[values]": "draw",
    "pictures mode.co_tasks.tasks=[values] +mode.task_weights.labels=2": "labels",
    "pictures mode.co_tasks.tasks=[values] +mode.task_weights.values=-1": "task_weights",
    "pictures mode.co_tasks.tasks=[values] augmentations.mixup=0.2": "mixup",
    "pictures mode.co_tasks.tasks=[values] sampling=balanced": "needs a classification task",
    "pictures mode.eval_on=[masks]": "masks",
    "pictures mode.eval_on=[tested] +mode.class_maps.tested.drak=dark": "drak",
    # transfer
    "pictures mode=transfer": "mode.pretrain_task",
    "pictures mode=transfer mode.pretrain_task=pictures": "is among the tasks",
    f"pictures {TRANSFER} mode.freeze=all": "mode.freeze",
    f"pictures {TRANSFER} mode.freeze=partial mode.unfreeze_last=[layer9]": "layer9",
    f"pictures {TRANSFER} mode.freeze=partial mode.unfreeze_last=99": "choose 1 to 5, or names",
    f"pictures {TRANSFER} mode.freeze=backbone adapter=lora": "mode.freeze=none",
    f"pictures {TRANSFER} mode.select_metric=val/dice": "val/dice",
    f"masks {TRANSFER}": "arch",
    f"pictures {TRANSFER} loss.classification.class_weights=[1]": "cannot be computed for 2 outputs",
    # evaluation
    "pictures metrics.intervals.method=bcaa": "bca",
    "pictures metrics.intervals.confidence=95": "confidence",
    "pictures metrics.intervals.resamples=0": "resamples",
    "pictures metrics.plots=[rocc]": "roc",
    "values metrics.regression=[accuracy]": "accuracy",
    # blueprints
    "pictures mode.use_blueprint=[optimizer]": "reuse.blueprint",
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_combination_is_refused(
    case: str, data: Path, mml: CommandRunner, mml_project: MMLProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MML_DATA_PATH", str(data))
    task, *overrides = case.split(" ")
    OPENED.clear()
    given = {"trainer.accelerator": "cpu", "preprocessing": "none"}
    set_here = {override.partition("=")[0] for override in overrides}
    result = mml(
        "run",
        *([] if "mode=transfer" in overrides else ["--mode=train"]),
        f"--tasks={task}",
        *(f"{key}={value}" for key, value in given.items() if key not in set_here),
        *overrides,
    )
    assert result.code == 2, result.err[-3000:]
    (line,) = [line for line in result.err.splitlines() if line]
    assert re.search(CASES[case], line), line
    assert OPENED == []
    assert not mml_project.runs()
    assert not [path for path in mml_project.results.rglob("*") if path.is_file()]
