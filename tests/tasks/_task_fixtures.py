"""Small datasets and tasks that the tests of tasks share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mml_core.plugins import DatasetSpec, PluginManager, TaskSpec, hookimpl

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30)}


def fill_colours(target: Path, sources: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(24):
        name = ("red", "green")[number % 2]
        pixels = np.clip(np.array(COLOURS[name]) + random.integers(-20, 20, (5 + number % 3, 6, 3)), 0, 255)
        (target / name).mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(target / name / f"{number:02d}.png")


def create_colours(dataset: Path, builder) -> None:
    builder.describe(idx_to_class=list(COLOURS), license="CC0")
    for path in sorted(dataset.rglob("*.png"), key=lambda path: path.name):
        builder.add(
            sample_id=path.stem,
            image=path.relative_to(dataset).as_posix(),
            label=path.parent.name,
            split="test" if int(path.stem) >= 18 else "train",
        )


class ColoursPlugin:
    """A plugin with one dataset and one task."""

    @hookimpl
    def mml_datasets(self):
        return [DatasetSpec(name="paint", create=f"{MODULE}:fill_colours", license="CC0")]

    @hookimpl
    def mml_tasks(self):
        return [
            TaskSpec(
                name="colours", dataset="paint", create=f"{MODULE}:create_colours", task_type="classification"
            )
        ]


MODULE = "_task_fixtures"


def manager() -> PluginManager:
    found = PluginManager(builtin=True)
    found.register(ColoursPlugin(), "colours-plugin")
    return found
