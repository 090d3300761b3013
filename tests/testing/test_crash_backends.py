"""Every backend sees the same write barriers of a command, and can stop it at one."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import pytest

from mml_core.testing.crash.backends import BackendError, choose_backend
from mml_core.testing.crash.barriers import Injury
from mml_core.testing.crash.trial import Trial

NAMES = ("preload", "strace", "python")
SCRIPT = """
import os, pathlib, shutil, sys, tempfile
root = pathlib.Path(sys.argv[1])
folder = root / "a folder"
folder.mkdir()
(folder / "text").write_text("one\\n")
with (folder / "text").open("a") as file:
    file.write("two\\n")
    file.flush()
    os.fsync(file.fileno())
    file.truncate(4)
os.link(folder / "text", root / "linked")
os.rename(folder / "text", folder / "renamed")
os.symlink("renamed", folder / "soft")
shutil.copyfile(root / "linked", folder / "copy")
fd = os.open(folder, os.O_RDONLY)
os.fsync(fd)
os.unlink("soft", dir_fd=fd)
os.mkdir("inner", dir_fd=fd)
os.rmdir("inner", dir_fd=fd)
fd = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT)
os.pwrite(fd, b"three", 2)
os.writev(fd, [b"a", b"bc"])
os.posix_fallocate(fd, 0, 64)
(root / "ignored.log").write_text("x")
if os.fork() == 0:
    (root / "of a child").write_text("child")
    os._exit(0)
os.wait()
"""


@pytest.fixture(params=NAMES)
def backend(request):
    try:
        return choose_backend(request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def run(backend, tmp_path, monkeypatch):
    """Run a script in place of mml and return how it ended."""

    def run(script, injury=None, **options):
        monkeypatch.setattr("mml_core.testing.crash.trial.COMMAND", script)
        trial = Trial(tmp_path / "trial", backend, ignored=["*.log"])
        trial.fill(tmp_path / "none", tmp_path / "none")
        return trial, trial.run([str(trial.root)], timeout=60, injury=injury, **options)

    return run


def told(trial, barriers):
    watched = [each for each in barriers if each.number]
    return [each.describe(trial.root) for each in watched if each.size or each.call != "write"]


BARRIERS = """
mkdir a folder
open a folder/text
write a folder/text (4 bytes)
open a folder/text
write a folder/text (4 bytes)
fsync a folder/text
truncate a folder/text
link a folder/text → linked
rename a folder/text → a folder/renamed
symlink a folder/soft
open a folder/copy
write a folder/copy (4 bytes)
fsync a folder
unlink a folder/soft
mkdir a folder/inner
rmdir a folder/inner
open a folder/raw
write a folder/raw (5 bytes)
write a folder/raw (3 bytes)
allocate a folder/raw
open of a child
write of a child (5 bytes)
""".strip().splitlines()


def test_all_calls_that_change_the_disk_are_barriers(run):
    trial, ended = run(SCRIPT)
    assert ended.code == 0, ended.err
    assert told(trial, ended.barriers) == BARRIERS


def test_a_kill_comes_before_the_call(run):
    _, whole = run(SCRIPT)
    rename = next(each for each in whole.barriers if each.call == "rename")
    injury = Injury(rename.number, signal=signal.SIGKILL, syscall=rename.syscall, turn=rename.turn)
    trial, ended = run(SCRIPT, injury)
    assert ended.code == -signal.SIGKILL
    assert sorted(path.name for path in (trial.root / "a folder").iterdir()) == ["text"]
    assert ended.barriers[-1].killed


def test_a_call_fails_as_on_a_full_disk(run):
    _, whole = run(SCRIPT)
    write = [each for each in whole.barriers if each.call == "write"][1]
    injury = Injury(write.number, errno=errno.ENOSPC, lasting=True, syscall=write.syscall, turn=write.turn)
    _, ended = run(SCRIPT, injury)
    assert ended.code == 1
    assert "No space left on device" in ended.err
    assert [each.error for each in ended.barriers if each.number == write.number] == [errno.ENOSPC]


@pytest.mark.parametrize("backend", ["preload", "python"], indirect=True)
def test_a_write_is_torn(run):
    trial, ended = run(SCRIPT, Injury(5, signal=signal.SIGKILL, torn=True))
    assert ended.code == -signal.SIGKILL
    assert (trial.root / "a folder" / "text").read_text() == "one\ntw"


@pytest.mark.parametrize("backend", ["preload"], indirect=True)
def test_what_is_written_is_recorded(run):
    _, ended = run(SCRIPT, with_data=True)
    written = [each.data for each in ended.barriers if each.call == "write" and each.size]
    assert written == [b"one\n", b"two\n", b"one\n", b"three", b"abc", b"child"]


NATIVE = """
import ctypes, pathlib, sys
root = pathlib.Path(sys.argv[1])
import numpy, pyarrow, pyarrow.parquet, safetensors.numpy
pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2]}), root / "table.parquet")
safetensors.numpy.save_file({"a": numpy.ones(4)}, root / "weights.safetensors")
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(str(root / "stream").encode(), b"w"))
libc.fputs(b"by the C library", file)
libc.fclose(file)
"""


@pytest.mark.parametrize("backend", ["preload", "strace"], indirect=True)
def test_writes_of_native_code_are_seen(run):
    trial, ended = run(NATIVE)
    assert ended.code == 0, ended.err
    seen = {(each.call, Path(each.target).name) for each in ended.barriers if each.number}
    assert {(call, name) for call in ("open", "write") for name in ("table.parquet", "stream")} <= seen
    assert (trial.root / "weights.safetensors").exists()
    stream = next(each for each in ended.barriers if each.call == "write" and each.path.endswith("stream"))
    trial, ended = run(
        NATIVE, Injury(stream.number, signal=signal.SIGKILL, syscall=stream.syscall, turn=stream.turn)
    )
    assert ended.code == -signal.SIGKILL
    assert (trial.root / "stream").read_bytes() == b""


def test_an_unknown_backend_has_near_matches():
    with pytest.raises(BackendError, match="Did you mean 'strace'"):
        choose_backend("stracee")
