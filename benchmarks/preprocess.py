"""Preprocessing 512x512 JPEG with two workers beside the same decode and resize calls in two bare processes.

Run: `python benchmarks/preprocess.py [--pairs 5] [--images 6000]`. The bare processes only decode and
resize: they check no hashes, write nothing, and find no means. Both ways alternate; the figure is the median,
for the extent that is the default and for one whose images are twelve times as large to write.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from _common import Figure, interleaved, report, spread
from _images import install_images

from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED, Preprocessing
from mml_core.tasks.description import TaskDescription
from mml_core.tasks.images import decode_image

SIZE = 512
WORKERS = 2
PREPROCESSINGS = (SHIPPED["default"], SHIPPED["size224"])


def install(data: Path, images: int) -> TaskDescription:
    """Install a task of photographs, a hundred of which are shifted by another way each."""
    from skimage.data import astronaut

    photo = astronaut()
    shifted = [np.roll(photo, (number * 7, number * 13), (0, 1)) for number in range(100)]
    return install_images(data, "photos", [shifted[number % 100] for number in range(images)], ".jpg")


def bare(paths: list[Path], preprocessing: Preprocessing) -> None:
    """Decode and resize in two processes that share the images."""
    workers = [
        multiprocessing.get_context("fork").Process(
            target=decode, args=(paths[start::WORKERS], preprocessing)
        )
        for start in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def decode(paths: list[Path], preprocessing: Preprocessing) -> None:
    for path in paths:
        preprocessing.image(decode_image(path.read_bytes(), path), 3)


def measure(images: int, pairs: int, folder: Path) -> Iterator[Figure]:
    """Yield the speed over that of bare processes, and the images in a second, for each preprocessing."""
    task = install(folder / "data", images)
    paths = [task.dataset_root / f"{number}.jpg" for number in range(images)]
    for preprocessing in PREPROCESSINGS:
        store = task.data / "preprocessed" / preprocessing.prep_id / task.name
        timed = interleaved(
            partial(bare, paths, preprocessing),
            partial(prepare_task, task, preprocessing, workers=WORKERS),
            pairs,
            clear=partial(shutil.rmtree, store, ignore_errors=True),
        )
        speeds = [1 / ratio for ratio in timed.ratios]
        yield Figure(
            name=f"preprocessing {SIZE}x{SIZE} JPEG to {preprocessing.height}x{preprocessing.width} with "
            f"{WORKERS} workers, speed over bare processes'",
            value=statistics.median(speeds),
            above=0.9,
            note=f"{spread(speeds)} pairs; {images / timed.second:.0f} images/s, "
            f"bare {images / timed.first:.0f}",
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=6000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(args.images, args.pairs, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
