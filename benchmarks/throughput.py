"""Training a ResNet-18 at 64x64 through mml, beside a plain PyTorch loop on the same tensors and Lightning.

Run: `python benchmarks/throughput.py [--rounds 9] [--samples 256]`. The three train the same net on the same
batches, one epoch a round, each of them first in a third of the rounds; figures are medians over the rounds.
The loops get normalised tensors that lie in memory, mml reads its store. What mml asks of the C library's
allocator holds for all three: they share a process. Then: what it costs to make model, trainer and data
module beside the constructor of the net.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _common import Figure, report, seconds, spread
from _images import install_images, net_of, noise, training_config
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mml_core.data.datamodule import MMLDataModule, create_datamodule
from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED
from mml_core.learning.factory import create_model
from mml_core.learning.module import MMLModule
from mml_core.learning.trainer import create_trainer
from mml_core.plugins import PluginManager
from mml_core.tasks.description import TaskDescription

SIZE, CLASSES = 64, 10
Batches = list[tuple[Tensor, Tensor]]


def plain_loop(net: nn.Module, batches: Batches, lr: float) -> None:
    """Train by hand."""
    optimizer = torch.optim.SGD(net.parameters(), lr, momentum=0.9)
    net.train()
    for images, target in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), target).backward()
        optimizer.step()


def bare_lightning(net: nn.Module, batches: Batches, lr: float, folder: Path) -> None:
    """Train by Lightning without all that can be switched off."""
    import lightning.pytorch as pl  # after mml, which lets it import a torchvision that does not fit torch

    class Bare(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr, momentum=0.9)

    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Bare(), DataLoader(batches, batch_size=None))


def batches_of(data: MMLDataModule) -> Batches:
    """Return the batches of the first epoch, as the net gets them."""
    made = (data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader())
    return [(batch["image"], batch["target"]) for batch in made]


def measure(rounds: int, samples: int, folder: Path) -> Iterator[Figure]:
    """Yield the speed over that of either loop, and the cost of making what a training needs."""
    task = install_images(folder / "data", "photos", noise(2 * samples, SIZE), ".png", CLASSES)
    prepare_task(task, SHIPPED["none"])
    cfg = training_config(
        "arch.name=ResNet18", "arch.channels_last=false", "optimizer=sgd", "lr_scheduler=none"
    )
    cfg.optimizer = {"name": "sgd", "lr": 0.01, "momentum": 0.9}
    plugins = PluginManager.discover()

    def data() -> MMLDataModule:
        return create_datamodule(cfg, task, data_root=task.data, fold=0, seed=1)

    batches, first = batches_of(data()), create_model(cfg, task, plugins)
    times: list[list[float]] = []
    for number in range(rounds + 1):
        model, mine = create_model(cfg, task, plugins), data()
        model.load_state_dict(first.state_dict())
        trainer = create_trainer(cfg, default_root_dir=folder / f"fit-{number}")
        nets = [net_of(first), net_of(first)]
        ways = (
            partial(plain_loop, nets[0], batches, 0.01),
            partial(bare_lightning, nets[1], batches, 0.01, folder),
            partial(trainer.fit, model, datamodule=mine),
        )
        took = [0.0] * len(ways)
        for place in range(number, number + len(ways)):
            took[place % len(ways)] = seconds(ways[place % len(ways)])
        check(nets, model)
        times += [took] if number else []
    for place, (name, aim) in enumerate((("a plain loop", 0.97), ("bare Lightning", 0.99))):
        speeds = [took[place] / took[2] for took in times]
        rate = [samples / statistics.median(took[each] for took in times) for each in (2, place)]
        yield Figure(
            name=f"ResNet-18 at {SIZE}x{SIZE} on a processor, speed over {name}'s",
            value=statistics.median(speeds),
            above=aim,
            note=f"{spread(speeds)} rounds; {rate[0]:.1f} and {rate[1]:.1f} images/s",
        )
    yield from creation(cfg, task, plugins, folder)


def check(nets: list[nn.Module], model: MMLModule) -> None:
    """Refuse to compare what has not learnt the same."""
    wanted = dict(net_of(model).named_parameters())
    for net in nets:
        for name, value in net.named_parameters():
            if not torch.allclose(value, wanted[name], atol=1e-4):
                raise SystemExit(f"the loops have not trained alike: {name} differs")


def creation(cfg: Any, task: TaskDescription, plugins: PluginManager, folder: Path) -> Iterator[Figure]:
    """Yield the cost of making model, trainer and data module beyond that of the net's own constructor."""
    arguments = {"block": "basic", "layers": [2, 2, 2, 2], "block_inplanes": [64, 128, 256, 512]}

    def constructor() -> None:
        from monai.networks.nets import ResNet

        ResNet(**arguments, spatial_dims=2, n_input_channels=3, num_classes=CLASSES)

    def all_three() -> None:
        create_model(cfg, task, plugins)
        create_trainer(cfg, default_root_dir=folder / "made")
        create_datamodule(cfg, task, data_root=task.data, fold=0, seed=1).setup("fit")

    constructor(), all_three()
    beyond = [1000 * (seconds(all_three) - seconds(constructor)) for _ in range(9)]
    yield Figure(
        name="making model, trainer and data module, beyond the net's constructor",
        value=statistics.median(beyond),
        unit="ms",
        at_most=300,
        note=spread(beyond, 0),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=256)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(args.rounds, args.samples, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
