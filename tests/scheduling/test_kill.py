"""SIGKILL before, inside and after every step of a real process, and between commit and publication."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mml_core.scheduling import values
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.storage.leases import Lease

if TYPE_CHECKING:
    from mml_core.testing.fixtures import MMLProject, ProcessRunner

pytest_plugins = ["mml_core.testing.fixtures"]

COMMAND = ("run", "--mode=killable", "--tasks", "dots")


def told(run: Path) -> str:
    """The return value as it is stored, without the names of the project."""
    done = RunDirectory(run).done()
    assert done is not None
    return repr(values.decode(done.return_value)).replace(str(run.parent.parent), "PROJ")


@pytest.mark.parametrize("last", ["committed", "after"])
def test_g01_g02_a_run_killed_everywhere_equals_an_uninterrupted_one(
    last: str, killable: Callable[[], Counter[str]], mml_project: MMLProject, mml_process: ProcessRunner
) -> None:
    assert mml_process(*COMMAND, "--proj", "whole").code == 0
    (whole,) = mml_project.runs("whole")
    plan = RunDirectory(whole).load_plan()
    assert plan is not None
    steps = [step.id for step in plan.steps]
    before = killable()
    assert before == dict.fromkeys(steps, 1)

    arguments = [*COMMAND, "--proj", "killed"]
    for step in steps:
        for where in ("before", "inside", last):
            ended = mml_process(*arguments, env={"KILL_AT": f"{where}:{step}"})
            assert ended.code == -signal.SIGKILL, (where, step, ended)
            arguments = ["run", "--continue", "--proj", "killed"]
    ended = mml_process(*arguments)

    assert ended.code == 0, ended
    (killed,) = mml_project.runs("killed")
    assert told(killed) == told(whole)
    assert mml_project.files("killed") == mml_project.files("whole") != {}
    assert killable() - before == dict.fromkeys(steps, 2)  # once killed inside, once committed
    assert not (mml_project.path("killed") / ".mml" / "attempts" / killed.name).exists()


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 75)]
)
def test_g11_g12_a_signal_releases_the_run_and_says_how_to_go_on(
    killable: Callable[[], Counter[str]],
    mml_project: MMLProject,
    mml_process: ProcessRunner,
    signum: signal.Signals,
    code: int,
) -> None:
    process = mml_process.start(*COMMAND, "mode.wait=true")
    waiting = Path(os.environ["COUNT_FILE"] + ".waiting")
    while not waiting.exists():
        assert process.poll() is None, process.communicate()
    (run,) = mml_project.runs()

    process.send_signal(signum)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert f"mml run --continue {run.name} --proj default" in err
    assert "Traceback" not in err
    Lease.acquire(run / "lease", wait=False).release()

    goes_on = mml_process.start("run", "--continue", run.name)
    waiting.unlink()
    while not waiting.exists():
        assert goes_on.poll() is None, goes_on.communicate()
    goes_on.kill()
    goes_on.communicate()


def test_g09_of_two_starters_one_wins_and_the_other_learns_who(
    killable: Callable[[], Counter[str]], mml_project: MMLProject, mml_process: ProcessRunner
) -> None:
    process = mml_process.start(*COMMAND, "mode.wait=true")
    waiting = Path(os.environ["COUNT_FILE"] + ".waiting")
    while not waiting.exists():
        assert process.poll() is None, process.communicate()
    refused = mml_process("run", "--continue")
    assert (refused.code, f"pid {process.pid}" in refused.err) == (3, True), refused

    process.kill()
    process.communicate()
    waiting.unlink()

    starters = [mml_process.start("run", "--continue") for _ in range(2)]
    while not waiting.exists():
        assert any(starter.poll() is None for starter in starters)
    while all(starter.poll() is None for starter in starters):
        pass
    loser, winner = sorted(starters, key=lambda starter: starter.poll() is None)
    assert loser.returncode == 3
    assert f"pid {winner.pid}" in loser.communicate()[1]
    winner.kill()
    winner.communicate()

    again = mml_process("run", "--continue", "mode.wait=false")
    assert again.code == 2
    assert "mode.wait was True when the run began and cannot become False" in again.err
