"""A secret that a run takes from the environment is nowhere in what it writes or shows."""

from __future__ import annotations

import pytest

pytest_plugins = ["mml_core.testing.fixtures"]

SECRET = "s3cret-4711"
MODE = """
from mml_core.plugins import SchedulerSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    defaults = {"password": None, "again": None, "place": None}
    yield SchedulerSpec(name="log_in", target="mml_log_in.scheduler:LogIn", defaults=defaults)
"""
SCHEDULER = """
import os
import signal
from mml_core.api import AbstractBaseScheduler

class LogIn(AbstractBaseScheduler):
    reuse_safe = True

    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        self.add_step("log_in")

    def log_in(self):
        assert self.cfg.mode.password == self.cfg.mode.again == "s3cret-" + "4711"
        if os.environ.get("HOW") == "fails":
            raise ValueError(f"no user has {self.cfg.mode.password}")
        if os.environ.get("HOW") == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        self.return_value = self.cfg.mode.place
"""
COMMAND = (
    "run",
    "--mode=log_in",
    "mode.password=${oc.env:LOG_IN_PASSWORD}",
    "mode.again=${mode.password}",
    "mode.place=${oc.env:PLACE}",
)


@pytest.fixture
def log_in(inline_plugin, mml_project, monkeypatch):
    inline_plugin("log_in", MODE, {"scheduler.py": SCHEDULER})
    monkeypatch.setenv("LOG_IN_PASSWORD", SECRET)
    monkeypatch.setenv("PLACE", "here")


def everything(mml_project, *results):
    """All that is stored and shown."""
    files = [path.read_bytes() for path in mml_project.results.rglob("*") if path.is_file()]
    return b"\n".join([*files, *(text.encode() for result in results for text in (result.out, result.err))])


def test_a_run_that_fails_and_goes_on_stores_the_variable_alone(
    log_in, mml, mml_project, monkeypatch
) -> None:
    monkeypatch.setenv("HOW", "fails")
    failed = mml(*COMMAND, "--debug")
    monkeypatch.delenv("HOW")
    monkeypatch.setenv("PLACE", "there")  # is no secret: the value counts that the run began with
    finished = mml("run", "--continue")
    assert (failed.code, finished.code) == (1, 0)
    assert SECRET.encode() not in everything(mml_project, failed, finished)
    assert "ValueError: no user has ***" in failed.err
    (run,) = mml_project.runs()
    config = (run / "config.yaml").read_text()
    assert "password: ${oc.env:LOG_IN_PASSWORD}" in config
    assert "place: here" in config


def test_a_run_that_was_killed_leaves_no_secret(log_in, mml_process, mml_project) -> None:
    killed = mml_process(*COMMAND, env={"HOW": "dies"})
    assert killed.code == -9
    assert SECRET.encode() not in everything(mml_project, killed)


def test_a_refused_override_shows_no_secret(log_in, mml, monkeypatch) -> None:
    monkeypatch.setenv("HOW", "fails")
    assert mml(*COMMAND).code == 1
    monkeypatch.setenv("OTHER_PASSWORD", f"another-{SECRET}")
    result = mml("run", "--continue", "mode.password=${oc.env:OTHER_PASSWORD}")
    assert result.code == 2
    assert "mode.password was '${oc.env:LOG_IN_PASSWORD}' when the run began" in result.err
    assert SECRET not in result.err


def test_a_variable_that_is_gone_is_named_with_its_key(log_in, mml, monkeypatch) -> None:
    monkeypatch.setenv("HOW", "fails")
    assert mml(*COMMAND).code == 1
    monkeypatch.delenv("LOG_IN_PASSWORD")
    result = mml("run", "--continue")
    assert result.code == 2
    assert "mode.password of the stored config is taken from the environment variable LOG_IN_PASSWORD" in (
        result.err
    )
