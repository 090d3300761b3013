"""On a GPU trainings of every type repeat to the bit, by default and in other number formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mml_core.tasks.description import TaskType

pytest_plugins = ["mml_core.testing.fixtures"]
pytestmark = pytest.mark.gpu

GPU = ["trainer.accelerator=gpu", "mode.folds=1"]
AUGMENTED = [
    "augmentations=light",
    "augmentations.rotate=10",
    "augmentations.kornia=[{name: RandomGaussianNoise}]",
]
MIXED = ["augmentations.mixup=0.2", "augmentations.cutmix=1"]
OPTIONS = {
    "default": [],
    "bfloat16": ["trainer.precision=bf16-mixed", *AUGMENTED],
    "float16": ["trainer.precision=16-mixed"],
    "compiled": ["arch.compile=default"],
}
TYPES = [TaskType.CLASSIFICATION, TaskType.MULTILABEL, TaskType.REGRESSION, TaskType.SEGMENTATION]


@pytest.mark.parametrize("task_type", TYPES)
@pytest.mark.parametrize("name", OPTIONS)
def test_a_training_repeats_to_the_bit(install, train, mml_project, task_type, name) -> None:
    install("a", task_type, size=16)
    mixed = MIXED if name == "bfloat16" and task_type is TaskType.CLASSIFICATION else []
    for project in ("first", "second"):
        done = train("a", *GPU, *OPTIONS[name], *mixed, f"proj={project}")
        assert done.code == 0, done.err
    first, second = (
        {path: sha for path, sha in mml_project.files(project).items() if not path.endswith(".json")}
        for project in ("first", "second")
    )
    assert first == second
    assert {Path(path).parts[0] for path in first} >= {"PARAMETERS", "PREDICTIONS", "METRICS"}


def test_batches_are_augmented_on_the_gpu(install, train, monkeypatch: pytest.MonkeyPatch) -> None:
    from mml_core.data import augmentation

    seen, apply = [], augmentation.Augmentation.apply

    def noting(self: Any, batch: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(batch["image"].device.type)
        return apply(self, batch, *arguments, **options)

    monkeypatch.setattr(augmentation.Augmentation, "apply", noting)
    install("a")
    assert train("a", *GPU, *AUGMENTED, "mode.subroutines=[train]").code == 0
    assert set(seen) == {"cuda"}


def test_the_model_predicts_alike_on_a_processor(install, train, mml, mml_project, tmp_path) -> None:
    import torch

    from mml_core.learning.predictions import load_predictions

    install("a")
    assert train("a", *GPU, "mode.subroutines=[train]").code == 0
    (model,) = mml_project.path().glob("MODELS/a/*.json")
    images, outputs = mml_project.data / "datasets" / "a", []
    for device in ("cuda", "cpu"):
        out = tmp_path / f"{device}.parquet"
        done = mml("predict", str(model), str(images), "--out", str(out), "--device", device)
        assert done.code == 0, done.err
        (found,) = load_predictions(out)
        outputs.append(found.outputs)
    torch.testing.assert_close(*outputs, rtol=1e-2, atol=1e-2)
