"""What a fit shows and notes of its epochs: numbers of that epoch, and what fits beside the bar."""

import io
import re
from pathlib import Path
from typing import Any

import pytest

from mml_core.learning.factory import create_model
from mml_core.learning.history import History
from mml_core.learning.progress import PlainLines, RichBar
from mml_core.learning.trainer import create_trainer
from mml_core.plugins import PluginManager

METRICS = ("accuracy", "balanced_accuracy", "auroc", "f1")


@pytest.fixture
def fit(learning_config: Any, task_like: Any, digits: Any, tmp_path: Path) -> Any:
    """``fit(callback, **trainer)``: train a few steps on digits."""

    def run(callback: Any, **trainer: Any) -> None:
        arguments = {"max_epochs": 2, "limit_train_batches": 2, "limit_val_batches": 1, "accelerator": "cpu"}
        cfg = learning_config(trainer={**arguments, **trainer}, logging={"loggers": ["csv"]})
        cfg["callbacks"]["learning_rate"] = True
        model = create_model(cfg, task_like("t", "classification", 10), PluginManager.discover())
        made = create_trainer(cfg, default_root_dir=tmp_path, callbacks=[callback])
        made.fit(model, datamodule=digits("label", size=8))

    return run


def test_an_epoch_has_losses_and_metrics_and_nothing_else(fit: Any) -> None:
    history = History()
    fit(history)
    (first, second) = history.epochs
    assert set(first) == {"train/loss", "val/loss", *(f"val/{name}" for name in METRICS)}
    assert first != second
    assert {(row.split, row.epoch) for row in history.scores("t", 0)} == {
        (split, epoch) for split in ("train", "val") for epoch in (0, 1)
    }


def test_an_epoch_without_validation_has_none_of_another(fit: Any) -> None:
    history = History()
    fit(history, max_epochs=3, check_val_every_n_epoch=2, num_sanity_val_steps=1)
    assert ["val/loss" in epoch for epoch in history.epochs] == [False, True, False]
    assert set(history.last) == {"train/loss"}


def test_a_resumed_epoch_knows_of_its_validation() -> None:
    history = History()
    history.load_state_dict({"epochs": [], "validated": True})
    assert history.state_dict() == {"epochs": [], "validated": True}


def test_plain_lines_show_losses_and_metrics(fit: Any) -> None:
    stream = io.StringIO()
    fit(PlainLines("train t, fold 0", stream))
    (line,) = stream.getvalue().splitlines()
    assert re.match(
        r"train t, fold 0: epoch 2/2, [\d.]+ s, train/loss [\d.]+, val/loss [\d.]+, val/acc", line
    )
    assert "lr" not in line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("label", ["train t, fold 0", "train digits_with_a_long_name+nested?0, fold 0"])
def test_the_bar_survives_a_narrow_terminal(fit: Any, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    fit(RichBar(label, stream))
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue())
    last = [line for line in re.split(r"[\r\n]", shown) if "━" in line][-1]
    assert re.fullmatch(r"train .*?━{12} 4/4 0:00:00 .*", last.rstrip())
    assert len(last) <= 80
    if len(label) < 20:
        assert re.search(r" loss [\d.]+, accuracy [\d.]+, epoch 2/2$", last.rstrip())
