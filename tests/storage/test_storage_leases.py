"""Leases between real processes: one winner, dead owners replaced, live ones named."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mml_core.storage import heartbeats, owners
from mml_core.storage.errors import WriteFailedError
from mml_core.storage.leases import Lease, LeaseHeldError, is_alive, read_owner
from mml_core.storage.owners import Owner

HOLDER = """
import sys, time
from pathlib import Path
from mml_core.storage.errors import WriteFailedError
from mml_core.storage.leases import Lease
lease = Lease.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""

# Every process forks off at once, waits for the start shot, tries once, and holds what it won to the end.
CROWD = """
import os, sys
from pathlib import Path
from mml_core.storage.errors import WriteFailedError
from mml_core.storage.leases import Lease, LeaseHeldError
path, count = Path(sys.argv[1]), int(sys.argv[2])
start_r, start_w = os.pipe()
told_r, told_w = os.pipe()
end_r, end_w = os.pipe()
for _ in range(count):
    if os.fork() == 0:
        os.close(start_w), os.close(end_w)
        os.read(start_r, 1)
        try:
            lease = Lease.acquire(path)
            os.write(told_w, b"W")
        except LeaseHeldError as error:
            os.write(told_w, b"L" if error.owner is not None else b"?")
        os.read(end_r, 1)
        os._exit(0)
os.close(start_r), os.close(start_w)
told = b""
while len(told) < count:
    told += os.read(told_r, count)
print(told.decode(), flush=True)
os.close(end_w)
for _ in range(count):
    os.wait()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str], *, reap: bool = True) -> None:
    process.send_signal(signal.SIGKILL)
    if reap:
        process.communicate()


def plant(path: Path, **changes: object) -> Owner:
    owner = msgspec.structs.replace(Owner.current(token="0123456789abcdef"), **changes)
    path.write_bytes(heartbeats.with_beat(msgspec.json.encode(owner)))
    return owner


def test_release_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lease"
    with Lease.acquire(path) as lease:
        assert read_owner(path) == lease.owner
        assert is_alive(path)
        assert not lease.lost
    assert [entry.name for entry in path.parent.iterdir()] == []
    lease.release()
    assert lease.lost


def test_g09_a_live_owner_is_named_with_exit_code_3(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    holder = hold(path)
    try:
        with pytest.raises(LeaseHeldError, match=f"pid {holder.pid} on host") as caught:
            Lease.acquire(path)
        assert caught.value.exit_code == 3
    finally:
        kill(holder)


def test_g08_a_killed_owner_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    for _ in range(3):
        kill(hold(path))
        assert not is_alive(path)
    before = time.monotonic()
    with Lease.acquire(path):
        assert time.monotonic() - before < 1
    assert [entry.name for entry in tmp_path.iterdir()] == []


def test_g08_a_zombie_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    holder = hold(path)
    kill(holder, reap=False)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    try:
        Lease.acquire(path).release()
    finally:
        holder.communicate()


def test_g08_a_reused_pid_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    plant(path, start_time="1")
    Lease.acquire(path).release()


def test_g08_an_owner_from_before_the_last_boot_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    plant(path, boot_id="another", pid_namespace="another")
    Lease.acquire(path).release()


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"machine": "x"}, {"pid_namespace": "x"}])
def test_a_silent_owner_elsewhere_is_replaced_after_the_ttl(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "lease"
    plant(path, **changes)
    with pytest.raises(LeaseHeldError):
        Lease.acquire(path, ttl=0.3, wait=False)
    before = time.monotonic()
    Lease.acquire(path, ttl=0.3).release()
    assert 0.2 < time.monotonic() - before < 5


def test_the_ttl_can_be_set_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lease"
    plant(path, host="elsewhere")
    assert is_alive(path)
    monkeypatch.setenv("MML_LEASE_TTL", "0.1")
    Lease.acquire(path).release()
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("MML_LEASE_TTL", wrong)
        with pytest.raises(heartbeats.LeaseTTLError, match=f"MML_LEASE_TTL is '{wrong}'"):
            Lease.acquire(path)


def test_a_beating_owner_elsewhere_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lease"
    with Lease.acquire(path, ttl=0.2), monkeypatch.context() as patched:
        patched.setattr(owners.socket, "gethostname", lambda: "observer")
        for _ in range(3):
            with pytest.raises(LeaseHeldError):
                Lease.acquire(path, ttl=1.0)


@pytest.mark.parametrize("content", [b"", b'{"host":"x","boo', b'"text"', b"\xff\xfe"])
def test_a_damaged_lease_is_replaced_after_the_ttl(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lease"
    path.write_bytes(content)
    with pytest.raises(LeaseHeldError, match="damaged"):
        Lease.acquire(path, ttl=0.2, wait=False)
    Lease.acquire(path, ttl=0.2).release()
    assert [entry.name for entry in tmp_path.iterdir()] == []


def test_g10_a_writer_that_lost_its_lease_knows_and_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lease"
    paused = Lease.acquire(path, heartbeat=False)
    with monkeypatch.context() as patched:
        patched.setattr(owners, "_boot_id", lambda: "next boot")
        successor = Lease.acquire(path)
    assert paused.lost
    paused.beat()
    paused.release()
    assert not successor.lost
    assert read_owner(path) == successor.owner
    successor.release()
    assert [entry.name for entry in tmp_path.iterdir()] == []


def test_a_lease_removed_by_hand_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    lease = Lease.acquire(path)
    path.unlink()
    assert lease.lost
    lease.release()


def test_a_forked_child_does_not_release_its_parents_lease(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    lease = Lease.acquire(path)
    child = os.fork()
    if child == 0:
        lease.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert not lease.lost
    lease.release()


def test_one_thread_beats_for_all_leases(tmp_path: Path) -> None:
    held = [Lease.acquire(tmp_path / str(number), ttl=0.1) for number in range(5)]
    before = [lease.path.read_bytes() for lease in held]
    deadline = time.monotonic() + 10
    while any(lease.path.read_bytes() == old for lease, old in zip(held, before, strict=True)):
        assert time.monotonic() < deadline
    assert sum(thread.name == "mml-heartbeat" for thread in threading.enumerate()) == 1
    for lease in held:
        lease.release()


@pytest.mark.parametrize("state", ["free", "dead", "taken over and dead"])
def test_g09_of_fifty_starters_exactly_one_wins(tmp_path: Path, state: str) -> None:
    rounds = int(os.environ.get("MML_LEASE_ROUNDS", "3"))
    for number in range(rounds):
        path = tmp_path / str(number) / "lease"
        for _ in range(("free", "dead", "taken over and dead").index(state)):
            kill(hold(path))
        path.parent.mkdir(exist_ok=True)
        crowd = subprocess.run(
            [sys.executable, "-c", CROWD, str(path), "50"], capture_output=True, text=True, check=True
        )
        assert sorted(crowd.stdout.strip()) == sorted("W" + "L" * 49), crowd.stdout


def test_g09_acquire_and_release_in_a_crowd_never_overlap(tmp_path: Path) -> None:
    path, inside = tmp_path / "lease", tmp_path / "inside"
    program = f"""
