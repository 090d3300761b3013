"""Disks that are full, broken or read-only: a clear error, nothing lost, and the run goes on."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Tell = Callable[[str], None]


def mount(*arguments: str) -> None:
    """Mount, or skip the test where that cannot be done."""
    if sys.platform != "linux":
        pytest.skip("mounts are made on Linux only")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@contextmanager
def disk_of(kilobytes: int, folder: Path) -> Iterator[None]:
    """A disk of its own that has room for so much."""
    folder.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> None:
    with pytest.raises(OSError, match="No space"), (folder / "filler").open("wb", 0) as file:
        while True:
            file.write(bytes(4096))


def is_one_clear_line(ended: Any, results: Path) -> bool:
    told = (f"'{results}" in ended.err, "no space left on device" in ended.err, ended.err.count("\n"))
    return told == (True, True, 1)


def fill_disks(lab: Any, sizes: list[int], tell: Tell) -> None:
    """Run on disks of some sizes (KiB), each too small, make each larger, and continue."""
    steps = ("draw", "big", "draw")
    assert lab.run(*steps, proj="whole").code == 0
    whole, value = lab.project.files("whole"), lab.told("whole")
    (lab.project.results / "whole").rename(lab.project.root / "whole")
    reached = set()
    for size in sizes:
        with disk_of(size, lab.project.results):
            ended = lab.run(*steps)
            assert ended.code in (1, 2), (size, ended)
            assert is_one_clear_line(ended, lab.project.results), (size, ended)
            reached.add(len(list(lab.project.results.glob("*/runs/*/steps/*.json"))))
            mount("-o", "remount,size=8m", str(lab.project.results))
            done = lab.run(*steps, options=("--continue",))
            assert done.code == 0, (size, done)
            assert lab.project.files() == whole, size
            assert lab.told() == value
    tell(f"{len(sizes)} disks, full after {sorted(reached)} of 4 steps")


def test_g14_a_run_on_a_full_disk_says_so_and_goes_on(lab: Any, chance: random.Random, tell: Tell) -> None:
    """Results on small disks (tmpfs): one line names file and cause; with more room the run goes on."""
    fill_disks(lab, [32, chance.randrange(40, 900, 4)], tell)


@pytest.mark.long
def test_g14_a_run_on_a_disk_of_any_size_says_so_and_goes_on(lab: Any, tell: Tell) -> None:
    """The same on disks of 4 KiB to 900 KiB."""
    fill_disks(lab, [*range(4, 100, 4), *range(100, 900, 40)], tell)


def test_g06_a_checkpoint_is_written_whole_with_a_full_tmpdir_on_another_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TMPDIR lies on another device that is full: the checkpoint is written, whole, beside its place."""
    import torch

    from mml_core.learning.checkpoints import AtomicCheckpointIO

    elsewhere = tmp_path / "elsewhere"
    with disk_of(64, elsewhere):
        fill(elsewhere)
        monkeypatch.setenv("TMPDIR", str(elsewhere))
        monkeypatch.setattr(tempfile, "tempdir", None)
        path = tmp_path / "checkpoints" / "last.ckpt"
        for epoch in range(2):
            AtomicCheckpointIO().save_checkpoint({"epoch": epoch, "w": torch.ones(50_000)}, path)
        assert AtomicCheckpointIO().load_checkpoint(path)["epoch"] == 1
        assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]
        assert [each.name for each in elsewhere.iterdir()] == ["filler"]


@pytest.mark.parametrize("room", [0, 4, 100, 200, 300])
def test_g06_a_checkpoint_on_a_full_disk_raises_and_keeps_the_one_before(tmp_path: Path, room: int) -> None:
    """On a full disk the write raises, names the file, and leaves the checkpoint that was there."""
    import torch

    from mml_core.learning.checkpoints import AtomicCheckpointIO
    from mml_core.storage.errors import WriteFailedError

    small, large = {"epoch": 1}, {"epoch": 2, "w": torch.ones(100_000)}
    with disk_of(64 + room, tmp_path / "disk"):
        path = tmp_path / "disk" / "last.ckpt"
        AtomicCheckpointIO().save_checkpoint(small, path)
        with pytest.raises(WriteFailedError, match=r"last\.ckpt': no space left on device"):
            AtomicCheckpointIO().save_checkpoint(large, path)
        assert AtomicCheckpointIO().load_checkpoint(path) == small
        assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write to a folder: by a mount for root, whom modes do not bind, else by modes."""
    if os.geteuid():
        paths = [folder, *folder.rglob("*")]
        for path in paths:
            path.chmod(path.stat().st_mode & ~0o222)
        yield
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)
        return
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_g15_read_only_data_is_read(lab: Any, dots: str, mml_process: Any) -> None:
    """On read-only data: info, the list of tasks, a plan, and a run whose steps take a task."""
    data = lab.project.data
    shutil.rmtree(data / "cache", ignore_errors=True)
    before = listing(data)
    with read_only(data):
        for arguments in (("run", "--mode=info"), ("tasks",), ("doctor",)):
            shown = mml_process(*arguments)
            assert (shown.code, "Traceback" in shown.err) == (0, False), shown
        assert dots in mml_process("tasks").out
        ended = lab.run("attach", "use", options=(f"mode.task={dots}", f"--tasks={dots}"))
        assert (ended.code, ended.err) == (0, "")
    assert listing(data) == before


def test_g15_read_only_data_is_trained_on(lab: Any, dots: str, mml_process: Any) -> None:
    """On read-only data: train, without a prepared store and without statistics in the cache."""
    data = lab.project.data
    options = ("trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=4")
    before = listing(data)
    with read_only(data):
        ended = mml_process("run", "--mode=train", f"--tasks={dots}", "mode.folds=1", *options)
        assert ended.code == 0, ended
    assert listing(data) == before
    assert any(path.startswith("PARAMETERS/dots/") for path in lab.project.files())


def test_g15_read_only_results_are_refused_before_work_starts(lab: Any, mml_process: Any) -> None:
    """On read-only results: one line names the folder, no step has begun; what only reads still works."""
    assert lab.run("fail_once").code == 1
    marks = lab.ran("fail_once", "draw")
    with read_only(lab.project.results):
        for proj in ("default", "new"):
            refused = lab.run("draw", proj=proj)
            assert refused.code == 2, refused
            assert f"{lab.project.results}" in refused.err
            assert refused.err.count("\n") == 1
        refused = lab.go_on()
        assert (refused.code, f"'{lab.project.results}" in refused.err) == (2, True), refused
        assert refused.err.count("\n") == 1
        assert mml_process("run", "--mode=info").code == 0
        assert "fail_once(0)" in mml_process("runs").out
    assert lab.ran("fail_once", "draw") == marks
    lab.mark("mended")
    assert lab.go_on().code == 0


@pytest.mark.parametrize(
    ("error", "sample"),
    [
        pytest.param("EIO", 3, id="EIO"),
        pytest.param("EIO", None, id="EIO everywhere", marks=pytest.mark.long),
        pytest.param("EDQUOT", None, id="EDQUOT everywhere", marks=pytest.mark.long),
    ],
)
def test_g14_a_broken_disk_or_a_used_up_quota_is_named_and_the_run_goes_on(
    lab: Any, crash_kit: Any, error: str, sample: int | None
) -> None:
    """One write, fsync, link … of a run fails; one line names file and cause, and the run goes on."""
    crash_kit("lab", "mode.steps=[draw,scratch,reread]", errno=getattr(errno, error), sample=sample)
