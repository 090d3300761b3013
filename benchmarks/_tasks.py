"""Installed tasks for benchmarks: headers and sample tables without images."""

from __future__ import annotations

import os
from pathlib import Path

from mml_core.tasks.description import Sizes, TaskHeader, TaskType, encode_header
from mml_core.tasks.samples import SampleTable


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