import os
from pathlib import Path
from mml_core.storage.errors import WriteFailedError
from mml_core.storage.leases import Lease, LeaseHeldError
won = 0
while won < 15:
    try:
        with Lease.acquire(Path({str(path)!r}), heartbeat=False):
            os.close(os.open({str(inside)!r}, os.O_CREAT | os.O_EXCL))
            os.unlink({str(inside)!r})
            won += 1
    except LeaseHeldError:
        pass
"""
    crowd = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(4)]
    for process in crowd:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error.decode()
    assert [entry.name for entry in tmp_path.iterdir()] == []


class Disk:
    """A disk that can be filled up: a small tmpfs where one can be mounted, else writes that fail alike."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = monkeypatch
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
        self.mounted = sys.platform == "linux" and not subprocess.run(mount, capture_output=True).returncode

    def fill(self) -> None:
        if not self.mounted:
            self._patch.setattr(os, "write", _no_space)
            return
        with pytest.raises(OSError, match="No space"), (self.folder / "filler").open("wb", 0) as file:
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        self._patch.undo()
        (self.folder / "filler").unlink(missing_ok=True)


def _no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(tmp_path, monkeypatch)
    yield made
    if made.mounted:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_g14_a_lease_is_given_back_on_a_full_disk(disk: Disk) -> None:
    path = disk.folder / "lease"
    with Lease.acquire(path):
        disk.fill()
    assert not is_alive(path)
    with pytest.raises(WriteFailedError, match="no space left"):
        Lease.acquire(path)
    disk.free()
    Lease.acquire(path).release()
    assert [entry.name for entry in disk.folder.iterdir()] == []


def test_a_lease_that_cannot_be_given_back_does_not_hide_what_the_block_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError), Lease.acquire(tmp_path / "lease", heartbeat=False):
        for name in ("write", "pwrite"):
            monkeypatch.setattr(os, name, _no_space)
        _ = 1 / 0
    assert "lease' cannot be given back before this process ends" in caplog.text
