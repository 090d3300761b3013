"""Lightning goes on in the middle of an epoch with the batches that an uninterrupted run would have had."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from mml_core.data.datamodule import MMLDataModule, create_datamodule
from mml_core.tasks.description import TaskDescription

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Recorder(pl.LightningModule):
    """A small net that notes which rows it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
        nn.init.constant_(self.net[1].weight, 0.01)
        nn.init.zeros_(self.net[1].bias)
        self.rows: list[list[int]] = []
        self.evaluated: list[int] = []

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        self.rows.append(batch["index"].tolist())
        return nn.functional.cross_entropy(self.net(batch["image"]), batch["target"])

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        self.evaluated += batch["index"].tolist()

    def predict_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        return batch["index"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def data_of(task: TaskDescription, workers: int = 0) -> MMLDataModule:
    cfg = {
        "preprocessing": {"id": "a", "height": 16, "width": 16},
        "loader": {"batch_size": 4, "num_workers": workers},
        "augmentations": {"name": "light", "rotate": 10.0},
    }
    return create_datamodule(cfg, task, data_root=task.data, fold=0, seed=5)


def trainer(folder: Path, **kwargs: Any) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **kwargs,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_checkpoint_after_any_step_resumes_exactly(make_task, tmp_path, workers) -> None:
    task = make_task(samples=40)  # four batches of four in fold 0
    whole = Recorder()
    keeper = pl.callbacks.ModelCheckpoint(
        dirpath=tmp_path,
        filename="{step}",
        every_n_train_steps=1,
        save_top_k=-1,
        save_on_train_epoch_end=False,
    )
    trainer(tmp_path, max_epochs=3, callbacks=[keeper]).fit(whole, data_of(task))
    assert len(whole.rows) == 12
    for step in (1, 4, 6, 8, 11):
        second = Recorder()
        trainer(tmp_path, max_epochs=3, enable_checkpointing=False).fit(
            second, data_of(task, workers), ckpt_path=tmp_path / f"step={step}.ckpt", weights_only=True
        )
        assert second.rows == whole.rows[step:], step
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_checkpoints_at_the_end_of_validation_resume_exactly(make_task, tmp_path) -> None:
    task = make_task(samples=40)
    whole = Recorder()
    keeper = pl.callbacks.ModelCheckpoint(dirpath=tmp_path, filename="{epoch}", save_top_k=-1)
    trainer(tmp_path, max_epochs=3, callbacks=[keeper]).fit(whole, data_of(task))
    for epoch in (0, 1):
        second = Recorder()
        trainer(tmp_path, max_epochs=3, enable_checkpointing=False).fit(
            second, data_of(task), ckpt_path=tmp_path / f"epoch={epoch}.ckpt", weights_only=True
        )
        assert second.rows == whole.rows[4 * (epoch + 1) :]


def test_evaluation_and_prediction_go_through_the_table_in_order(make_task, tmp_path) -> None:
    task = make_task()
    net = Recorder()
    runner = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    runner.validate(net, data_of(task), verbose=False)
    assert net.evaluated == task.samples.indices("train", fold=0, part="val").tolist()
    predicted = runner.predict(net, data_of(task))
    assert torch.cat(predicted).tolist() == task.samples.indices("test").tolist()
