"""What Python code does to the disk: the functions of ``os`` and ``open``, replaced in every process.

This module is run by a ``sitecustomize`` before anything else, so it uses the standard library alone, and
loads what it shares with the rest of the kit by its path.
"""

from __future__ import annotations

import builtins
import fnmatch
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

_SETS = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids)
_REAL = {name: getattr(os, name) for name in ("open", "write", "close", "lseek", "kill")}
_ROOM = ("open", "write", "truncate", "allocate", "mkdir", "link", "symlink")


def _barriers() -> ModuleType:
    name = "_mml_crash_barriers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("barriers.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class Watcher:
    """Counts, notes and injures, as the environment variables say."""

    def __init__(self) -> None:
        read = os.environ.get
        self.folder = read("MML_CRASH_DIR", "")
        self.roots = read("MML_CRASH_ROOTS", "").split("\n")
        self.ignored = read("MML_CRASH_IGNORE", "").split("\n")
        self.at = int(read("MML_CRASH_AT", "0"))
        self.action = read("MML_CRASH_ACTION", "")
        self.number = int(read("MML_CRASH_NUMBER", "0"))
        self.tear, self.lasting, self.process_only = (
            read(f"MML_CRASH_{name}", "0") == "1" for name in ("TEAR", "LASTING", "PROCESS_ONLY")
        )
        self._record = _barriers().Barrier

    def watches(self, call: str, path: str) -> bool:
        """Whether a call on a path is a barrier."""
        if not any(path == root or path.startswith(f"{root}/") for root in self.roots):
            return False
        for pattern in self.ignored:
            only, at, glob = pattern.rpartition("@")
            if (not at or only == call) and fnmatch.fnmatchcase(path, glob):
                return False
        return True

    def run(
        self,
        call: str,
        path: str,
        do: Callable[[], Any],
        *,
        other: str = "",
        size: int = 0,
        half: Callable[[], object] = lambda: None,
    ) -> Any:
        """Make a call that may be a barrier; ``half`` does the first half of a write."""
        if not (self.watches(call, path) or (other and self.watches(call, other))):
            return do()
        number = self._count()
        refused = self._refused(number, call, path, other, size, half)
        if refused:
            self._note(number, call, path, other, size, refused)
            raise OSError(refused, os.strerror(refused), path)
        try:
            result = do()
        except OSError as error:
            self._note(number, call, path, other, size, error.errno or -1)
            raise
        self._note(number, call, path, other, result if call == "write" else size, 0)
        return result

    def _refused(
        self, number: int, call: str, path: str, other: str, size: int, half: Callable[[], object]
    ) -> int:
        here = number == self.at
        if here and self.action == "kill":
            if self.tear:
                half()
            self._note(number, call, path, other, size, -1)
            self._send(signal.SIGKILL)
        if here and self.action == "signal":
            self._send(self.number)
        after = self.lasting and 0 < self.at < number and call in _ROOM
        return self.number if self.action == "fail" and (here or after) else 0

    def _send(self, number: int) -> None:
        """Signal this process, or the command: the group of the session's leader, and a worker's own."""
        if self.process_only:
            _REAL["kill"](os.getpid(), number)
            return
        if os.getsid(0) != os.getpgrp():
            _REAL["kill"](-os.getsid(0), number)
        _REAL["kill"](0, number)

    def _count(self) -> int:
        """Return the next number: appending is atomic, and the position tells how many were before."""
        counter = _REAL["open"](f"{self.folder}/counter", os.O_WRONLY | os.O_APPEND)
        try:
            _REAL["write"](counter, b".")
            return int(_REAL["lseek"](counter, 0, os.SEEK_CUR))
        finally:
            _REAL["close"](counter)

    def _note(self, number: int, call: str, path: str, other: str, size: int, error: int) -> None:
        record = self._record(number, call, path, other, pid=os.getpid(), error=error, size=size)
        log = _REAL["open"](f"{self.folder}/log", os.O_WRONLY | os.O_APPEND)
        try:
            _REAL["write"](log, record.encode())
        finally:
            _REAL["close"](log)


def _path(given: Any, dir_fd: int | None = None) -> str:
    """Return the absolute path of a path or a descriptor."""
    if isinstance(given, int):
        try:
            return str(Path(f"/proc/self/fd/{given}").readlink())
        except OSError:
            return ""
    folder = Path(f"/proc/self/fd/{dir_fd}").readlink() if dir_fd is not None else Path.cwd()
    return os.path.normpath(folder / os.fsdecode(given))


