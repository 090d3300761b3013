"""Many runs in one project: no number twice, no file lost, nobody's temporary files deleted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mml_core.scheduling.run_directory import RunDirectory

Tell = Callable[[str], None]

# Starts many commands at one moment, each in a process of its own, and tells their exit codes.
CROWD = """
import os, sys
from mml_core.cli.main import main
import mml_core.cli.job, mml_core.scheduling.runner, mml_core.config.compose, mml_core.files.manager
start_r, start_w = os.pipe()
for number in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(start_w)
        os.read(start_r, 1)
        code = main(sys.argv[2:])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
os.close(start_w)
codes = []
for _ in range(int(sys.argv[1])):
    _, status = os.wait()
    codes.append(os.waitstatus_to_exitcode(status))
sys.exit(0 if codes == [0] * len(codes) else f"exit codes: {codes}")
"""


def crowd(count: int, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CROWD, str(count), *arguments], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done


def many_runs(lab: Any, count: int, rounds: int, tell: Tell) -> None:
    """Let many runs save numbered, replaced and temporary files in one project at the same time."""
    for _ in range(rounds):
        crowd(count, *lab.arguments("draw", "scratch", "draw", "reread", "free"))
    project, runs = lab.project.path(), count * rounds
    assert len(lab.project.runs()) == runs
    drawn = sorted((project / "DRAWN").glob("*/*"))
    for folder in {path.parent for path in drawn}:
        numbers = [int(path.stem.rpartition("_")[2]) for path in drawn if path.parent == folder]
        assert numbers == list(range(1, runs + 1)), folder
    assert len({path.parent for path in drawn}) == 3
    committed = []
    for run in lab.project.runs():
        directory = RunDirectory(run)
        done = directory.done()
        assert done is not None
        assert [True] in msgspec.json.decode(done.return_value).values()  # its own temporary file was there
        for path in (run / "steps").glob("*.json"):
            committed += msgspec.json.decode(path.read_bytes())["body"].get("artefacts", [])
    paths = [each["path"] for each in committed if each["number"] is not None and "temp" not in each["key"]]
    assert sorted(paths) == [path.relative_to(project).as_posix() for path in drawn]
    verified = lab.process("files", "verify")
    assert verified.code == 0, verified
    assert list((project / ".mml" / "temp").glob("*/*")) == []
    tell(f"{rounds} rounds of {count} runs, {len(drawn)} files")


def test_g18_twenty_runs_in_one_project_share_no_number_and_lose_no_file(lab: Any, tell: Tell) -> None:
    """20 runs at one moment save numbered, replaced and temporary files, and each deletes its own temp."""
    many_runs(lab, 20, 1, tell)


@pytest.mark.long
def test_g18_two_hundred_runs_in_one_project_share_no_number(lab: Any, tell: Tell) -> None:
    """The same in ten rounds."""
    many_runs(lab, 20, 10, tell)


def test_g18_a_run_that_ends_leaves_the_temporary_files_of_another(lab: Any) -> None:
    """One run waits between writing and reading its temporary file while another ends and is cleaned."""
    waiting = lab.start("scratch", "wait", "reread")
    lab.until(waiting, lambda: lab.marked("wait"))
    assert lab.run("scratch", "reread").code == 0
    assert lab.process("run", "--mode=clean").code == 0
    lab.mark("go")
    out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, (out, err)
    told = [
        msgspec.json.decode(done.return_value)
        for done in (RunDirectory(run).done() for run in lab.project.runs())
        if done is not None
    ]
    assert sum([True] in value.values() for value in told if "download" not in value) == 2
