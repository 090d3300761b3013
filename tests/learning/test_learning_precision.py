"""Every number format a trainer takes trains, and costs the targets of a regression no digit."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mml_core.learning.factory import create_model
from mml_core.learning.heads import RegressionHead
from mml_core.learning.trainer import create_trainer
from mml_core.plugins import PluginManager

FORMATS = {
    "32-true": torch.float32,
    "16-true": torch.float16,
    "bf16-true": torch.bfloat16,
    "64-true": torch.float64,
    "bf16-mixed": torch.float32,
}
SHORT = {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 1, "limit_predict_batches": 1}


@pytest.fixture(params=FORMATS)
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cfg(precision: str, learning_config: Any) -> Any:
    trainer = {"precision": precision, "accelerator": "cpu", **SHORT}
    return learning_config(trainer=trainer, optimizer__eps=1e-4)  # the default is 0 in float16


@pytest.mark.parametrize(
    ("task_type", "kind", "classes"), [("classification", "label", 10), ("semantic_segmentation", "mask", 2)]
)
def test_every_format_trains(
    precision: str,
    cfg: Any,
    task_type: str,
    kind: str,
    classes: int,
    task_like: Any,
    digits: Any,
    tmp_path: Path,
) -> None:
    cfg["loss"]["classification"]["kwargs"]["weight"] = [1.0] * 10
    model = create_model(cfg, task_like("t", task_type, classes), PluginManager.discover())
    trainer = create_trainer(cfg, default_root_dir=tmp_path)
    trainer.fit(model, datamodule=digits(kind))
    assert {parameter.dtype for parameter in model.parameters()} == {FORMATS[precision]}
    assert all(math.isfinite(value) for value in trainer.callback_metrics.values())


def test_targets_keep_their_digits(cfg: Any, task_like: Any, digits: Any, tmp_path: Path) -> None:
    data = digits("value")
    data.targets = data.targets + 2001  # which bfloat16 cannot tell from 2000
    model = create_model(cfg, task_like("t", "regression", 1), PluginManager.discover())
    model.fit_targets("t", data.targets)
    trainer = create_trainer(cfg, default_root_dir=tmp_path)
    trainer.fit(model, datamodule=data)
    head = model.head("t")
    assert isinstance(head, RegressionHead)
    assert head.target_mean.dtype == torch.float32
    assert head.target_mean.item() == pytest.approx(data.targets.mean().item())
    (batch, *_) = trainer.predict(model, datamodule=data)
    assert torch.equal(batch["t"]["target"].float(), data.targets[batch["t"]["index"]])
    assert batch["t"]["output"].sub(2005.5).abs().max() < 30
