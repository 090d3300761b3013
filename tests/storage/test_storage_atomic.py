"""Atomic writes, links and hashes on real files."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mml_core.storage import atomic, hashing, links
from mml_core.storage.errors import NoHardLinksError, WriteFailedError


def test_write_makes_parents_and_leaves_no_temp(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.json"
    atomic.write_json(target, {"x": 1})
    assert target.read_text() == '{\n  "x": 1\n}\n'
    assert [entry.name for entry in target.parent.iterdir()] == ["c.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_g14_failed_fsync_is_named_and_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    target = tmp_path / "x.txt"
    atomic.write_text(target, "old")

    def broken(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(WriteFailedError, match="Cannot write") as caught:
        atomic.write_text(target, "new")
    assert caught.value.errno == code
    assert "\n" not in str(caught.value)
    assert target.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]


def test_g14_a_really_full_device_is_named() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(WriteFailedError, match="no space left"), links.named_failures(Path("x")):
            atomic.write_all(descriptor, b"x")
    finally:
        os.close(descriptor)


def test_writing_keeps_the_suffix_and_publishes_on_success_only(tmp_path: Path) -> None:
    target = tmp_path / "weights.safetensors"
    with pytest.raises(RuntimeError), atomic.writing(target) as temp:
        assert temp.suffix == ".safetensors"
        temp.write_bytes(b"half")
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == []
    with atomic.writing(target) as temp:
        temp.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"


def test_publish_dir_is_all_or_nothing(tmp_path: Path) -> None:
    def folder(name: str) -> Path:
        made = tmp_path / name
        (made / "deep").mkdir(parents=True)
        (made / "deep" / "f").write_text(name)
        return made

    final = tmp_path / "out" / "final"
    atomic.publish_dir(folder("one"), final)
    with pytest.raises(FileExistsError):
        atomic.publish_dir(folder("two"), final)
    assert (final / "deep" / "f").read_text() == "one"
    assert (tmp_path / "two" / "deep" / "f").exists()


def test_g10_the_first_record_wins(tmp_path: Path) -> None:
    final = tmp_path / "step.json"
    assert links.commit_record(b"1", tmp_path / "p1", final)
    assert not links.commit_record(b"2", tmp_path / "p2", final)
    assert final.read_bytes() == b"1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["step.json"]


def test_g10_a_lost_reply_is_not_a_lost_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def link_then_lose_the_reply(src: Path, dst: Path) -> None:
        real(src, dst)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link_then_lose_the_reply)
    assert links.commit_record(b"1", tmp_path / "p1", tmp_path / "final")


def test_a_file_system_without_links_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(src: Path, dst: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "link", unsupported)
    with pytest.raises(NoHardLinksError, match="no hard links"):
        links.commit_record(b"1", tmp_path / "p1", tmp_path / "final")
    assert [entry.name for entry in tmp_path.iterdir()] == []


def test_hashes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    data = os.urandom((1 << 20) + 17)
    file.write_bytes(data)
    assert hashing.sha256_file(file) == hashlib.sha256(data).hexdigest() == hashing.sha256_bytes(data)
    assert hashing.digest({"b": 1, "a": [1, 2]}) == hashing.digest({"a": [1, 2], "b": 1})


WRITER = """
import sys
from pathlib import Path
from mml_core.storage.atomic import write_bytes
target = Path(sys.argv[1])
print("go", flush=True)
while True:
    for letter in b"ab":
        write_bytes(target, bytes([letter]) * 300_000)
"""


def test_g03_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "f"
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        while not target.exists():
            assert writer.poll() is None
        for _ in range(60):
            content = target.read_bytes()
            assert len(content) == 300_000
            assert len(set(content)) == 1
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
