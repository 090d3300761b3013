"""Clean-up: after success only, repeatable, inside of the project, and never of what somebody else needs."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

Tell = Callable[[str], None]

CLEANING = ("reuse.clean_up.drawn=true", "reuse.clean_up.last=true")
STEPS = ("draw", "scratch", "draw", "reread")


def kill_in_clean_up(lab: Any, removals: list[int], tell: Tell) -> None:
    """Kill runs after so many removals of their clean-up, and continue them."""
    for proj in ("neighbour", "reused"):
        assert lab.run("free", proj=proj).code == 0
    others = {proj: lab.project.files(proj) for proj in ("neighbour", "reused")}
    killed = 0
    for count in removals:
        proj = f"p{count}"
        stranger = lab.project.path(proj) / "DRAWN" / "stranger.txt"
        stranger.parent.mkdir(parents=True)
        stranger.write_text("of nobody")
        options = (*CLEANING, "reuse.drawn=reused")
        ended = lab.run(*STEPS, proj=proj, options=options, env={"LAB_REMOVALS": str(count)})
        assert ended.code in (0, -signal.SIGKILL), ended
        killed += ended.code != 0
        assert lab.go_on(proj=proj).code == 0
        assert list(lab.project.files(proj)) == ["DRAWN/stranger.txt"]
        assert [True] in lab.told(proj).values()
        for folder in ("attempts", "temp"):
            assert list((lab.project.path(proj) / ".mml" / folder).glob("*/*")) == []
        if ended.code == 0:
            break
    assert {proj: lab.project.files(proj) for proj in others} == others
    assert lab.ran("draw") == {f"draw-{number}": killed + (ended.code == 0) for number in (0, 2)}
    tell(f"{killed} kill points in clean-up")
    assert killed > 0


def test_g13_a_clean_up_that_was_killed_is_finished_and_takes_nothing_else(
    lab: Any, chance: random.Random, tell: Tell
) -> None:
    """Killed after some of its removals; task names with ':', newlines and '..'; a reused file stays."""
    kill_in_clean_up(lab, sorted(chance.sample(range(8), 3)), tell)


@pytest.mark.long
def test_g13_a_clean_up_killed_after_each_removal_is_finished(lab: Any, tell: Tell) -> None:
    """The same after each removal, until one clean-up ends without a kill."""
    kill_in_clean_up(lab, list(range(100)), tell)


def test_g13_nothing_is_cleaned_up_before_success(lab: Any) -> None:
    """A run that fails keeps all it has made, temporary files too; they go when it is done."""
    assert lab.run("draw", "scratch", "fail_once", "reread", options=CLEANING).code == 1
    assert len(lab.project.files()) == 2
    assert len(list((lab.project.path() / ".mml" / "temp").glob("*/notes.txt"))) == 1
    lab.mark("mended")
    assert lab.go_on().code == 0
    assert lab.project.files() == {}
    assert [True] in lab.told().values()


def test_g13_a_link_in_the_project_is_not_followed(lab: Any) -> None:
    """Where a symbolic link took the place of a folder, what it leads to stays, and the run says so."""
    assert lab.run("draw", "fail_once", options=CLEANING).code == 1
    outside = lab.project.root / "outside"
    (lab.project.path() / "LAST").rename(outside)
    (lab.project.path() / "LAST").symlink_to(outside)
    lab.mark("mended")
    ended = lab.go_on()
    assert (ended.code, "is a symbolic link" in ended.err, ended.err.count("\n")) == (2, True, 1), ended
    assert [path.name for path in outside.iterdir()] == ["last.txt"]
    (lab.project.path() / "LAST").unlink()
    outside.rename(lab.project.path() / "LAST")
    assert lab.go_on().code == 0
    assert lab.project.files() == {}


def test_g13_the_mode_clean_leaves_alone_what_a_pilot_works_on(lab: Any) -> None:
    """A pilot works on a run whose driver is dead: clean takes nothing of it, and its step commits."""
    options = ("executor=processes", "executor.preload=[]", "executor.workers=1")
    driver = lab.start("fail_once", "wait", options=options)
    driver.communicate(timeout=120)
    lab.mark("mended")
    (run,) = lab.project.runs()
    pilot = lab.process.start("work", run.name)
    lab.until(pilot, lambda: lab.marked("wait"))
    assert f"running: pid {pilot.pid}" in lab.process("runs").out
    cleaned = lab.process("run", "--mode=clean", "mode.subroutines=[temp]")
    assert cleaned.code == 0, cleaned
    assert lab.process("runs", "rm", run.name, "--yes").code == 3
    lab.mark("go")
    out, err = pilot.communicate(timeout=120)
    assert pilot.returncode == 0, (out, err)
    assert lab.ran("wait") == {"wait-1": 1}
    assert lab.project.files() != {}