def _on_path(watcher: Watcher, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def replaced(path: Any, *rest: Any, dir_fd: int | None = None, **named: Any) -> Any:
        if dir_fd is not None:
            named["dir_fd"] = dir_fd
        return watcher.run(call, _path(path, dir_fd), lambda: real(path, *rest, **named))

    return replaced


def _on_two(watcher: Watcher, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def replaced(path: Any, other: Any, **named: Any) -> Any:
        first = _path(path, named.get("src_dir_fd"))
        second = _path(other, named.get("dst_dir_fd", named.get("dir_fd")))
        return watcher.run(call, first, lambda: real(path, other, **named), other=second)

    return replaced


def _symlink(watcher: Watcher, real: Callable[..., Any]) -> Callable[..., Any]:
    def replaced(target: Any, path: Any, *rest: Any, **named: Any) -> Any:
        where = _path(path, named.get("dir_fd"))
        return watcher.run("symlink", where, lambda: real(target, path, *rest, **named))

    return replaced


def _open(watcher: Watcher, real: Callable[..., int]) -> Callable[..., int]:
    def replaced(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        def do() -> int:
            return real(path, flags, *rest, **named)

        if not flags & (os.O_CREAT | os.O_TRUNC):
            return do()
        return int(watcher.run("open", _path(path, named.get("dir_fd")), do))

    return replaced


def _write(watcher: Watcher, real: Callable[..., int]) -> Callable[..., int]:
    def replaced(fd: int, data: Any, *rest: Any) -> int:
        size = sum(map(len, data)) if isinstance(data, (list, tuple)) else memoryview(data).nbytes

        def half() -> None:
            if not isinstance(data, (list, tuple)):
                real(fd, memoryview(data).cast("B")[: size // 2], *rest)

        return int(watcher.run("write", _path(fd), lambda: real(fd, data, *rest), size=size, half=half))

    return replaced


class _Raw(io.FileIO):
    watcher: Watcher

    def write(self, data: Any) -> int:
        def half() -> None:
            super(_Raw, self).write(memoryview(data).cast("B")[: size // 2])

        def do() -> int:
            return super(_Raw, self).write(data)

        size = memoryview(data).nbytes
        return int(self.watcher.run("write", _path(self.fileno()), do, size=size, half=half))

    def truncate(self, size: int | None = None) -> int:
        path = _path(self.fileno())
        return int(self.watcher.run("truncate", path, lambda: super(_Raw, self).truncate(size)))


def _opening(watcher: Watcher, real: Callable[..., Any]) -> Callable[..., Any]:
    def replaced(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        path = _path(file)
        if not set(mode) & set("wax+") or not watcher.watches("open", path):
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        kind = mode.replace("b", "").replace("t", "")

        def do() -> _Raw:
            return _Raw(file, kind, closefd, opener)

        makes = not isinstance(file, int) and bool(set(mode) & set("wax"))
        raw: Any = watcher.run("open", path, do) if makes else do()
        raw.watcher = watcher
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffer = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw, size)
        if "b" in mode:
            return buffer
        text = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode  # type: ignore[misc]  # as the open of Python sets it
        return text

    return replaced


def install() -> None:
    """Replace what changes the disk."""
    watcher = Watcher()
    makers: dict[str, Callable[[Any], Any]] = {
        "open": partial(_open, watcher),
        "symlink": partial(_symlink, watcher),
    }
    for call, names in _NAMES.items():
        maker = _on_two if call in ("rename", "link") else _on_path
        makers |= dict.fromkeys(names, partial(maker, watcher, call))
    makers |= dict.fromkeys(("write", "pwrite", "writev", "pwritev"), partial(_write, watcher))
    for name, make in makers.items():
        real = getattr(os, name, None)
        if real is None:
            continue
        replaced = make(real)
        setattr(os, name, replaced)
        for known in _SETS:
            if real in known:
                known.add(replaced)
    builtins.open = io.open = _opening(watcher, io.open)


_NAMES = {
    "fsync": ("fsync", "fdatasync"),
    "truncate": ("truncate", "ftruncate"),
    "allocate": ("posix_fallocate",),
    "write": ("sendfile",),
    "rename": ("rename", "replace"),
    "link": ("link",),
    "unlink": ("unlink", "remove"),
    "mkdir": ("mkdir",),
    "rmdir": ("rmdir",),
}
