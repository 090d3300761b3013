"""A plugin that can only observe a run is none that its results depend on; one that can change it is."""

from __future__ import annotations

import json

import pytest

from mml_core.plugins import PluginManager, StepView, hookimpl

pytest_plugins = ["mml_core.testing.fixtures"]

MODE = """
from mml_core.plugins import SchedulerSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="draw", target="mml_draw.scheduler:Draw")
"""
SCHEDULER = """
import os
import random
from mml_core.api import AbstractBaseScheduler

class Draw(AbstractBaseScheduler):
    reuse_safe = True

    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        self.add_step("draw", "a", {"of": [1, 2]})
        self.add_step("draw", "b", {"of": [1, 2]})

    def draw(self, name, options):
        if name == os.environ.get("FAILS"):
            raise ValueError("no luck")
        self.return_value = {**(self.return_value or {}), name: [random.random(), options["of"]]}
        return self.return_value
"""
OBSERVER = """
import random
from mml_core.plugins import hookimpl

MML_PLUGIN_API = 1

def scribble(view):
    random.random()
    random.seed(1)
    for value in (*getattr(view, "params", ()), getattr(view, "value", None)):
        if isinstance(value, dict):
            value.clear()

@hookimpl
def mml_run_started(run):
    scribble(run)

@hookimpl
def mml_step_started(run, step):
    scribble(step)

@hookimpl
def mml_step_finished(run, step, outcome):
    scribble(step)
    scribble(outcome)

@hookimpl
def mml_run_finished(run, outcome):
    scribble(outcome)
"""
CHANGER = """
from mml_core.plugins import hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_step_started(scheduler, step):
    pass
"""


@pytest.fixture
def begun(inline_plugin, mml, monkeypatch):
    """Run two steps, of which the second fails: the run can be continued."""
    inline_plugin("draw", MODE, {"scheduler.py": SCHEDULER})
    monkeypatch.setenv("FAILS", "b")
    assert mml("run", "--mode=draw").code == 1
    monkeypatch.delenv("FAILS")


def returned(mml_project, project="default"):
    return json.loads((mml_project.runs(project)[0] / "done.json").read_text())["body"]["return_value"]


def test_a_run_goes_on_beside_an_observer_that_was_not_there(begun, inline_plugin, mml, mml_project) -> None:
    inline_plugin("watcher", OBSERVER)
    result = mml("run", "--continue")
    assert (result.code, result.err) == (0, "")
    with_observer = returned(mml_project)
    assert mml("run", "--mode=draw", "--proj=plain", "--without-plugin=watcher").code == 0
    assert with_observer == returned(mml_project, "plain")


def test_the_record_says_who_observed_each_session(begun, inline_plugin, mml, mml_project) -> None:
    inline_plugin("watcher", OBSERVER)
    assert mml("run", "--continue").code == 0
    record = json.loads((mml_project.runs()[0] / "run.json").read_text())
    before, after = (session["observers"] for session in record["sessions"])
    assert set(after) - set(before) == {"mml-plugin-watcher"}
    assert "mml-plugin-watcher" not in record["versions"]


def test_a_plugin_that_is_handed_the_scheduler_counts(begun, inline_plugin, mml) -> None:
    inline_plugin("changer", CHANGER)
    result = mml("run", "--continue")
    assert result.code == 2
    assert "mml-plugin-changer was not there when the run began" in result.err


@pytest.mark.parametrize("executor", ["sequential", pytest.param("processes", marks=pytest.mark.long)])
def test_what_observers_do_to_what_they_are_shown_changes_nothing(
    inline_plugin, mml, mml_project, executor
) -> None:
    inline_plugin("draw", MODE, {"scheduler.py": SCHEDULER})
    assert mml("run", "--mode=draw", "--proj=plain").code == 0
    inline_plugin("watcher", OBSERVER)
    result = mml("run", "--mode=draw", f"--executor={executor}")
    assert (result.code, result.err) == (0, "")
    assert returned(mml_project) == returned(mml_project, "plain")


def test_steps_are_taken_over_beside_an_observer(inline_plugin, mml, mml_project, monkeypatch) -> None:
    inline_plugin("draw", MODE, {"scheduler.py": SCHEDULER})
    assert mml("run", "--mode=draw").code == 0
    inline_plugin("watcher", OBSERVER)
    monkeypatch.setenv("FAILS", "b")  # would show that a step is run
    result = mml("run", "--mode=draw", "reuse.auto=true")
    assert (result.code, result.err.count("is taken over from run")) == (0, 2)


class Changing:
    """Implements what each test asks for."""

    @hookimpl
    def mml_run_finished(self, run, outcome):
        """Only observe."""

    @hookimpl
    def mml_trainer_callbacks(self):
        """Add what may be anything."""


def test_a_hook_counts_by_what_it_is_given_and_returns() -> None:
    info = PluginManager().register(Changing(), "mml-plugin-a")
    assert info.hooks == ("mml_run_finished", "mml_trainer_callbacks")
    assert info.changing_hooks == ("mml_trainer_callbacks",)


def test_each_observer_is_shown_what_the_one_before_could_not_change() -> None:
    seen = []

    class Observer:
        @hookimpl
        def mml_step_started(self, step):
            seen.append(list(step.params[0]))
            step.params[0].clear()

    manager = PluginManager()
    for name in ("a", "b"):
        manager.register(Observer(), f"mml-plugin-{name}")
    step = StepView(id="s-1", name="s", params=([1, 2],))
    manager.notify("mml_step_started", scheduler=None, run=None, step=step)
    assert seen == [[1, 2], [1, 2]]
    assert step.params == ([1, 2],)
