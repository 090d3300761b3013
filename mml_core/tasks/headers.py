"""The headers of the tasks in one folder, remembered in a cache that may vanish at any time."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from mml_core.tasks.description import HEADER_FILE, TaskHeader, decode_header
from mml_core.tasks.errors import DamagedTaskError

_MAGIC = b"mml task index 1\n"
_RACY_NS = 50_000_000
"""A file changed this shortly before it was read may change again with the same time on it."""


Entry = tuple[int, int, int, int, int]
"""A header file's time of change (ns), size and inode: while these hold, so does what was read of it;
then where that stands among the bytes of the cache, and its crc."""


_decoder = msgspec.msgpack.Decoder(dict[str, Entry])


class HeaderCache:
    """What all header files of a folder held when they were last read: a table of entries, and the bytes.

    A header's bytes are checked and decoded only when it is asked for, so that loading costs little.

    Args:
        path: The cache file; where it is missing or damaged, nothing is known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._start = 0
        self._bytes: bytes | None = None
        with suppress(OSError, msgspec.DecodeError), path.open("rb") as file:
            prefix = file.read(len(_MAGIC) + 8)
            table = file.read(int.from_bytes(prefix[-8:-4], "big"))
            if prefix.startswith(_MAGIC) and zlib.crc32(table) == int.from_bytes(prefix[-4:], "big"):
                self.entries = _decoder.decode(table)
                self._start = len(prefix) + len(table)

    def bytes_of(self, entry: Entry) -> bytes | None:
        """The bytes of a header; None where the cache no longer holds what it held."""
        if self._bytes is None:
            self._bytes = b""
            with suppress(OSError):
                self._bytes = self.path.read_bytes()
        start = self._start + entry[3]
        found = self._bytes[start : start + entry[1]]
        return found if zlib.crc32(found) == entry[4] else None

    @staticmethod
    def write(path: Path, headers: dict[str, tuple[Entry, bytes]]) -> None:
        """Replace the cache; where that cannot be done, there is none."""
        settled = time.time_ns() - _RACY_NS
        entries, chunks, offset = {}, [], 0
        for name, (entry, data) in headers.items():
            if entry[0] < settled:
                entries[name] = (*entry[:3], offset, zlib.crc32(data))
                chunks.append(data)
                offset += len(data)
        temp = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(OSError, UnicodeEncodeError):  # a read-only data folder has no cache
            table = msgspec.msgpack.encode(entries)
            prefix = len(table).to_bytes(4, "big") + zlib.crc32(table).to_bytes(4, "big")
            path.parent.mkdir(parents=True, exist_ok=True)
            temp.write_bytes(b"".join([_MAGIC, prefix, table, *chunks]))
            temp.replace(path)


class HeaderFolder:
    """All headers ``<folder>/<task>/task.json``, found at the cost of one stat each.

    Args:
        folder: Holds one folder per task.
        cache: The cache file; deleting or damaging it costs time only.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self._cache_path = cache
        self._cache: HeaderCache | None = None
        self._known: dict[str, Entry] = {}
        self._read: dict[str, bytes] = {}
        self._damaged: set[str] = set()

    def names(self) -> list[str]:
        """The names of all tasks in the folder, sorted; damaged ones are among them."""
        return sorted({*self._scan(), *self._damaged})

    def get(self, name: str) -> TaskHeader | None:
        """The header of a task as it is on disk now, at the cost of reading it; None where there is none.

        Raises:
            DamagedTaskError: The header cannot be read, is no file, or names another task.
            NewerSchemaError: It was written by a newer mml.
        """
        path = f"{self.folder}/{name}/{HEADER_FILE}"
        try:
            _, data = _read_header(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DamagedTaskError(
                f"The task header {path} cannot be read ({error.strerror}): put that right, or remove the "
                "folder it is in."
            ) from error
        return _decode(name, data, path)

    def headers(self) -> Iterator[tuple[str, TaskHeader | DamagedTaskError]]:
        """All headers by name, in order; where one cannot be read, the error that says so."""
        for name in self.names():
            path = f"{self.folder}/{name}/{HEADER_FILE}"
            try:
                data = self._read.get(name) or self._remembered(name)
                header = _decode(name, data, path) if data is not None else self.get(name)
            except DamagedTaskError as error:
                yield name, error
            else:
                if header is not None:
                    yield name, header

    def refresh(self) -> None:
        """Look at the folder again on the next question."""
        self._cache = None

    def _remembered(self, name: str) -> bytes | None:
        if self._cache is None or name in self._damaged:
            return None
        return self._cache.bytes_of(self._known[name])

    def _scan(self) -> dict[str, Entry]:
        if self._cache is None:
            self._cache = HeaderCache(self._cache_path)
            self._known, self._read, self._damaged = _scan_folder(self.folder, self._cache.entries)
            if self._known.keys() != self._cache.entries.keys() or self._read:
                self._write_cache(self._cache)
        return self._known

    def _write_cache(self, old: HeaderCache) -> None:
        headers = {}
        for name, entry in self._known.items():
            data = self._read.get(name) or old.bytes_of(entry)
            if data is not None:
                headers[name] = (entry, data)
        HeaderCache.write(self._cache_path, headers)


def _scan_folder(
    folder: Path, known: dict[str, Entry]
) -> tuple[dict[str, Entry], dict[str, bytes], set[str]]:
    """Return an entry for every task in ``folder``, the bytes of those not as known, and what is damaged."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return {}, {}, set()
    except OSError as error:
        raise DamagedTaskError(
            f"The folder {folder} cannot be read ({error.strerror}): put that right."
        ) from error
    entries = dict(known)
    read: dict[str, bytes] = {}
    damaged: set[str] = set()
    stat = os.stat
    try:
        names = os.listdir(descriptor)  # noqa: PTH208 - relative to one descriptor, ten thousand times
        for name in known.keys() - set(names):
            del entries[name]
        for name in names:
            if name[0] == ".":
                continue  # what a creator has not published yet
            path = name + "/" + HEADER_FILE
            entry = known.get(name)
            try:
                if entry is not None:
                    found = stat(path, dir_fd=descriptor)
                    if (
                        found.st_mtime_ns == entry[0]
                        and found.st_size == entry[1]
                        and found.st_ino == entry[2]
                    ):
                        continue
                entries[name], read[name] = _read_header(path, descriptor)
            except (FileNotFoundError, NotADirectoryError):
                entries.pop(name, None)  # a file, or a folder that holds no task
            except OSError:
                entries.pop(name, None)
                damaged.add(name)
    finally:
        os.close(descriptor)
    return entries, read, damaged


def _read_header(path: str, folder: int | None = None) -> tuple[Entry, bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK, dir_fd=folder)  # a named pipe must not block
    try:
        status = os.fstat(descriptor)
        data = os.read(descriptor, status.st_size)
    finally:
        os.close(descriptor)
    return (status.st_mtime_ns, status.st_size, status.st_ino, 0, 0), data


def _decode(name: str, data: bytes, path: str) -> TaskHeader:
    header = decode_header(data, path)
    if header.name != name:
        raise DamagedTaskError(f"The task header {path} is that of '{header.name}': rename its folder back.")
    return header
