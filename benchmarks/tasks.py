"""What installed tasks cost: the index of 10,000 of them, and one of 1,000,000 samples.

Run: `python benchmarks/tasks.py [--tasks 10000] [--samples 1000000] [--pairs 9]`; figures are medians.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from _common import Figure, interleaved, report, run, seconds, spread
from _tasks import install_tasks

from mml_core.tasks.description import TaskHeader
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.samples import SampleTable

OPEN = """
import sys, time, pyarrow
from pathlib import Path
from mml_core.tasks.samples import SampleTable
began = time.perf_counter()
len(SampleTable.open(Path(sys.argv[1])))
print(time.perf_counter() - began)
"""


def main() -> int:
    """Measure, and print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=9, help="interleaved pairs per figure")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        code = report(index_figures(Path(folder), args.tasks, args.pairs))
        return report(table_figures(Path(folder), args.samples, args.pairs)) or code


def index_figures(data: Path, number: int, pairs: int) -> Iterator[Figure]:
    """Yield cold and warm start of the index, against a bare loop over the same files."""
    install_tasks(data, number)
    decoder = msgspec.json.Decoder(TaskHeader)
    paths = [f"{data}/tasks/{name}/task.json" for name in TaskIndex(data).names()]
    cache = data / "cache" / "tasks.index"

    def bare_loop() -> None:
        for path in paths:
            with open(path, "rb") as file:  # noqa: PTH123 - the bare loop is as fast as Python allows
                decoder.decode(file.read())

    def bare_stats() -> None:
        for path in paths:
            os.stat(path)  # noqa: PTH116

    def start() -> None:
        index = TaskIndex(data)
        assert len(index.names()) == number
        index.get("task_00007")

    def read_all() -> None:
        assert len(TaskIndex(data).headers()) == number

    def cold() -> None:
        cache.unlink(missing_ok=True)
        read_all()

    built = interleaved(bare_loop, cold, pairs)
    yield Figure(
        name=f"cold index of {number} tasks over reading and decoding the same headers in a bare loop",
        value=statistics.median(built.ratios),
        at_most=2,
        note=f"{spread(built.ratios)} pairs; the loop takes {1000 * built.first:.0f} ms",
    )
    start()  # writes the cache
    started = interleaved(bare_stats, start, pairs)
    beyond = [1000 * difference for difference in started.differences]
    yield Figure(
        name="warm start beyond one stat per header",
        value=statistics.median(beyond),
        unit="ms",
        at_most=50,
        note=f"{spread(beyond, 0)} pairs; the stats take {1000 * started.first:.0f} ms",
    )
    everything = interleaved(bare_stats, read_all, pairs)
    yield Figure(
        name="warm start with every header decoded, beyond the stats",
        value=1000 * statistics.median(everything.differences),
        unit="ms",
    )


def table_figures(folder: Path, number: int, pairs: int) -> Iterator[Figure]:
    """Yield the cost of opening a long table and of handing it to workers."""
    path = folder / "samples.arrow"
    names = np.char.add("sample_", np.arange(number).astype(str))
    SampleTable.write(
        path,
        {
            "sample_id": names,
            "image": np.char.add(names, ".png"),
            "split": ["train"] * number,
            "fold": np.arange(number) % 5,
            "label": np.arange(number) % 10,
            "sha256": ["0" * 64] * number,
        },
    )
    opened = [1000 * seconds(lambda: len(SampleTable.open(path))) for _ in range(pairs)]
    yield Figure(
        name=f"open a table of {number} samples ({path.stat().st_size / 1e6:.0f} MB)",
        value=statistics.median(opened),
        unit="ms",
        at_most=50,
        note=f"{spread(opened)}",
    )
    first = run([sys.executable, "-c", OPEN, str(path)], dict(os.environ))
    yield Figure(
        name="the same, the first time in a process that has imported pyarrow",
        value=1000 * float(first),
        unit="ms",
        at_most=50,
    )
    table = SampleTable.open(path)
    table.column("image"), table.numpy("label")
    yield Figure(
        name="bytes sent to a spawned worker", value=len(pickle.dumps(table)), unit="bytes", at_most=2000
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    copy = pickle.loads(pickle.dumps(table))
    assert copy.text("image", number - 1) == table.text("image", number - 1)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    yield Figure(name="memory a worker's copy adds", value=grown / 1e3, unit="MB", at_most=5)


if __name__ == "__main__":
    sys.exit(main())
