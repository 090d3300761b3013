"""The mode clean: what goes, and what stays because a run needs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from mml_core.scheduling.run_directory import RunDirectory
from mml_core.storage.leases import Lease

if TYPE_CHECKING:
    from mml_core.files.manager import MMLFileManager
    from mml_core.testing.fixtures import CommandRunner, MMLProject, ProcessRunner

pytest_plugins = ["mml_core.testing.fixtures"]


SCRIPT = """
import os, signal, sys
from pathlib import Path
from mml_core.files.manager import MMLFileManager
from mml_core.plugins import PluginManager
plugins = PluginManager(builtin=True)
with MMLFileManager(data=Path("x"), results=Path(sys.argv[1]), project="default", plugins=plugins) as manager:
    manager.construct_saving_path(None, "temp", file_name="x").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_clean_removes_what_dead_scripts_left(
    mml_project: MMLProject, mml: CommandRunner, file_manager: MMLFileManager
) -> None:
    file_manager.construct_saving_path(None, "temp", file_name="x").write_text("x")
    died = subprocess.run([sys.executable, "-c", SCRIPT, str(mml_project.results)])
    assert died.returncode == -signal.SIGKILL
    attempts = file_manager.layout.attempts.parent
    assert len(list(attempts.glob("script-*"))) == 2
    assert mml("run", "--mode=clean", "mode.subroutines=[temp]").code == 0
    assert list(attempts.glob("script-*")) == [file_manager.layout.attempts]


def test_clean_removes_dead_attempts_and_downloads_and_the_run_still_continues(
    killable: Callable[[], Counter[str]],
    mml_project: MMLProject,
    mml: CommandRunner,
    mml_process: ProcessRunner,
) -> None:
    from mml_core.scheduling.plan import step_id

    committed, inside = step_id("draw", ["dots", 0]), step_id("draw", ["dots", 1])
    start = ("run", "--mode=killable", "--tasks", "dots")
    assert mml_process(*start, env={"KILL_AT": f"committed:{committed}"}).code == -signal.SIGKILL
    (path,) = mml_project.runs()
    run = RunDirectory(path)
    unpublished = run.attempts_path / f"{committed}.1"
    dead = run.attempts_path / f"{inside}.1"
    dead.mkdir()
    (dead / "checkpoint").write_text("x")
    (path / ".tmp-stray").write_text("x")
    (mml_project.data / "sources" / "big.zip").parent.mkdir(exist_ok=True)
    (mml_project.data / "sources" / "big.zip").write_text("x")

    starting, never_begun = path.with_name("starting"), path.with_name("never-begun")
    starting.mkdir()
    never_begun.mkdir()
    os.utime(never_begun, (0, 0))

    with Lease.acquire(run.lease_path):  # alive: nothing of it goes
        assert mml("run", "--mode=clean", "mode.subroutines=[temp]").code == 0
    assert dead.exists()

    listed = mml("run", "--mode=clean", "mode.dry_run=true")
    assert f"{inside}.1" in listed.out
    assert "sources/big.zip" in listed.out
    assert dead.exists()

    cleaned = mml("run", "--mode=clean")
    assert cleaned.code == 0, cleaned.err
    assert not dead.exists()
    assert not (path / ".tmp-stray").exists()
    assert not never_begun.exists()
    assert starting.exists()
    assert not (mml_project.data / "sources" / "big.zip").exists()
    assert unpublished.exists()

    assert mml("run", "--continue", path.name).code == 0
    assert run.done() is not None
    assert len(mml_project.files()) == 3
