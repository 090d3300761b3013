"""A run ends as it would, whoever reads what it prints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["mml_core.testing.fixtures"]

MML = Path(sys.executable).with_name("mml")
PLUGIN = """
from mml_core.plugins import SchedulerSpec, hookimpl
MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="talk", target="mml_talk.scheduler:Talk")
"""
SCHEDULER = """
import sys
from mml_core.api import AbstractBaseScheduler

class Talk(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        self.add_step("talk")

    def talk(self):
        for stream in (sys.stdout, sys.stderr):
            print("much " * 100_000, file=stream, flush=True)

    def before_finishing_hook(self):
        print("done")
        self.return_value = 1
"""


def run(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `mml` in a shell with a redirection of its own."""
    command = ["bash", "-o", "pipefail", "-c", f'"$0" "$@" {redirection}', str(MML), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def talk(inline_plugin: Callable[..., object]) -> None:
    inline_plugin("talk", PLUGIN, {"scheduler.py": SCHEDULER})


@pytest.mark.usefixtures("talk")
@pytest.mark.parametrize("redirection", ["| true", "2>&1 | true", "> /dev/full", ">&-", ">&- 2>&-"])
def test_a_run_is_done_where_nobody_can_read_what_it_prints(redirection, mml_project):
    done = run(redirection, "run", "--mode=talk")
    assert done.returncode == 0, done.stderr
    (path,) = mml_project.runs()
    assert (path / "done.json").is_file()


@pytest.mark.usefixtures("talk")
def test_a_step_in_a_process_of_its_own_is_done_too(mml_project):
    done = run("2>&1 | true", "run", "--mode=talk", "executor=processes", "executor.workers=1")
    assert done.returncode == 0
    assert (mml_project.runs()[0] / "done.json").is_file()


@pytest.mark.usefixtures("talk")
def test_a_full_standard_output_is_named_once(mml_project):
    err = run("> /dev/full", "run", "--mode=talk").stderr
    assert err.count("no space left on device") == 1
    assert "Standard output" in err
    assert "Standard output" in (mml_project.runs()[0] / "log.txt").read_text()


def test_commands_that_only_print_still_end_with_the_code_of_a_broken_pipe(mml_project):
    assert run("| true", "config", "show", "arch").returncode == 141


def test_a_redirected_stream_is_left_alone(capsys):
    from mml_core.scheduling.streams import outlasting_readers

    before = sys.stdout
    with outlasting_readers():
        assert sys.stdout is before
