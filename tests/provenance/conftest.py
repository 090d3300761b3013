"""A plugin whose steps each rest on something else, and count how often they run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mml_core.scheduling.run_directory import RunDirectory
    from mml_core.testing.fixtures import CommandRunner, InlinePlugins, MMLProject, Result

PLUGIN = """
import os, signal
from mml_core.plugins import hookimpl, SchedulerSpec, PathAssignment, DatasetSpec, TaskSpec

MODE = {
    "one": 1, "early": 1, "common": 1, "source": 1, "linked": "${mode.source}", "node": {"deep": 1},
    "unread": 1, "param": 1, "more": False, "keep": False, "kept": 1, "look": False,
    "planned": 1, "global": False, "returned": 1,
}

@hookimpl
def mml_schedulers():
    target = "mml_rests.scheduler:Rests"
    yield SchedulerSpec(name="rests", target=target, subroutines=("a", "b"), defaults=MODE)
    yield SchedulerSpec(name="unsafe", target="mml_rests.scheduler:Unsafe", defaults=MODE)

@hookimpl
def mml_path_assignments():
    yield PathAssignment(key="drawn", path="PROJ_PATH/DRAWN/TASK_NAME/drawn.json", reusable=True)
    yield PathAssignment(key="kept", path="PROJ_PATH/KEPT/kept.json")
    yield PathAssignment(key="shared", path="PROJ_PATH/SHARED/shared.json", reusable=True)

@hookimpl
def mml_scheduler_created(scheduler):
    publish = scheduler.fm.publish
    def dying(artefacts, folder, **kwargs):
        if artefacts and "DIE_COMMITTED" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        publish(artefacts, folder, **kwargs)
    scheduler.fm.publish = dying

@hookimpl
def mml_datasets():
    yield DatasetSpec(name="dots", create="mml_rests.dots:draw", license="CC0-1.0", summary="dots")

@hookimpl
def mml_tasks():
    yield TaskSpec(name="dots", dataset="dots", create="mml_rests.dots:describe", task_type="classification")
"""

SCHEDULER = """
import json, os, random
from functools import cached_property
from omegaconf import OmegaConf
from mml_core.api import AbstractBaseScheduler

class Rests(AbstractBaseScheduler):
    reuse_safe = True

    def __init__(self, cfg):
        self.early = cfg.mode.early
        super().__init__(cfg, available_subroutines=["a", "b"])
        self.common = cfg.mode.common

    def after_preparation_hook(self):
        if self.cfg.mode.look:
            self.get_struct("dots")

    def create_routine(self):
        self.planned = self.cfg.mode.planned
        with self.choosing_steps():
            mode, task = OmegaConf.to_container(self.cfg.mode), self.cfg.task_list[0]
        self.add_step("read_one", after=())
        self.add_step("read_linked", after=())
        self.add_step("hand_on", after=())
        params = [self.add_step("take_param", mode["param"], after=())]
        if mode["more"]:
            params.append(self.add_step("take_param", "more", after=()))
        self.add_step("look_back", after=params)
        self.add_step("use_return_value", after=(self.add_step("set_return_value", after=()),))
        self.add_step("use_subroutines", after=())
        taken = self.add_step("take_task", task, after=())
        named = self.add_step("name_task", task, after=())
        self.add_step("use_result", taken.id, after=(taken,))
        self.add_step("use_name", named.id, after=(named,))
        self.add_step("use_file", task, after=(taken,))
        self.add_step("use_kept", 1, after=(self.add_step("use_kept", 0, after=()),))
        if mode["keep"]:
            self.add_step("keep", task, named.id, after=(taken, named))
        if mode["global"]:
            self.add_step("use_global", after=())

    def _ran(self, value):
        with open(os.environ["COUNT_FILE"], "a") as file:
            file.write(self._scope.step.method + "\\n")
        return value

    def read_one(self):
        return self._ran(self.cfg.mode.one)

    def read_linked(self):
        return self._ran(self.cfg.mode.linked)

    def hand_on(self):
        return self._ran(OmegaConf.to_container(self.cfg.mode.node))

    def take_param(self, param):
        return self._ran(param)

    @cached_property
    def kept(self):
        return self.cfg.mode.kept

    def use_kept(self, number):
        return self._ran(self.kept)

    def look_back(self):
        return self._ran(self.results.by_method("take_param"))

    def set_return_value(self):
        self.return_value = self.cfg.mode.returned
        return self._ran(None)

    def use_return_value(self):
        return self._ran(self.return_value)

    def use_subroutines(self):
        return self._ran(self.subroutines)

    def take_task(self, task):
        struct = self.get_struct(task)
        path = self.fm.construct_saving_path(None, "drawn", task)
        path.write_text(json.dumps(struct.num_samples))
        shared = self.fm.construct_saving_path(None, "shared")
        shared.write_text(json.dumps(struct.num_samples))
        struct.paths["made"] = path
        return self._ran({"samples": struct.num_samples, "file": path, "random": random.random()})

    def name_task(self, task):
        return self._ran(self.get_struct(task).name)

    def use_result(self, step):
        return self._ran(self.results[step]["samples"])

    def use_name(self, step):
        return self._ran(self.results[step])

    def use_file(self, task):
        paths = self.get_struct(task).paths
        return self._ran({key: json.loads(path.read_text()) for key, path in sorted(paths.items())})

    def keep(self, task, step):
        path = self.fm.construct_saving_path(None, "kept")
        read = [each.read_text() for each in self.get_struct(task).paths.values()]
        path.write_text(json.dumps([read, self.results[step]]))
        return self._ran(path)

    def use_global(self):
        return self._ran(self.fm.global_path("shared").read_text())

    def before_finishing_hook(self):
        values = {key: repr(value) for key, value in self.results.items()}
        self.return_value = {key: value for key, value in values.items() if "take_task" not in key}

