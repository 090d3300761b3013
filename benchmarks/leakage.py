"""How long a library of a million images takes to be checked for leakage, once it is hashed.

Tasks of 10,000 samples with random hashes, of which one in a hundred has a copy in the next task and one in a
hundred a copy with two bits changed; subjects are shared by no task. Timed is the command itself.

Run: `python benchmarks/leakage.py [--images 1000000]`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
from _common import Figure, report, seconds

from mml_core.tasks.description import Sizes, TaskHeader, TaskType, encode_header
from mml_core.tasks.image_hashes import RECORD
from mml_core.tasks.samples import SampleTable

PER_TASK = 10_000
CHUNK = 4096


def main() -> int:
    """Measure, and print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        install(data, args.images)
        return report(figures(data, args.images))


def figures(data: Path, images: int) -> Iterator[Figure]:
    """Yield the time and the memory of a check of all tasks."""
    code = "import sys; from mml_core.cli.main import main; sys.exit(main(['tasks', 'leakage', '--json']))"
    environment = {**os.environ, "MML_DATA_PATH": str(data)}

    def check() -> None:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=False
        )
        if done.returncode != 1 or len(json.loads(done.stdout)) < images // PER_TASK - 1:
            raise SystemExit(f"the check ended with {done.returncode} and did not find what is there")

    taken = seconds(check)
    yield Figure(name=f"check of {images:,} hashed images", value=taken, unit="s", at_most=60)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    yield Figure(name="peak memory of it", value=peak, unit="MiB")


def install(data: Path, images: int) -> None:
    """Write sample tables, and the hashes of their images as the cache holds them."""
    random = np.random.default_rng(0)
    hashed = np.zeros(images, dtype=RECORD)
    hashed["hash"] = random.integers(0, 2**64, images, dtype=np.uint64)
    hashed["thumbnail"] = random.integers(0, 256, (images, *RECORD["thumbnail"].shape), dtype=np.uint8)
    contents = np.arange(images)
    every = np.arange(0, images - PER_TASK, 100)
    copies = every + PER_TASK + 50
    contents[copies], hashed[copies] = contents[every], hashed[every]
    hashed[copies + 1] = hashed[every + 1]
    hashed["hash"][copies + 1] ^= np.uint64(5)
    for start in range(0, images, PER_TASK):
        rows = range(start, min(start + PER_TASK, images))
        install_task(
            data, f"task_{start:07d}", contents[rows.start : rows.stop], hashed[rows.start : rows.stop]
        )


def install_task(data: Path, name: str, contents: np.ndarray, hashed: np.ndarray) -> None:
    """Write one task."""
    folder = data / "tasks" / name
    folder.mkdir(parents=True)
    count = len(contents)
    train = count * 4 // 5
    digest = SampleTable.write(
        folder / "samples.arrow",
        {
            "sample_id": [f"s{i}" for i in range(count)],
            "image": [f"{i}.png" for i in range(count)],
            "split": ["train"] * train + ["test"] * (count - train),
            "fold": [i % 5 for i in range(train)] + [-1] * (count - train),
            "group": [f"patient {i % 5 if i < train else 'x'} {i // 50}" for i in range(count)],
            "sha256": [f"{content:064x}" for content in contents],
            "label": [i % 10 for i in range(count)],
        },
    )
    header = TaskHeader(
        name=name,
        task_type=TaskType.CLASSIFICATION,
        dataset=name,
        idx_to_class={str(i): f"class {i}" for i in range(10)},
        channels=3,
        sizes=Sizes(min_height=64, min_width=64, max_height=64, max_width=64),
        means=[0.5] * 3,
        stds=[0.2] * 3,
        num_samples={"train": train, "test": count - train},
        num_folds=5,
        samples_sha256=digest,
    )
    (folder / "task.json").write_bytes(encode_header(header))
    cache = data / "cache" / "image_hashes" / digest
    cache.mkdir(parents=True, exist_ok=True)
    for start in range(0, count, CHUNK):
        body = hashed[start : start + CHUNK].tobytes()
        (cache / f"{start:09d}").write_bytes(blake2b(body, digest_size=16).digest() + body)


if __name__ == "__main__":
    sys.exit(main())
