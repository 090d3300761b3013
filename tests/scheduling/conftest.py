"""A plugin whose scheduler can be killed at every point, and a small task for it to work on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from mml_core.testing.fixtures import CommandRunner, InlinePlugins, MMLProject

PLUGIN = """
import os, signal
from mml_core.plugins import hookimpl, SchedulerSpec, PathAssignment, DatasetSpec, TaskSpec

def die(where, step):
    if os.environ.get("KILL_AT") == f"{where}:{step}":
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="killable", target="mml_kill.scheduler:Killable", defaults={"wait": False})

@hookimpl
def mml_path_assignments():
    yield PathAssignment(key="drawn", path="PROJ_PATH/DRAWN/TASK_NAME/drawn.json", reusable=True)
    yield PathAssignment(key="last", path="PROJ_PATH/LAST/last.json", numbered=False)

@hookimpl
def mml_datasets():
    yield DatasetSpec(name="dots", create="mml_kill.dots:draw", license="CC0-1.0", summary="dots")

@hookimpl
def mml_tasks():
    yield TaskSpec(name="dots", dataset="dots", create="mml_kill.dots:describe", task_type="classification")

@hookimpl
def mml_step_started(scheduler, step):
    die("before", step.id)

@hookimpl
def mml_step_finished(scheduler, step, outcome):
    die("after", step.id)

@hookimpl
def mml_scheduler_created(scheduler):
    publish = scheduler.fm.publish
    def dying(artefacts, folder, **kwargs):
        die("committed", kwargs["step"])
        publish(artefacts, folder, **kwargs)
    scheduler.fm.publish = dying
"""

SCHEDULER = """
import json, os, random, signal, time
from pathlib import Path
from mml_core.api import AbstractBaseScheduler
from mml_kill.plugin import die

class Killable(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        first = self.add_step("draw", "dots", 0, after=())
        self.add_step("draw", "dots", 1, after=())
        self.add_step("collect", first.id, after=(first,))
        self.commands.append("tell")
        self.params.append([])

    def _ran(self):
        with open(os.environ["COUNT_FILE"], "a") as file:
            file.write(self._scope.step.id + "\\n")

    def draw(self, task, number):
        self._ran()
        struct = self.get_struct(task)
        path = self.fm.construct_saving_path(None, "drawn", task)
        path.write_text(json.dumps([number, random.random()]))
        die("inside", self._scope.step.id)
        if self.cfg.mode.wait:
            (Path(os.environ["COUNT_FILE"] + ".waiting")).touch()
            time.sleep(60)
        struct.paths[f"drawn{number}"] = path
        self.return_value = number if number == 0 else self.return_value
        return {"path": path, "value": random.random()}

    def collect(self, step):
        self._ran()
        path = self.fm.construct_saving_path(None, "last")
        path.write_text(json.dumps(self.results[step]["value"]))
        die("inside", self._scope.step.id)
        return sorted(self.get_struct("dots").paths)

    def tell(self):
        self._ran()
        die("inside", self._scope.step.id)
        return [random.random(), sorted(self.get_struct("dots").paths), float("nan")]

    def before_finishing_hook(self):
        self._ran()
        die("inside", self._scope.step.id)
        paths = self.get_struct("dots").paths
        read = {name: json.loads(path.read_text()) for name, path in sorted(paths.items())}
        self.return_value = [self.return_value, read, {key: repr(self.results[key]) for key in self.results}]
"""

DOTS = """
def draw(target, sources):
    from PIL import Image
    for number in range(8):
        Image.new("L", (4, 4), color=number * 20).save(target / f"{number}.png")

def describe(dataset, builder):
    builder.describe(idx_to_class={"0": "a", "1": "b"}, license="CC0-1.0", reference="drawn")
    for number in range(8):
        split = "test" if number >= 6 else "train"
        builder.add(sample_id=str(number), image=f"{number}.png", label=number % 2, split=split)
"""


@pytest.fixture
def killable(
    mml_project: MMLProject, inline_plugin: InlinePlugins, mml: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Counter[str]]]:
    """Install the plugin and its task; calling it tells how often each step ran."""
    count = mml_project.root / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    inline_plugin("kill", PLUGIN, {"scheduler.py": SCHEDULER, "dots.py": DOTS})
    made = mml("run", "--mode=create", "--tasks", "dots", "--proj", "made", "mode.num_folds=2")
    assert made.code == 0, made.err
    yield lambda: Counter(count.read_text().split()) if count.exists() else Counter()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., DictConfig]:
    """Make the config of a scheduler that is constructed directly."""

    def make(**keys: Any) -> DictConfig:
        paths = {"data": str(tmp_path / "data"), "results": str(tmp_path / "results")}
        return OmegaConf.create({"proj": "p", "seed": 42, "task_list": [], "paths": paths, **keys})

    return make
