"""Every option of every config group of training composes, and trains one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from mml_core.config.folders import config_folders, options_in
from mml_core.plugins import PluginManager
from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.creation import import_task
from mml_core.tasks.finishing import CreationOptions

pytest_plugins = ["mml_core.testing.fixtures"]

TRAINED = {
    "adapter",
    "arch",
    "augmentations",
    "callbacks",
    "loader",
    "logging",
    "loss",
    "lr_scheduler",
    "metrics",
    "optimizer",
    "preprocessing",
    "sampling",
    "trainer",
    "tune",
}
ELSEWHERE = {"mode", "executor", "reuse", "tagging"}
"""Groups whose options have tests of their own: each mode, each executor, reuse and tags."""

BY_TASK_TYPE = {"loss", "metrics", "augmentations"}
HEAVY = {"swin_unetr", "resnet50", "densenet121", "efficientnet_b0", "dynunet", "segresnet", "unet"}
SIZE = 64


def found_options() -> dict[str, list[tuple[str, Path]]]:
    """Group → its options with their files, of the core and of all plugins that are installed."""
    plugins = PluginManager.discover()
    groups: dict[str, list[tuple[str, Path]]] = {}
    for _, folder in config_folders(plugins):
        for option in options_in(folder):
            group, _, name = option.rpartition("/")
            groups.setdefault(group, []).append((name, folder / f"{option}.yaml"))
    return groups


OPTIONS = found_options()


def cases() -> list[Any]:
    """Each option with each task that it is tried on; those of large nets are long."""
    return list(_cases())


def _cases():
    for group in sorted(TRAINED & OPTIONS.keys()):
        for name, _ in sorted(OPTIONS[group]):
            tasks = ["pictures", "masks"] if group in BY_TASK_TYPE else ["pictures"]
            for task in tasks:
                marks = [pytest.mark.long] if name in HEAVY else []
                yield pytest.param(group, name, task, marks=marks, id=f"{group}={name}-{task}")


def test_every_group_is_known_here():
    groups = {group for group in OPTIONS if group and not group.startswith("hydra")}
    assert groups <= TRAINED | ELSEWHERE
    assert groups >= TRAINED


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data folder with a classification and a segmentation."""
    folder = tmp_path_factory.mktemp("options")
    for task, task_type in (("pictures", "classification"), ("masks", "semantic_segmentation")):

        def fill(root, task=task, task_type=task_type):
            builder = TaskBuilder(name=task, task_type=task_type, dataset=task, dataset_root=root)
            builder.describe(idx_to_class=["dark", "bright"])
            for number in range(12):
                pixels = np.random.default_rng([number, len(task)]).integers(
                    0, 256, (SIZE, SIZE, 3), np.uint8
                )
                Image.fromarray(pixels).save(root / f"{number}.png")
                target = {"label": number // 2 % 2}
                if task == "masks":
                    Image.fromarray((pixels[:, :, 0] > 127).astype(np.uint8)).save(
                        root / f"{number}_mask.png"
                    )
                    target = {"mask": f"{number}_mask.png"}
                builder.add(
                    sample_id=f"s{number}", image=f"{number}.png", split="train", group=f"p{number}", **target
                )
            return builder

        import_task(fill, task, folder, CreationOptions(num_folds=2))
    return folder


@pytest.mark.parametrize(("group", "name", "task"), cases())
def test_an_option_composes_and_trains_a_batch(group, name, task, data, mml, mml_project, monkeypatch):
    monkeypatch.setenv("MML_DATA_PATH", str(data))
    if group == "arch" and not serves("classification", name):
        task = "masks"
    trained = mml(
        "run",
        "--mode=train",
        f"--tasks={task}",
        f"{group}={name}",
        "mode.subroutines=[train]",
        "mode.folds=1",
        "trainer.fast_dev_run=true",
        "trainer.accelerator=cpu",
        *([] if group == "loader" else ["loader.batch_size=4"]),
        *([] if group == "preprocessing" else ["preprocessing=none"]),
    )
    assert trained.code == 0, trained.err
    assert (mml_project.path() / "PARAMETERS" / task).is_dir()


def serves(task_type: str, option: str) -> bool:
    """Whether the architecture that a file names serves a task type."""
    file = next(path for name, path in OPTIONS["arch"] if name == option)
    name = OmegaConf.load(file).get("name", "auto")
    if name == "auto":
        return True
    plugins = PluginManager.discover()
    return task_type in plugins.architectures.get(name).task_types
