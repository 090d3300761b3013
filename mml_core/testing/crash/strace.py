"""The second choice of backend: strace, which sees every system call."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath

from mml_core.testing.crash.barriers import Barrier, Injury, Watch
from mml_core.testing.crash.preload import variables

_CALLS = {
    "open": ("open", "openat", "creat"),
    "write": ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range"),
    "truncate": ("truncate", "ftruncate"),
    "allocate": ("fallocate",),
    "fsync": ("fsync", "fdatasync"),
    "rename": ("rename", "renameat", "renameat2"),
    "link": ("link", "linkat"),
    "symlink": ("symlink", "symlinkat"),
    "unlink": ("unlink", "unlinkat"),
    "mkdir": ("mkdir", "mkdirat"),
    "rmdir": ("rmdir",),
}
_CALL_OF = {name: call for call, names in _CALLS.items() for name in names}
_LINE = re.compile(
    r"^(?P<tid>\d+)\s+(?P<name>\w+)\((?P<arguments>.*)\)\s+=\s+(?P<result>-?\d+|\?)(?P<rest>.*)$"
)
_UNFINISHED = re.compile(r"^(?P<tid>\d+)\s+(?P<name>\w+)\((?P<arguments>.*?)\s*<unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(?P<tid>\d+)\s+<\.\.\. \w+ resumed>(?P<rest>.*)$")
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|(?:\d+|AT_FDCWD)<(?:[^>\\]|\\.)*>(?:\(deleted\))?|[^,\s][^,]*')


class StraceBackend:
    """Sees all system calls of all programs.

    It counts the calls of each thread by itself, and on whatever path: an injury may come some calls early or
    late, no write is torn, and a full disk is full for one call only.
    """

    name = "strace"
    sees = "all system calls but io_uring and memory maps; an injury may come some calls early or late"
    has_data = False
    has_hosts = False

    @staticmethod
    def is_available() -> bool:
        """Whether strace is there and may trace."""
        return _can_trace()

    def command(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        watch: Watch,
        injury: Injury | None,
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command and the environment variables with which it is watched.

        Args:
            command: What is started.
            env: All its environment variables.
            folder: Empty, private to this start; the log is kept in it.
            watch: What is watched.
            injury: What happens to it.
        """
        known = variables(folder, watch, None)
        (folder / "watch").write_text("\0".join((known["MML_CRASH_ROOTS"], known["MML_CRASH_IGNORE"])))
        names = ",".join(_CALL_OF)
        traced = ["strace", "-f", "-y", "-s", "0", "-o", str(folder / "trace"), "-e", f"trace={names}"]
        if injury is not None:
            traced += ["-e", f"inject={_injection(injury)}"]
        return [*traced, *command], dict(env)

    def barriers(self, folder: Path) -> list[Barrier]:
        """Return what the command did that was started with ``folder``."""
        roots, ignored = (text.split("\n") for text in (folder / "watch").read_text().split("\0"))
        found: list[Barrier] = []
        for barrier in _calls((folder / "trace").read_text(errors="surrogateescape").splitlines()):
            names = [name for name in (barrier.path, barrier.other) if name]
            watched = any(name == root or name.startswith(f"{root}/") for name in names for root in roots)
            if watched and not any(_is_ignored(barrier.call, name, ignored) for name in names):
                found.append(replace(barrier, number=len(found) + 1))
        return found


def _injection(injury: Injury) -> str:
    what = f"error={errno.errorcode[injury.errno]}" if injury.errno else ""
    what = what or f"signal={signal.Signals(injury.signal).name[3:]}"
    return f"{injury.syscall}:{what}:when={injury.turn}"


def _is_ignored(call: str, path: str, patterns: Sequence[str]) -> bool:
    for pattern in patterns:
        only, at, glob = pattern.rpartition("@")
        if (not at or only == call) and fnmatchcase(path, glob):
            return True
    return False


def _calls(lines: Sequence[str]) -> Iterator[Barrier]:
    """Yield the calls of a trace that change the disk, in the order in which they began."""
    turns: Counter[tuple[str, str]] = Counter()
    waiting: dict[str, int] = {}
    begun: list[tuple[re.Match[str], int, str]] = []
    for line in lines:
        if (call := _UNFINISHED.match(line)) or (call := _LINE.match(line)):
            key = (call["tid"], call["name"])
            turns[key] += 1
            begun.append((call, turns[key], line))
            if call.re is _UNFINISHED:
                waiting[call["tid"]] = len(begun) - 1
        elif (resumed := _RESUMED.match(line)) and resumed["tid"] in waiting:
            place = waiting.pop(resumed["tid"])
            start, turn, head = begun[place]
            begun[place] = (start, turn, head.partition(" <unfinished")[0] + resumed["rest"])
    for start, turn, line in begun:
        whole = _LINE.match(line)
        barrier = _barrier(start["name"], (whole or start)["arguments"], whole)
        if barrier is not None:
            yield replace(barrier, tid=int(start["tid"]), pid=int(start["tid"]), turn=turn)


def _barrier(name: str, text: str, whole: re.Match[str] | None) -> Barrier | None:
    call, words = _CALL_OF[name], _WORD.findall(text)
    if call == "open" and not re.search(r"O_CREAT|O_TRUNC", text) and name != "creat":
        return None
    if name == "unlinkat" and "AT_REMOVEDIR" in text:
        call = "rmdir"
    if call == "symlink":
        words = words[1:]
    if name == "copy_file_range":
        words = words[2:]
    paths = list(_paths(words))
    if not paths:
        return None
    both = call in ("rename", "link") and len(paths) > 1
    error, size, killed = 0, 0, whole is None or whole["result"] == "?"
    if whole is not None and not killed:
        failed = re.search(r"-1 (E\w+)", f"{whole['result']}{whole['rest']}")
        error = getattr(errno, failed[1], -1) if failed else 0
        size = max(int(whole["result"]), 0) if call == "write" else 0
    return Barrier(
        0, call, paths[0], paths[1] if both else "", error=-1 if killed else error, size=size, syscall=name
    )


def _paths(words: Sequence[str]) -> Iterator[str]:
    """Yield the paths among the arguments of a call; a name after a folder's descriptor lies in it."""
    folder = ""
    for word in words:
        if word.startswith('"'):
            name = word[1:-1].encode("latin-1", "surrogateescape").decode("unicode_escape")
            path = os.fsdecode(name.encode("latin-1", "surrogateescape"))
            if path.startswith("/") or folder:
                yield os.path.normpath(PurePosixPath(folder) / path)
            folder = ""
        elif found := re.match(r"(?:\d+|AT_FDCWD)<(.*)>(\(deleted\))?$", word.strip()):
            if folder:
                yield folder
            folder = found[1] + (" (deleted)" if found[2] else "")
    if folder.startswith("/"):
        yield folder


@cache
def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = ["strace", "-f", "-y", "-o", os.devnull, "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0
