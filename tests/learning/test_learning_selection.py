"""What looks at the validation fold: monitors, early stopping, plateaus, and the best weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

from mml_core.learning.optimisation import build_schedule
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.selection import EarlyStop, Monitor, logged_names, require_logged
from mml_core.learning.trainer import create_trainer

HEAD = TaskOutput(task="a", task_type="classification", width=2)
METRICS = {"classification": ["accuracy"], "regression": ["mae"]}


@pytest.mark.parametrize(
    ("name", "direction"),
    [("val/loss", "min"), ("val/accuracy", "max"), ("val/a/mae", "min"), ("train/loss", "min")],
)
def test_the_direction_of_known_values_is_known(name: str, direction: str) -> None:
    assert Monitor.of("mode", name, "auto").direction == direction


def test_the_direction_of_a_strange_value_has_to_be_given() -> None:
    with pytest.raises(OptionError, match=r"set mode\.direction=min or max"):
        Monitor.of("mode", "val/fancy", "auto")
    assert Monitor.of("mode", "val/fancy", "max").direction == "max"


def test_nan_is_never_better_and_of_equals_the_first_is() -> None:
    monitor = Monitor()
    assert not monitor.improves(math.nan, None)
    assert not monitor.improves(math.nan, 1.0)
    assert monitor.improves(1.0, None)
    assert not monitor.improves(1.0, 1.0)
    assert monitor.improves(0.5, 1.0)
    assert Monitor(name="val/accuracy", direction="max").improves(2.0, 1.0)


def test_early_stopping_is_off_without_patience_and_refuses_the_impossible() -> None:
    assert EarlyStop.from_config({"monitor": "val/loss"}) is None
    with pytest.raises(OptionError, match="a whole number from 1"):
        EarlyStop.from_config({"patience": 0})
    with pytest.raises(OptionError, match="Did you mean 'patience'"):
        EarlyStop.from_config({"patiens": 3})


def test_what_is_logged_is_known_before_training() -> None:
    other = TaskOutput(task="b", task_type="regression", width=1)
    assert logged_names([HEAD], METRICS) == ["train/loss", "val/loss", "val/accuracy"]
    several = logged_names([HEAD, other], METRICS)
    assert {"val/loss", "val/a/accuracy", "val/b/mae", "train/b/loss"} <= set(several)
    with pytest.raises(OptionError, match="Did you mean 'val/accuracy'"):
        require_logged("mode", Monitor(name="val/acuracy", direction="max"), logged_names([HEAD], METRICS))


def test_a_plateau_lowers_the_rate_after_validations_without_improvement() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    config: dict[str, Any] = {"name": "plateau", "interval": "epoch", "patience": 1, "factor": 0.5}
    made = build_schedule(optimizer, config, total_steps=9, total_epochs=9, validated_every=2)
    assert made is not None
    assert (made["monitor"], made["frequency"], made["interval"]) == ("val/loss", 2, "epoch")
    rates = []
    for loss in (1.0, 1.0, 1.0, 0.5):
        made["scheduler"].step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 0.5, 0.5]


def test_a_plateau_follows_epochs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(OptionError, match="interval=epoch"):
        build_schedule(optimizer, {"name": "plateau", "interval": "step"}, total_steps=9, total_epochs=9)


class Diverging(LightningModule):
    """Its validation loss is no number from the second epoch on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.weight.sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", math.nan if self.current_epoch else 1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(("check_finite", "epochs"), [(True, 2), (False, 5)])
def test_callbacks_early_stopping_check_finite_stops_at_what_is_no_number(
    tmp_path: Path, check_finite: bool, epochs: int
) -> None:
    stopping = {"patience": 9, "check_finite": check_finite}
    cfg = {
        "trainer": {"max_epochs": 5, "accelerator": "cpu"},
        "callbacks": {"progress": "none", "early_stopping": stopping},
        "logging": {},
    }
    trainer = create_trainer(cfg, default_root_dir=tmp_path)
    loader = torch.utils.data.DataLoader([0])  # type: ignore[arg-type]  # a list is data enough
    trainer.fit(Diverging(), loader, loader)
    assert trainer.current_epoch == epochs


def test_callbacks_model_summary_prints_the_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Diverging()
    model.layer_to_be_told = torch.nn.Linear(2, 3)
    loader = torch.utils.data.DataLoader([0])  # type: ignore[arg-type]  # as above
    for shown in (False, True):
        cfg = {
            "trainer": {"max_epochs": 1, "accelerator": "cpu"},
            "callbacks": {"progress": "none", "model_summary": shown},
            "logging": {},
        }
        create_trainer(cfg, default_root_dir=tmp_path).fit(model, loader, loader)
        assert ("layer_to_be_told" in capsys.readouterr().out) is shown
