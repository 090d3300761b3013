"""Peak proportional set size of a training with loading workers, beside that of a plain loop with as many.

Run: `python benchmarks/memory.py [--samples 256] [--workers 2] [--runs 3]`. `mml run --mode=train` trains a
ResNet-18 on 64x64 images from a store; a script that imports torch and MONAI alone trains the same net on the
same pixels from a memory map, and loads them by a DataLoader. The sizes of a process and of all its
children are added up every 20 ms; pages that several map count once. Runs alternate, medians of the peaks.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
from _common import Figure, environment_in, report, run, spread
from _images import install_images, noise

from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED

SIZE, BATCH, CLASSES = 64, 64, 2
BARE = """
import sys
import numpy as np, torch
from monai.networks.nets import resnet18
from torch.utils.data import DataLoader, Dataset

class Pixels(Dataset):
    def __init__(self, file, size):
        self.images = np.memmap(file, np.uint8, "r").reshape(-1, 3, size, size)
    def __len__(self):
        return len(self.images) // 2
    def __getitem__(self, row):
        return torch.from_numpy(self.images[2 * row].copy()), row % 2

file, size, batch, workers = sys.argv[1], *map(int, sys.argv[2:])
net = resnet18(spatial_dims=2, n_input_channels=3, num_classes=2)
optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
for images, labels in DataLoader(Pixels(file, size), batch, shuffle=True, num_workers=workers):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(images.float() / 255), labels).backward()
    optimizer.step()
"""


def peak(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command that has to succeed and return the peak of the sizes of its processes in MiB."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        watched, highest = psutil.Process(process.pid), 0
        while process.poll() is None:
            highest = max(highest, proportional_size(watched))
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return highest / 2**20


def proportional_size(process: psutil.Process) -> int:
    """Return the bytes of a process and of all its children."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # one of them has just ended: the next look tells
    return total


def measure(samples: int, workers: int, runs: int, folder: Path) -> Iterator[Figure]:
    """Yield by how much the peak of mml is above that of the plain loop."""
    data = folder / "data"
    task = install_images(data, "photos", noise(2 * samples, SIZE), ".png", CLASSES)
    prepare_task(task, SHIPPED["none"])
    environment = environment_in(folder, OMP_NUM_THREADS="1")
    pixels = data / "preprocessed" / "none" / "photos" / "image.bin"
    bare = [sys.executable, "-c", BARE, str(pixels), *map(str, (SIZE, BATCH, workers))]
    settings = ["arch.name=ResNet18", "preprocessing=none", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    mml = [str(Path(sys.executable).with_name("mml")), "run", "--mode=train", "--tasks=photos", *settings]
    mml += [
        "mode.folds=1",
        "mode.subroutines=[train]",
        "arch.channels_last=false",
        "trainer.limit_val_batches=0",
    ]
    mml += [f"loader.batch_size={BATCH}", f"loader.num_workers={workers}"]
    run(bare, environment)  # warms the disk up
    peaks = [(peak(bare, environment), peak(mml, environment)) for _ in range(runs)]
    above = [ours - theirs for theirs, ours in peaks]
    theirs, ours = (statistics.median(pair[place] for pair in peaks) for place in (0, 1))
    yield Figure(
        name=f"peak size of a training with {workers} workers, above a plain loop's",
        value=statistics.median(above),
        unit="MiB",
        at_most=200 * 10**6 / 2**20,
        note=f"{spread(above, 0)} runs; {ours:.0f} and {theirs:.0f} MiB",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(args.samples, args.workers, args.runs, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
