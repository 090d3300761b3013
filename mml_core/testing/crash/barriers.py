"""Write barriers: the calls by which a command changes the disk, and the log in which they are noted."""

from __future__ import annotations

import errno
import os
import signal
import struct
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_MAGIC = 0x314B434D
_HEADER = struct.Struct("<IIQIIiIQqq16sIIQ")
_KILLED = -1

ROOM = frozenset({"open", "write", "truncate", "allocate", "mkdir", "link", "symlink"})
"""The calls that a full disk refuses."""


@dataclass(frozen=True)
class Barrier:
    """One call that changed the disk, or would have.

    Attributes:
        number: Its place among all barriers of the command, from 1; 0: it lies outside of what is watched.
        call: ``open`` (that makes or empties a file), ``write``, ``truncate``, ``allocate``, ``fsync``,
            ``rename``, ``link``, ``symlink``, ``unlink``, ``mkdir`` or ``rmdir``, for all variants of each.
        path: What it changed.
        other: The new name that ``rename`` and ``link`` give.
        pid: The process.
        tid: The thread.
        error: The errno with which it failed; 0: it was done; -1: the command was killed before it was done.
        flags: Of open and rename.
        inode: Of the file that it made or changed; 0 where that is not known.
        offset: Where it wrote.
        size: How much it wrote, or the new length of the file.
        data: What it wrote, where that was recorded.
        syscall: The system call, where the backend needs it to find the barrier again.
        turn: The how-manieth such call of its thread it was.
    """

    number: int
    call: str
    path: str
    other: str = ""
    pid: int = 0
    tid: int = 0
    error: int = 0
    flags: int = 0
    inode: int = 0
    offset: int = 0
    size: int = 0
    data: bytes = b""
    syscall: str = ""
    turn: int = 0

    @property
    def done(self) -> bool:
        """Whether the call was made and did not fail."""
        return self.error == 0

    @property
    def killed(self) -> bool:
        """Whether the command was killed here."""
        return self.error == _KILLED

    @property
    def target(self) -> str:
        """The name that is there, or gone, after the call."""
        return self.other or self.path

    def describe(self, root: Path) -> str:
        """Return the call with its paths relative to ``root``, for people."""
        size = f" ({self.size} bytes)" if self.call == "write" else ""
        end = f" → {_relative(self.other, root)}" if self.other else ""
        failed = f", failed: {os.strerror(self.error)}" if self.error > 0 else ""
        return f"{self.call} {_relative(self.path, root)}{end}{size}{failed}"

    def encode(self) -> bytes:
        """Return the barrier as a record of the log."""
        path, other = os.fsencode(self.path), os.fsencode(self.other)
        length = _HEADER.size + len(path) + len(other)
        header = _HEADER.pack(
            _MAGIC,
            length,
            self.number,
            self.pid,
            self.tid,
            self.error,
            self.flags,
            self.inode,
            self.offset,
            self.size,
            self.call.encode(),
            len(path),
            len(other),
            len(self.data),
        )
        return b"".join((header, path, other, self.data))


def read_log(path: Path) -> list[Barrier]:
    """Return the barriers of a log in the order of their numbers; those outside stand where they were noted.

    A record that is cut off, because its process was killed while it was noted, is left out.
    """
    content = path.read_bytes()
    found: list[Barrier] = []
    at = 0
    while at + _HEADER.size <= len(content):
        fields = _HEADER.unpack_from(content, at)
        magic, length, number, pid, tid, error, flags, inode, offset, size, call, first, second, data = fields
        end = at + length + data
        if magic != _MAGIC or end > len(content):
            break
        start = at + _HEADER.size
        names = content[start : start + first], content[start + first : start + first + second]
        found.append(
            Barrier(
                number=number,
                call=call.rstrip(b"\0").decode(),
                path=os.fsdecode(names[0]),
                other=os.fsdecode(names[1]),
                pid=pid,
                tid=tid,
                error=error,
                flags=flags,
                inode=inode,
                offset=offset,
                size=size,
                data=content[at + length : end],
            )
        )
        at = end
    return _in_order(found)


def _in_order(found: list[Barrier]) -> list[Barrier]:
    """Sort by number: two threads may note their barriers in another order than they reached them."""
    keyed, last = [], 0
    for place, barrier in enumerate(found):
        last = barrier.number or last
        keyed.append((last, place, barrier))
    return [barrier for _, _, barrier in sorted(keyed, key=lambda item: item[:2])]


def _relative(path: str, root: Path) -> str:
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return path


class Victim(Enum):
    """Who is sent a signal."""

    TREE = "all processes of the command"
    PROCESS = "the process that made the call"


@dataclass(frozen=True)
class Injury:
    """What happens to a command at one of its barriers.

    Attributes:
        at: The number of the barrier.
        signal: What is sent there; by SIGKILL the call is never made.
        errno: With what the call fails there; 0: it does not.
        torn: Whether the first half of a write is done before the command is killed.
        lasting: Whether all later calls that take room on the disk fail as well, as on a full disk.
        victim: Who is sent the signal.
        syscall: As of the barrier.
        turn: As of the barrier.
    """

    at: int
    signal: int = 0
    errno: int = 0
    torn: bool = False
    lasting: bool = False
    victim: Victim = Victim.TREE
    syscall: str = ""
    turn: int = 0

    def describe(self) -> str:
        """Return what happens, in words."""
        if self.errno:
            name = errno.errorcode.get(self.errno, str(self.errno))
            return f"{name} from here on" if self.lasting else name
        return f"{signal.Signals(self.signal).name}{' in the middle of the write' if self.torn else ''}"


@dataclass(frozen=True)
class Watch:
    """What of the disk is watched.

    Attributes:
        roots: Calls on what lies below them are barriers.
        ignored: Globs of paths that are not; ``CALL@GLOB`` leaves out one call only.
        with_data: Whether the log holds what was written.
        host: The name under which the command knows its machine; empty: the real one.
    """

    roots: tuple[Path, ...]
    ignored: tuple[str, ...] = ()
    with_data: bool = False
    host: str = ""
