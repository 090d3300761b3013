"""Planning, running and continuing from Python does what the command does."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

import mml_core.api as mml
from mml_core.config.compose import compose
from mml_core.notebook.overrides import OverrideValueError, overrides_of
from mml_core.notebook.runs import NothingToContinueError
from mml_core.plugins import PluginManager

pytest_plugins = ["mml_core.testing.fixtures"]
pytest.importorskip("pandas")
PLUGIN = """
from mml_core.plugins import PathAssignment, SchedulerSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="draw", target="mml_draw.scheduler:Draw", defaults={"stop": ""})

@hookimpl
def mml_path_assignments():
    yield PathAssignment(key="draws", path="PROJ_PATH/DRAWS/draw.txt")
"""
SCHEDULER = """
import os, random, signal
from pathlib import Path
from mml_core.api import AbstractBaseScheduler

class Draw(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=["all"])

    def create_routine(self):
        for number in range(3):
            self.add_step("draw", number)

    def draw(self, number):
        sign = Path(str(self.cfg.mode.stop))
        if number == 1 and sign.is_file():
            if sign.read_text() == "fail":
                raise ValueError("told to fail")
            sign.unlink()
            os.kill(os.getpid(), signal.SIGINT)
        value = random.random()
        self.fm.construct_saving_path(value, "draws").write_text(str(value))
        self.return_value = [*(self.return_value or []), value]
        return value
"""


@pytest.fixture
def draw(inline_plugin):
    """The mode ``draw``: three random numbers, each in a file."""
    inline_plugin("draw", PLUGIN, {"scheduler.py": SCHEDULER})


def test_a_plan_is_a_table_and_writes_nothing(draw, mml_project):
    steps = mml.plan("draw")
    assert steps["step"].tolist() == ["draw(0)", "draw(1)", "draw(2)", "before_finishing_hook()"]
    assert steps["state"].tolist()[:2] == ["ready", "waiting"]
    assert not mml_project.results.exists()


def test_a_run_gives_the_value_and_files_of_the_command(draw, mml_project, mml_process):
    outcome = mml.run("draw", proj="here")
    assert mml_process("run", "--mode=draw", "--proj", "there").code == 0
    assert len(outcome.value) == 3
    assert mml_project.files("here") == mml_project.files("there")


def test_a_failed_run_raises_and_is_continued(draw, mml_project):
    undisturbed = mml.run("draw", proj="undisturbed").value
    stop = mml_project.root / "stop"
    stop.write_text("fail")
    with pytest.raises(mml.MMLError, match="told to fail"):
        mml.run("draw", mode={"stop": stop})
    stop.unlink()
    assert mml.continue_run().value == undisturbed
    assert mml.open_project("default").runs()["status"].tolist() == ["done"]


def test_an_interrupted_run_says_so_and_is_continued_by_name(draw, mml_project):
    stop = mml_project.root / "stop"
    stop.write_text("interrupt")
    with pytest.raises(mml.MMLError, match="interrupted by SIGINT"):
        mml.run("draw", proj="p", mode={"stop": stop})
    (run,) = mml_project.runs("p")
    outcome = mml.continue_run("p", run.name, executor="sequential")
    assert outcome.run_dir == run
    assert mml.continue_run(mml_project.path("p")).value == outcome.value  # finished: its value again


def test_progress_is_shown_where_it_is_asked_for(draw, capsys):
    mml.run("draw", progress=True)
    assert "4/4" in capsys.readouterr().err
    mml.run("draw")
    assert "4/4" not in capsys.readouterr().err


def test_workers_do_not_run_the_script_again_that_started_them(draw, mml_project):
    expected = mml.run("draw", proj="here").value
    script = mml_project.root / "script.py"
    script.write_text(
        "import mml_core.api as mml\n"
        "print('begun')\n"
        "print(mml.run('draw', executor='processes', **{'executor.preload': []}).value)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["begun", str(expected)]


def test_what_cannot_be_run_is_refused_before_anything_is_made(draw, mml_project):
    for tasks, overrides, message in [
        ("nothing", {}, "no task 'nothing'|nothing"),
        ((), {"sed": 1}, "Did you mean"),
        ((), {"seed": -1}, "seed is -1"),
        ((), {"seed": object()}, "seed is <object"),
    ]:
        with pytest.raises(mml.MMLError, match=message):
            mml.run("draw", tasks, **overrides)
    with pytest.raises(mml.MMLError, match="Did you mean 'draw'"):
        mml.run("drwa")
    assert not mml_project.results.exists()


def test_a_plugin_that_cannot_be_used_is_told(inline_plugin, mml_project, caplog):
    inline_plugin("broken", "import nowhere")
    mml.plan("info")
    assert "mml-plugin-broken 1.0 is not used" in caplog.text


def test_a_project_without_a_run_has_nothing_to_continue(mml_project):
    (mml_project.path() / "runs").mkdir(parents=True)
    with pytest.raises(NothingToContinueError, match="no run to continue"):
        mml.continue_run()


def test_values_come_into_the_config_as_they_are():
    given = {
        "seed": 7,
        "trainer": {"max_epochs": 2, "+limit_val_batches": 0.5},
        "optimizer": "sgd",
        "reuse.models": "other#3",
        "paths.results": Path("/some where/it's"),
        "+mode.note": "a, b: {c} = 'd' # e",
        "+mode.list": [1, None, True, "x", {"y": -2.5}],
        "+mode.inf": math.inf,
        "+mode.none": None,
        "+mode.empty": {},
    }
    cfg = compose(["mode=info", *overrides_of(given)], PluginManager())
    assert (cfg.seed, cfg.trainer.max_epochs, cfg.trainer.limit_val_batches) == (7, 2, 0.5)
    assert cfg.paths.results == "/some where/it's"
    assert cfg.reuse.models == "other#3"
    assert cfg.optimizer.name == "sgd"
    assert cfg.mode.note == "a, b: {c} = 'd' # e"
    assert list(cfg.mode.list) == [1, None, True, "x", {"y": -2.5}]
    assert (cfg.mode.inf, cfg.mode.none, dict(cfg.mode.empty)) == (math.inf, None, {})


def test_a_value_that_no_config_can_hold_is_named():
    with pytest.raises(OverrideValueError, match=r"trainer\.x is .*set"):
        overrides_of({"trainer": {"x": {1, 2}}})
    with pytest.raises(OverrideValueError, match="has the key 'a b'"):
        overrides_of({"mode.list": [{"a b": 1}]})
