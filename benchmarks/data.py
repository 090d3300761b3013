"""Loading batches from a store beside a bare NumPy gather from a memory map; medians of interleaved pairs.

Run: `python benchmarks/data.py [--pairs 15]`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _common import Figure, interleaved, report, seconds, spread
from numpy.typing import NDArray

from mml_core.data.dataset import TaskDataset
from mml_core.data.loader import EpochLoader
from mml_core.data.manifest import FORMAT, MANIFEST, Manifest, encode_manifest
from mml_core.data.orders import Shuffled
from mml_core.data.sampling import EpochBatches
from mml_core.data.sources import StoreSource
from mml_core.data.store import Store
from mml_core.data.store_writer import ModalityWriter
from mml_core.tasks.description import TaskType
from mml_core.tasks.samples import SampleTable

BATCH_SIZE = 64


def write_store(folder: Path, samples: int, shape: tuple[int, int, int]) -> tuple[Store, SampleTable]:
    generator = np.random.default_rng(0)
    with ModalityWriter(folder, "image", np.uint8) as writer:
        for _ in range(samples):
            writer.add(generator.integers(0, 256, shape, dtype=np.uint8))
        manifest = Manifest(
            format=FORMAT,
            task="bench",
            prep_id="bench",
            parameters={},
            source={},
            modalities={"image": writer.finish()},
        )
    (folder / MANIFEST).write_bytes(encode_manifest(manifest))
    columns: dict[str, Any] = {
        "sample_id": [str(row) for row in range(samples)],
        "image": [str(row) for row in range(samples)],
        "split": ["train"] * samples,
        "label": np.zeros(samples, dtype=np.int32),
    }
    SampleTable.write(folder / "samples.arrow", columns)
    return Store.open(folder), SampleTable.open(folder / "samples.arrow")


def bare_epoch(images: NDArray[np.uint8], order: NDArray[np.int64]) -> None:
    for start in range(0, len(order), BATCH_SIZE):
        images[order[start : start + BATCH_SIZE]]


def loader_of(store: Store, table: SampleTable) -> EpochLoader:
    samples = len(table)
    rows = np.arange(samples, dtype=np.int64)
    dataset = TaskDataset(table, TaskType.CLASSIFICATION, StoreSource(store), rows)
    batches = EpochBatches(Shuffled(samples, 1, samples), BATCH_SIZE, drop_last=True)
    return EpochLoader(dataset, batches, {"num_workers": 0})


def measure(
    name: str, samples: int, shape: tuple[int, int, int], aim: float | None, pairs: int
) -> Iterator[Figure]:
    """Yield the figures of one size of images, and the aim there is for it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        store, table = write_store(folder, samples, shape)
        images = np.memmap(folder / "image.bin", np.uint8, "r", shape=(samples, *shape))
        order = np.random.default_rng(1).permutation(samples)
        bare_epoch(images, order)  # fills the page cache
        loader = loader_of(store, table)
        first = seconds(lambda: go_through(loader))
        timed = interleaved(lambda: bare_epoch(images, order), lambda: go_through(loader), pairs)
        per_batch = 1000 / len(loader)
        speeds = [1 / ratio for ratio in timed.ratios]
        yield Figure(
            name=f"{name}, speed over a bare gather's",
            value=statistics.median(speeds),
            above=aim,
            note=f"{spread(speeds)} pairs",
        )
        yield Figure(name=f"{name}, a batch of {BATCH_SIZE}", value=timed.second * per_batch, unit="ms")
        yield Figure(
            name=f"{name}, a batch in the first epoch, which checks every chunk",
            value=first * per_batch,
            unit="ms",
        )


def go_through(loader: EpochLoader) -> None:
    deque(loader, maxlen=0)  # keeps no batch, as bare_epoch keeps none


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    sizes = [
        ("32x32x1 uint8", 20_000, (1, 32, 32), None),
        ("224x224x3 uint8", 2_000, (3, 224, 224), 0.8),
    ]
    return report(figure for size in sizes for figure in measure(*size, pairs))


if __name__ == "__main__":
    sys.exit(main())
