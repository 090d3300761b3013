"""Preprocessing 512x512 JPEG with two threads beside the same decode and resize calls in two bare processes.

Run: `python benchmarks/preprocess.py [--pairs 7] [--images 600]`. The bare processes only decode and
resize: they check no hashes, write nothing, and find no means. Both ways alternate; the figure is the median.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _common import Figure, interleaved, report, spread
from _images import install_images

from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED
from mml_core.tasks.description import TaskDescription
from mml_core.tasks.images import decode_image

SIZE = 512
WORKERS = 2
PREPROCESSING = SHIPPED["size224"]


def install(data: Path, images: int) -> TaskDescription:
    """Install a task of photographs, each shifted by another way so that no two are the same."""
    from skimage.data import astronaut

    photo = astronaut()
    shifted = [np.roll(photo, (number * 7, number * 13), (0, 1)) for number in range(images)]
    return install_images(data, "photos", shifted, ".jpg")


def bare(paths: list[Path]) -> None:
    """Decode and resize in two processes that share the images."""
    workers = [
        multiprocessing.get_context("fork").Process(target=decode, args=(paths[start::WORKERS],))
        for start in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def decode(paths: list[Path]) -> None:
    for path in paths:
        PREPROCESSING.image(decode_image(path.read_bytes(), path), 3)


def measure(images: int, pairs: int, folder: Path) -> Iterator[Figure]:
    """Yield the speed over that of bare processes, and the images in a second."""
    task = install(folder / "data", images)
    paths = [task.dataset_root / f"{number}.jpg" for number in range(images)]
    store = task.data / "preprocessed" / PREPROCESSING.prep_id / task.name

    def through_mml() -> None:
        prepare_task(task, PREPROCESSING, workers=WORKERS)
        store.rename(folder / f"done-{len(list(folder.iterdir()))}")

    timed = interleaved(lambda: bare(paths), through_mml, pairs)
    speeds = [1 / ratio for ratio in timed.ratios]
    yield Figure(
        name=f"preprocessing {SIZE}x{SIZE} JPEG with {WORKERS} threads, speed over bare processes'",
        value=statistics.median(speeds),
        above=0.9,
        note=f"{spread(speeds)} pairs; {images / timed.second:.0f} images/s, bare {images / timed.first:.0f}",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--images", type=int, default=600)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(args.images, args.pairs, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
