"""What mml adds to each of many small tasks: 64 images, one epoch of one fold, predicted and tested.

Run: `python benchmarks/small_tasks.py [--tasks 40]`; `--tasks 1000` for all. One run of mode train over all
tasks stands beside a bare loop that trains and predicts the same nets on as many images that lie in memory.
The overhead is the wall time of the run less that of a run over one task, per further task, less the time of
the bare loop per task: what starts only once is not counted, what grows with the number of tasks is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from _common import Figure, environment_in, report, run, seconds
from _images import install_images, noise, training_config
from torch import nn

from mml_core.learning.factory import create_model
from mml_core.plugins import PluginManager
from mml_core.tasks.description import TaskDescription

IMAGES, SIZE, BATCH = 64, 32, 16
SETTINGS = [
    "preprocessing=none",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    f"loader.batch_size={BATCH}",
]


def bare_loop(tasks: list[TaskDescription], nets: list[nn.Module]) -> None:
    """Train and predict every task by hand, on half of its images each."""
    for net in nets[: len(tasks)]:
        images = torch.rand(IMAGES // 2, 3, SIZE, SIZE)
        labels = torch.arange(IMAGES // 2) % 2
        optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
        net.train()
        for start in range(0, len(images), BATCH):
            optimizer.zero_grad()
            batch = slice(start, start + BATCH)
            nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
        net.eval()
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                net(images[start : start + BATCH])


def measure(number: int, folder: Path) -> Iterator[Figure]:
    """Yield the overhead of a further task in seconds."""
    data = folder / "data"
    tasks = [
        install_images(data, f"task_{place:04d}", noise(IMAGES, SIZE, place), ".png")
        for place in range(number)
    ]
    environment = environment_in(folder, OMP_NUM_THREADS="1")
    mml = [str(Path(sys.executable).with_name("mml")), "run", *SETTINGS]
    names = [task.name for task in tasks]

    def through_mml(chosen: list[str], mode: str = "train") -> None:
        run([*mml, f"--mode={mode}", f"--tasks={','.join(chosen)}"], environment)

    prepared = seconds(lambda: through_mml(names, "preprocess"))
    mml.append("mode.folds=1")
    through_mml(names[:1])  # warms the disk up
    one, all_of_them = seconds(lambda: through_mml(names[:1])), seconds(lambda: through_mml(names))
    plugins, cfg = PluginManager.discover(), training_config()
    torch.set_num_threads(1)
    models = [create_model(cfg, task, plugins) for task in tasks]
    nets: list[nn.Module] = [nn.Sequential(model.network, *model.heads.values()) for model in models]
    bare_loop(tasks[:1], nets)
    bare = seconds(lambda: bare_loop(tasks, nets)) / number
    further = (all_of_them - one) / (number - 1)
    yield Figure(
        name=f"a task of {IMAGES} images among {number}, beyond a bare loop",
        value=further - bare,
        unit="s",
        at_most=0.5,
        note=f"{further:.3f} s less {bare:.3f} s; over all {all_of_them:.1f} s, over one {one:.1f} s",
    )
    yield Figure(name="a task's preprocessing, start included", value=prepared / number, unit="s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=40)
    number = max(2, parser.parse_args().tasks)
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(number, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
