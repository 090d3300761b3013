"""Measure what installed tasks cost: the index of 10,000 of them, and one of 1,000,000 samples.

Run `python benchmarks/tasks.py [--tasks 10000] [--samples 1000000] [--pairs 9]`; figures are medians.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from mml_core.tasks.description import Sizes, TaskHeader, TaskType, encode_header
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.samples import SampleTable

Figure = dict[str, object]


def main() -> None:
    """Measure, and print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=9, help="interleaved pairs per figure")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = measure(args.tasks, args.samples, args.pairs)
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(figures)).decode())
        return
    for figure in figures:
        verdict = "ok" if figure["ok"] else "MISSED"
        print(f"{figure['name']}: {figure['value']:.3g} {figure['unit']} (aim {figure['aim']}) {verdict}")


def measure(tasks: int = 10_000, samples: int = 1_000_000, pairs: int = 9) -> list[Figure]:
    """Return every figure: its name, value, unit, aim, and whether the aim is met."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*index_figures(folder, tasks, pairs), *table_figures(folder, samples, pairs)]


def index_figures(data: Path, number: int, pairs: int) -> list[Figure]:
    """Cold and warm start of the index, against a bare loop over the same files."""
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

    ratio, _, loop, full = interleaved(bare_loop, cold, pairs)
    start()  # writes the cache
    _, beyond, stats, _ = interleaved(bare_stats, start, pairs)
    _, beyond_all, _, _ = interleaved(bare_stats, read_all, pairs)
    return [
        figure(
            f"cold index of {number} tasks, all decoded, over a bare loop of {loop * 1e3:.0f} ms",
            ratio,
            "x",
            2,
        ),
        figure("cold index, in all", full * 1e3, "ms"),
        figure(f"warm start beyond one stat per header ({stats * 1e3:.0f} ms)", beyond * 1e3, "ms", 50),
        figure("warm start with every header decoded, beyond the stats", beyond_all * 1e3, "ms"),
    ]


def table_figures(folder: Path, number: int, pairs: int) -> list[Figure]:
    """Opening a long table, handing it to workers, and the memory they take of their own."""
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
    opened = statistics.median(timed(lambda: len(SampleTable.open(path))) for _ in range(pairs))
    table = SampleTable.open(path)
    table.column("image"), table.numpy("label")
    first = float(subprocess.run([sys.executable, __file__, "--open", str(path)], **CAPTURED).stdout)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    copy = pickle.loads(pickle.dumps(table))
    assert copy.text("image", number - 1) == table.text("image", number - 1)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return [
        figure(
            f"open a table of {number} samples ({path.stat().st_size / 1e6:.0f} MB)", opened * 1e3, "ms", 50
        ),
        figure("the same, the first in a process that has imported pyarrow", first * 1e3, "ms", 50),
        figure("bytes sent to a spawned worker", len(pickle.dumps(table)), "bytes", 2000),
        figure("memory a worker's copy adds", grown / 1e3, "MB", 5),
    ]


CAPTURED: dict[str, object] = {"check": True, "capture_output": True, "text": True}


def install_tasks(data: Path, number: int) -> None:
    """Write the headers and sample tables of so many tasks of 1,000 samples."""
    columns = {
        "sample_id": [f"s{i}" for i in range(1000)],
        "image": [f"images/{i:04d}.png" for i in range(1000)],
        "split": ["train"] * 800 + ["test"] * 200,
        "fold": [i % 5 for i in range(800)] + [-1] * 200,
        "label": [i % 10 for i in range(1000)],
    }
    template = data / "samples.arrow.template"
    digest = SampleTable.write(template, columns)
    for number_of_task in range(number):
        folder = data / "tasks" / f"task_{number_of_task:05d}"
        folder.mkdir(parents=True)
        header = TaskHeader(
            name=folder.name,
            task_type=TaskType.CLASSIFICATION,
            dataset="benchmark",
            idx_to_class={str(i): f"class {i}" for i in range(10)},
            channels=3,
            sizes=Sizes(min_height=64, min_width=64, max_height=512, max_width=512),
            means=[0.485, 0.456, 0.406],
            stds=[0.229, 0.224, 0.225],
            num_samples={"train": 800, "test": 200},
            num_folds=5,
            class_counts={str(i): 80 for i in range(10)},
            keywords=["benchmark"],
            license="CC0",
            reference="none",
            samples_sha256=digest,
            created="2026-01-01T00:00:00+00:00",
        )
        (folder / "task.json").write_bytes(encode_header(header))
        os.link(template, folder / "samples.arrow")


def interleaved(
    first: Callable[[], None], second: Callable[[], None], pairs: int
) -> tuple[float, float, float, float]:
    """Medians over interleaved pairs: of second / first, of second - first, of the seconds of each."""
    first(), second()
    times = [(timed(first), timed(second)) for _ in range(pairs)]
    ratio = statistics.median(b / a for a, b in times)
    beyond = statistics.median(b - a for a, b in times)
    return ratio, beyond, statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def timed(action: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def figure(name: str, value: float, unit: str, aim: float | None = None) -> Figure:
    """One figure; an aim is an upper bound."""
    shown = "none set" if aim is None else f"at most {aim:g}"
    return {"name": name, "value": value, "unit": unit, "aim": shown, "ok": aim is None or value <= aim}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--open"]:
        import pyarrow  # noqa: F401

        print(timed(lambda: len(SampleTable.open(Path(sys.argv[2])))))
    else:
        main()
