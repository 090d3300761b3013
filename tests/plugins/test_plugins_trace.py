"""`mml plugins trace`: which hooks a command called, by whom implemented, how often, for how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
from mml_core.plugins import SchedulerSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="greet", target="mml_greet.scheduler:Greet", summary="Say hello.")

@hookimpl
def mml_step_started(step):
    if "three" in str(step.params):
        raise ValueError("not three")

@hookimpl
def mml_run_finished(run, outcome):
    pass
"""
SCHEDULER = """
from mml_core.api import AbstractBaseScheduler

class Greet(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        for whom in ("one", "two", "three"):
            self.add_step("greet", whom)

    def greet(self, whom):
        return f"hello, {whom}"
"""


@pytest.fixture
def traced(mml, inline_plugin):
    """Trace a run of the plugin's mode: what the command printed, and (hook, calls, errors) of the plugin."""
    inline_plugin("greet", PLUGIN, {"scheduler.py": SCHEDULER})
    result = mml("plugins", "trace", "--json", "trace.json", "--", "run", "--mode=greet", "seed=1")
    assert result.code == 0, result.err
    rows = json.loads(Path("trace.json").read_text())
    return result, {row["hook"]: row for row in rows if row["plugin"] == "mml-plugin-greet"}


def test_a_hook_is_counted_for_each_step(traced):
    _, rows = traced
    steps = 3
    assert rows["mml_step_started"]["calls"] >= steps
    assert rows["mml_run_finished"]["calls"] == 1
    assert rows["mml_schedulers"]["calls"] == 1
    assert all(row["seconds"] >= 0 for row in rows.values())


def test_a_hook_that_raised_is_told(traced):
    result, rows = traced
    assert rows["mml_step_started"]["errors"] == 1
    assert "mml-plugin-greet: mml_step_started raised 1 of" in result.err


def test_the_table_stands_on_standard_error(traced):
    result, _ = traced
    assert "mml_run_finished  " in result.err
    assert "mml_run_finished" not in result.out


def test_the_run_is_the_one_that_would_have_been(traced, mml, mml_project):
    before = len(mml_project.runs())
    assert mml("run", "--mode=greet", "seed=1").code == 0
    assert (before, len(mml_project.runs())) == (1, 2)


def test_a_failing_command_keeps_its_exit_code_and_its_table(mml):
    failed = mml("plugins", "trace", "--", "run", "--mode=nowhere")
    assert failed.code == 2
    assert "mml_schedulers" in failed.err


def test_plugins_that_are_left_out_are_not_traced(mml, inline_plugin):
    inline_plugin("greet", PLUGIN, {"scheduler.py": SCHEDULER})
    listed = mml("plugins", "trace", "--without-plugin", "greet", "--", "run", "--mode=info")
    assert "mml-plugin-greet" not in listed.err


def test_what_is_no_command_is_refused(mml):
    refused = mml("plugins", "trace", "--", "rum")
    assert refused.code == 2
    assert "Did you mean 'run'" in refused.err
