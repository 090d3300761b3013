"""What the minimal plugin promises, through the public API and the fixtures of mml_core.testing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mml_core.plugins import PluginManager

pytest_plugins = ["mml_core.testing.fixtures"]

HOME = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the distribution as a user does, into a folder of its own."""
    source = tmp_path_factory.mktemp("source") / "minimal_plugin"
    shutil.copytree(HOME, source, ignore=shutil.ignore_patterns("tests", "__pycache__", "*.egg-info"))
    site = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(source)],
        check=True,
        capture_output=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    return site


@pytest.fixture
def installed(wheel_site: Path, mml_project, monkeypatch: pytest.MonkeyPatch):
    """Put the installed distribution on the path of this process and of those it starts."""
    monkeypatch.syspath_prepend(str(wheel_site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(wheel_site), os.environ["PYTHONPATH"]]))
    yield mml_project
    for name in [name for name in sys.modules if name.partition(".")[0] == "mml_minimal"]:
        del sys.modules[name]


def test_the_plugin_is_found_with_all_it_contributes(installed):
    manager = PluginManager.discover()
    assert manager.plugin("minimal").status.value == "active"
    assert manager.schedulers.get("brightness").subroutines == ("measure", "rank")
    assert manager.path_assignments.get("brightness").reusable
    assert manager.tasks.get("shapes").dataset == "shapes"
    assert "mode/brightness.yaml" in manager.config_files()


def test_create_then_measure_and_rank(installed, mml):
    assert mml("run", "--mode=create", "--tasks", "shapes").code == 0
    result = mml("run", "--mode=brightness", "--tasks", "shapes", "mode.digits=2")
    assert result.code == 0, result.err
    written = installed.path() / "BRIGHTNESS" / "shapes" / "brightness_0001.json"
    record = json.loads(written.read_text())
    assert record["task"] == "shapes"
    assert 0 < record["brightness"] < 1
    assert record["brightness"] == round(record["brightness"], 2)


def test_another_project_reuses_the_measurement(installed, mml):
    mml("run", "--mode=create", "--tasks", "shapes")
    mml("run", "--mode=brightness", "--tasks", "shapes", "--proj", "first")
    options = ["mode.subroutines=[rank]", "reuse.brightness=first"]
    result = mml("run", "--mode=brightness", "--tasks", "shapes", "--proj", "second", *options)
    assert result.code == 0, result.err
    assert not (installed.path("second") / "BRIGHTNESS").exists()


def test_a_plan_shows_the_steps_and_writes_nothing(installed, mml):
    mml("run", "--mode=create", "--tasks", "shapes", "--proj", "other")
    result = mml("run", "--mode=brightness", "--tasks", "shapes", "--plan")
    assert result.code == 0
    assert "measure" in result.out
    assert not installed.path().exists()


def test_g01_a_killed_run_goes_on_where_it_was_killed(installed, mml, mml_process, inline_plugin):
    mml("run", "--mode=create", "--tasks", "shapes")
    mml("run", "--mode=brightness", "--tasks", "shapes", "--proj", "whole")
    hook = (
        "import os, signal\n"
        "from mml_core.plugins import hookimpl\n"
        "MML_PLUGIN_API = 1\n"
        "@hookimpl\n"
        "def mml_step_started(scheduler, step):\n"
        "    if os.environ.get('KILL_BEFORE') == step.name.partition('(')[0]:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    inline_plugin("killer", hook)
    command = ("run", "--mode=brightness", "--tasks", "shapes", "--proj", "killed")
    assert mml_process(*command, env={"KILL_BEFORE": "rank"}).code == -signal.SIGKILL
    result = mml_process("run", "--continue", "--proj", "killed")
    assert result.code == 0, result.err
    assert installed.files("killed") == installed.files("whole")
