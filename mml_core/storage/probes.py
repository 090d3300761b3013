"""What a file system may keep or not, each tried in an empty folder on it.

A probe returns what there is to say of it, and raises where it is not kept. Some need further processes,
which run functions of this module.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mml_core.storage.atomic import create_file, exchange, fsync_dir, fsync_file, publish_dir, write_bytes
from mml_core.storage.leases import Lease, LeaseHeldError
from mml_core.storage.links import same_file

ROUNDS = 200
_LEAST_BYTES = 1 << 30
_MOST_SKEW_SECONDS = 5.0
_CHILD = "import sys; from mml_core.storage import probes; getattr(probes, sys.argv[1])(*sys.argv[2:])"
_TIMEOUT = 120.0


class NotKeptError(Exception):
    """A guarantee was tried and does not hold."""


def _expect(kept: bool, otherwise: str) -> None:
    if not kept:
        raise NotKeptError(otherwise)


def _refused(code: int, action: Callable[[], object], otherwise: str) -> None:
    """Expect that something fails with this errno."""
    try:
        action()
    except OSError as error:
        _expect(error.errno == code, f"{otherwise}: {os.strerror(error.errno or 0).lower()}")
    else:
        raise NotKeptError(otherwise)


def exclusive_create(folder: Path) -> str:
    """A name can be created once only."""
    create_file(folder / "a", b"first")
    _refused(errno.EEXIST, lambda: create_file(folder / "a", b"second"), "a file was created twice")
    return ""


def hard_links(folder: Path) -> str:
    """A file can have two names, and a name that is taken cannot be given again."""
    for name in ("a", "b"):
        create_file(folder / name, name.encode())
    (folder / "taken").hardlink_to(folder / "a")
    again = (folder / "taken").hardlink_to
    _refused(errno.EEXIST, lambda: again(folder / "b"), "a second link took a name that was taken")
    _expect((folder / "taken").read_bytes() == b"a", "the second link changed what the name stands for")
    return ""


def inodes(folder: Path) -> str:
    """Names of one file have one inode number, and no other file has it."""
    for name in ("a", "b"):
        create_file(folder / name, b"")
    (folder / "linked").hardlink_to(folder / "a")
    _expect(same_file(folder / "a", folder / "linked"), "two names of one file have two inode numbers")
    _expect(not same_file(folder / "b", folder / "linked"), "two files have one inode number")
    return ""


def rename_over(folder: Path) -> str:
    """A file is replaced as a whole while another process reads it."""
    target = folder / "file"
    write_bytes(target, b"0" * 4096)
    writer = _start("rewrite", target)
    reads = 0
    while writer.poll() is None or not reads:
        content = target.read_bytes()
        _expect(len(content) == 4096 and len(set(content)) == 1, f"a reader saw {len(content)} bytes, mixed")
        reads += 1
    _end(writer)
    return f"{ROUNDS} renames, {reads} reads"


def rewrite(target: str) -> None:
    """Replace a file many times, in a process of its own."""
    for number in range(ROUNDS):
        write_bytes(Path(target), str(number % 10).encode() * 4096)


def publication(folder: Path) -> str:
    """A folder can be given a free name, and no other."""
    private = folder / "private"
    private.mkdir()
    create_file(private / "file", b"x")
    publish_dir(private, folder / "final")
    (folder / "second").mkdir()
    try:
        publish_dir(folder / "second", folder / "final")
    except FileExistsError:
        return ""
    raise NotKeptError("a folder took a name that was taken")


def exchange_of_folders(folder: Path) -> str:
    """Two folders can swap their names."""
    for name in ("a", "b"):
        (folder / name).mkdir()
    (folder / "a" / "file").touch()
    _expect(exchange(folder / "a", folder / "b"), "the file system cannot do it")
    _expect((folder / "b" / "file").exists(), "nothing was exchanged")
    return ""


def fsync_files(folder: Path) -> str:
    """A file can be forced to the disk."""
    (folder / "file").write_bytes(b"x")
    started = time.perf_counter()
    fsync_file(folder / "file")
    return f"{(time.perf_counter() - started) * 1000:.1f} ms"


def fsync_folders(folder: Path) -> str:
    """The names in a folder can be forced to the disk."""
    (folder / "file").touch()
    fsync_dir(folder)
    return ""


def in_place(folder: Path) -> str:
    """What is written in place is seen by others."""
    (folder / "file").write_bytes(b"one two")
    reader, writer = os.open(folder / "file", os.O_RDONLY), os.open(folder / "file", os.O_WRONLY)
    try:
        os.pwrite(writer, b"six", 4)
        _expect(os.pread(reader, 7, 0) == b"one six", "a write in place is not seen by another descriptor")
    finally:
        os.close(reader)
        os.close(writer)
    return ""


def appending(folder: Path) -> str:
    """Two processes can append to one file."""
    writers = [_start("append", folder / "file", name) for name in "ab"]
    for writer in writers:
        _end(writer)
    lines = (folder / "file").read_text().split()
    lost = 2 * ROUNDS - len(lines)
    _expect(not lost and set(lines) == {"a", "b"}, f"of {2 * ROUNDS} appended lines {lost} are lost")
    return ""


def append(target: str, line: str) -> None:
    """Append a line many times, in a process of its own."""
    descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for _ in range(ROUNDS):
        os.write(descriptor, f"{line}\n".encode())


def mapping(folder: Path) -> str:
    """A file can be mapped into memory."""
    (folder / "file").write_bytes(b"mapped")
    with (folder / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        _expect(mapped[:] == b"mapped", "a memory map shows something else than the file")
    return ""


def fencing(folder: Path) -> str:
    """What was renamed away cannot be linked by its old name."""
    (folder / "attempt").mkdir()
    create_file(folder / "attempt" / "record", b"x")
    (folder / "attempt").rename(folder / "taken away")
    link = (folder / "committed").hardlink_to
    _refused(errno.ENOENT, lambda: link(folder / "attempt" / "record"), "a writer linked what was taken away")
    return ""


def take_over(folder: Path) -> str:
    """The lease of a killed process can be taken, that of a live one not."""
    holder = _start("hold", folder / "lease")
    assert holder.stdout is not None
    _expect(holder.stdout.readline() == b"held\n", "a process could not take a free lease")
    try:
        Lease.acquire(folder / "lease", wait=False)
    except LeaseHeldError:
        pass
    else:
        raise NotKeptError("a lease that a live process holds was taken")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    Lease.acquire(folder / "lease", wait=False).release()
    return ""


def hold(lease: str) -> None:
    """Hold a lease until killed, in a process of its own."""
    Lease.acquire(Path(lease))
    print("held", flush=True)
    time.sleep(_TIMEOUT)


def racing(folder: Path) -> str:
    """Of two processes that want one name, one gets it."""
    racers = [_start("race", folder, *names) for names in (("a", "b"), ("b", "a"))]
    won = [_end(racer).split() for racer in racers]
    together = sorted(int(number) for numbers in won for number in numbers)
    _expect(together == list(range(ROUNDS)), f"of {ROUNDS} names {len(together)} were won")
    return f"{ROUNDS} rounds, {len(won[0])} to {len(won[1])}"


def race(folder: str, name: str, other: str) -> None:
    """Link many names that another process wants as well, in a process of its own; tell which were won."""
    place, deadline = Path(folder), time.monotonic() + _TIMEOUT
    create_file(place / name, name.encode())
    for number in range(ROUNDS):
        (place / f"{name}-{number}").touch()
        while not (place / f"{other}-{number}").exists() and time.monotonic() < deadline:
            pass
        try:
            (place / f"won-{number}").hardlink_to(place / name)
        except FileExistsError:
            continue
        print(number)


def case(folder: Path) -> str:
    """Names that differ by case are two."""
    (folder / "name").touch()
    _expect(not (folder / "NAME").exists(), "'name' and 'NAME' are one file")
    return ""


def clock(folder: Path) -> str:
    """The times of files are those of this machine."""
    (folder / "file").touch()
    skew = (folder / "file").stat().st_mtime - time.time()
    _expect(abs(skew) <= _MOST_SKEW_SECONDS, f"the file system's clock is {skew:+.1f} s off")
    return f"{skew:+.3f} s"


def space(folder: Path) -> str:
    """There is room."""
    free = shutil.disk_usage(folder).free
    _expect(free >= _LEAST_BYTES, f"{free / 2**20:.0f} MiB are free")
    return f"{free / 2**30:.1f} GiB"


def _start(work: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _CHILD, work, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _end(process: subprocess.Popen[bytes]) -> str:
    out, _ = process.communicate(timeout=_TIMEOUT)
    _expect(process.returncode == 0, f"a process that tried it ended with {process.returncode}")
    return out.decode()
