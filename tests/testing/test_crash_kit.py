"""What the crash kit is to whoever uses it: light to import, and the same again with a seed."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from mml_core.testing.crash.barriers import Barrier, Injury, read_log
from mml_core.testing.crash.points import kill_points, sampled
from mml_core.testing.crash.report import CrashReport
from mml_core.testing.crash.story import Phase, Story

RUN = "/root/results/p"


def call(number, name, path, other="", **more):
    return Barrier(number, name, f"{RUN}/{path}", f"{RUN}/{other}" if other else "", pid=1, **more)


@pytest.fixture
def story():
    """Two steps, each of which writes a file, is committed, and leaves its folder."""
    calls = [("mkdir", "runs/r/steps", "")]
    for step in ("draw-1-aa", "add_up-bb"):
        folder, record = f".mml/attempts/r/{step}.1", f"runs/r/steps/{step}.json"
        calls += [
            ("mkdir", folder, ""),
            ("open", f"{folder}/file", ""),
            ("write", f"{folder}/file", ""),
            ("link", f"{folder}/record.json", record),
            ("rmdir", folder, ""),
        ]
    return Story.of(call(number, *each, size=10) for number, each in enumerate(calls, start=1))


def test_it_imports_nothing_heavy():
    program = "import sys, mml_core.testing.crash; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"torch", "lightning", "numpy", "hydra", "omegaconf", "pandas", "pyarrow"}
    assert heavy.isdisjoint(done.stdout.split())


def test_the_barriers_tell_which_step_they_belong_to(story):
    told = [(moment.phase, moment.step) for moment in story.moments]
    first = "draw-1-aa"
    assert told[:2] == [(Phase.START, "")] * 2
    assert told[2:7] == [(Phase.STEP, first)] * 3 + [(Phase.COMMITTED, first), (Phase.BETWEEN, first)]
    assert story.committed == {"draw-1-aa", "add_up-bb"}


def test_a_kill_comes_before_each_barrier_and_in_the_middle_of_each_write(story):
    points = kill_points(story, Injury(0, signal=signal.SIGKILL))
    assert len(points) == len(story.moments) + 2
    assert sum(point.injury.torn for point in points) == 2


def test_a_seed_makes_the_same_sample_which_has_a_kill_between_the_steps(story):
    points = kill_points(story, Injury(0, signal=signal.SIGKILL))
    for seed in range(20):
        chosen = sampled(points, 5, seed)
        assert chosen == sampled(points, 5, seed)
        assert any(point.is_boundary for point in chosen)
        assert len({(point.injury.at, point.injury.torn) for point in chosen}) == 5


def test_a_log_is_read_in_the_order_of_its_numbers_up_to_a_record_that_is_cut_off(tmp_path):
    log = tmp_path / "log"
    barriers = [call(2, "write", "b", data=b"two", size=3), call(1, "open", "a"), call(3, "unlink", "c")]
    log.write_bytes(b"".join(barrier.encode() for barrier in barriers)[:-1])
    assert read_log(log) == [barriers[1], barriers[0]]


def test_a_report_without_a_kill_says_that_nothing_was_killed():
    report = CrashReport("mml run", "SIGKILL", "preload", steps={"draw('a')": (0, 3)})
    assert report.summary() == "nothing was killed; undisturbed runs compared: no fault (mml run)"
    report.steps["draw('a')"] = (1, 3)
    assert report.summary() == "SIGKILL: 1 of 3 kill points: no fault (mml run)"