class Unsafe(Rests):
    pass
"""

DOTS = """
import os

def draw(target, sources):
    from PIL import Image
    for number in range(12):
        Image.new("L", (16, 16), color=number * 20).save(target / f"{number}.png")

def describe(dataset, builder):
    builder.describe(idx_to_class={"0": "a", "1": "b"}, license="CC0-1.0", reference="drawn")
    for number in range(int(os.environ.get("DOTS", "8"))):
        split = "test" if number >= 6 else "train"
        builder.add(sample_id=str(number), image=f"{number}.png", label=number % 2, split=split)
"""


@dataclass
class Rests:
    """Runs the plugin's schedulers.

    Attributes:
        mml: The command.
        project: The places of the test.
        counts: Where the steps note that they run.
        plugins: Installs the plugin.
    """

    mml: CommandRunner
    project: MMLProject
    counts: Path
    plugins: InlinePlugins

    def install(self, addition: str = "") -> None:
        """Install the plugin, with something added to the module of its schedulers."""
        self.plugins("rests", PLUGIN, {"scheduler.py": SCHEDULER + addition, "dots.py": DOTS})

    def create(self, *overrides: str) -> None:
        """Make the task."""
        made = self.mml(
            "run", "--mode=create", "--tasks", "dots", "--proj", "made", "mode.num_folds=2", *overrides
        )
        assert made.code == 0, made.err

    def __call__(self, *overrides: str, mode: str = "rests") -> list[str]:
        """Run all, and return which steps ran, sorted."""
        self.counts.unlink(missing_ok=True)
        result = self.run(*overrides, mode=mode)
        assert result.code == 0, result.err
        return sorted(self.counts.read_text().split()) if self.counts.exists() else []

    def run(self, *overrides: str, mode: str = "rests") -> Result:
        """Run the command."""
        return self.mml("run", f"--mode={mode}", "--tasks", "dots", *overrides)

    def plan(self, *overrides: str, mode: str = "rests") -> dict[str, dict[str, Any]]:
        """Return the rows of the plan by method."""
        result = self.run("--plan", "--json", *overrides, mode=mode)
        assert result.code == 0, result.err
        return {row["method"]: row for row in json.loads(result.out)}

    def newest(self, project: str = "default") -> RunDirectory:
        """The newest run."""
        from mml_core.scheduling.run_directory import RunDirectory

        return max(map(RunDirectory, self.project.runs(project)), key=lambda run: run.info().created)

    def value(self, project: str = "default") -> Any:
        """Return what the newest run returned."""
        from mml_core.scheduling.values import decode

        done = self.newest(project).done()
        assert done is not None
        return decode(done.return_value)


@pytest.fixture
def rests(
    mml_project: MMLProject, inline_plugin: InlinePlugins, mml: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> Rests:
    """Install the plugin and its task."""
    counts = mml_project.root / "counts"
    monkeypatch.setenv("COUNT_FILE", str(counts))
    made = Rests(mml, mml_project, counts, inline_plugin)
    made.install()
    made.create()
    return made
