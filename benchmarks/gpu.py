"""Training a ResNet-50 at 224x224 on a GPU from a store, beside a plain loop over data that lie on the GPU.

Run: `python benchmarks/gpu.py [--rounds 3] [--epochs 3] [--samples 6400] [--batch-size 256] [--workers 0]`.
It needs nvidia-ml-py; without a GPU nothing is measured. Both train the same net by SGD in bfloat16, channels
last, with the same settings of torch; the plain loop's batches are normalised already. Rounds alternate,
medians over the rounds; the first epoch of a fit, in which all is warmed up, is not counted, the time between
epochs is. Utilisation is what NVML says every 50 ms.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from _common import Figure, report, seconds, spread
from _images import install_images, net_of, noise, training_config
from torch import Tensor, nn

from mml_core.data.datamodule import create_datamodule
from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED
from mml_core.learning.factory import create_model
from mml_core.learning.trainer import create_trainer
from mml_core.plugins import PluginManager
from mml_core.tasks.description import TaskDescription

SIZE, CLASSES, DISTINCT, LR = 224, 10, 128, 0.01
SETTINGS = (
    "arch=resnet50",
    "optimizer=sgd",
    "lr_scheduler=none",
    "trainer.accelerator=gpu",
    "trainer.precision=bf16-mixed",
)
Batches = list[tuple[Tensor, Tensor]]


class Clock:
    """Seconds of whole epochs on a GPU but for the first, and NVML's utilisation over them in percent."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.utilisation: list[int] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch what happens within the block."""
        torch.cuda.synchronize()
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,))
        watcher.start()
        began = time.perf_counter()
        try:
            yield
            torch.cuda.synchronize()
            self.times.append(time.perf_counter() - began)
        finally:
            done.set()
            watcher.join()

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(0.05):
            self.utilisation.append(torch.cuda.utilization())


def plain_epochs(net: nn.Module, batches: Batches, epochs: int, clock: Clock) -> None:
    """Train by hand."""
    optimizer = torch.optim.SGD(net.parameters(), LR, momentum=0.9)
    net.train()

    def epoch() -> None:
        for images, target in batches:
            optimizer.zero_grad()
            with torch.autocast("cuda", torch.bfloat16):
                loss = nn.functional.cross_entropy(net(images).float(), target)
            loss.backward()
            optimizer.step()

    epoch()
    with clock.running():
        for _ in range(epochs):
            epoch()


def mml_epochs(model: Any, data: Any, cfg: Any, epochs: int, clock: Clock, folder: Path) -> None:
    """Train by mml."""
    from lightning.pytorch import Callback

    class Watch(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                self.running = clock.running()
                self.running.__enter__()

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self.running.__exit__(None, None, None)

    trainer = create_trainer(cfg, default_root_dir=folder, callbacks=[Watch()], max_epochs=epochs + 1)
    trainer.fit(model, datamodule=data)


def measure(args: argparse.Namespace, folder: Path) -> Iterator[Figure]:
    """Yield speed and utilisation as the config is by default, and with augmentation on the GPU."""
    photos = noise(DISTINCT, SIZE) * (args.samples // DISTINCT)
    task = install_images(folder / "data", "photos", photos, ".jpg", CLASSES)
    took = seconds(lambda: prepare_task(task, SHIPPED["none"], workers=args.prepare))
    print(f"{torch.cuda.get_device_name()}; the store of {len(photos)} images took {took:.0f} s", flush=True)
    plugins = PluginManager.discover()
    for name, aim, more in (("", 0.95, ()), (", with augmentation", None, ("augmentations=light",))):
        loader = [f"loader.batch_size={args.batch_size}", f"loader.num_workers={args.workers}"]
        cfg = training_config(*SETTINGS, *loader, *more)
        cfg.optimizer = {"name": "sgd", "lr": LR, "momentum": 0.9}
        yield from compare(name, aim, cfg, task, plugins, args, folder)


def compare(
    name: str,
    aim: float | None,
    cfg: Any,
    task: TaskDescription,
    plugins: PluginManager,
    args: argparse.Namespace,
    folder: Path,
) -> Iterator[Figure]:
    """Yield the speed of one config over that of the plain loop, and how busy the GPU was."""

    def data() -> Any:
        return create_datamodule(cfg, task, data_root=task.data, fold=None, seed=1)

    first = create_model(cfg, task, plugins)
    create_trainer(cfg, default_root_dir=folder / "settings")  # what it sets in torch holds for both
    batches = list(on_gpu(data()))
    plain, mine = Clock(), Clock()
    for number in range(args.rounds):
        net = net_of(first).cuda().to(memory_format=torch.channels_last)
        plain_epochs(net, batches, args.epochs, plain)
        model = create_model(cfg, task, plugins)
        model.load_state_dict(first.state_dict())
        mml_epochs(model, data(), cfg, args.epochs, mine, folder / f"fit{number}{len(name)}")
    speeds = [theirs / ours for theirs, ours in zip(plain.times, mine.times, strict=True)]
    shown = sum(len(target) for _, target in batches) * args.epochs
    rates = [shown / statistics.median(clock.times) for clock in (mine, plain)]
    yield Figure(
        name=f"ResNet-50 at {SIZE}x{SIZE} on a GPU{name}, speed over a plain loop's",
        value=statistics.median(speeds),
        above=aim,
        note=f"{spread(speeds)} rounds; {rates[0]:.0f} and {rates[1]:.0f} images/s",
    )
    yield Figure(
        name=f"utilisation of the GPU{name}",
        value=statistics.fmean(mine.utilisation),
        unit="%",
        above=aim and 100 * aim,
        note=f"mean of {len(mine.utilisation)}; the plain loop's: {statistics.fmean(plain.utilisation):.1f}",
    )


def on_gpu(data: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of an epoch on the GPU, as the net gets them."""
    for batch in data.train_dataloader():
        moved = {key: value.cuda() for key, value in batch.items()}
        made = data.on_after_batch_transfer(moved, 0)
        yield made["image"].contiguous(memory_format=torch.channels_last), made["target"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=6400)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--prepare", type=int, default=8, help="processes that make the store")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU: nothing is measured.")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(args, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
