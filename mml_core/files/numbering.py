"""Numbers of files: never shared, never reused, and found in time that does not grow with their count."""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mml_core.storage.atomic import create_file, fsync_dir, make_dirs, write_bytes
from mml_core.storage.errors import named_failures
from mml_core.storage.hashing import sha256_bytes
from mml_core.storage.links import link_exclusive

_HINT = "newest"
_INTENTS = ".by"


@dataclass(frozen=True)
class Slot:
    """A sequence of numbers: those of one key and one task (as folder name)."""

    key: str
    task: str


@dataclass(frozen=True)
class Reserved:
    """What was reserved, and the time (microseconds) every earlier number of these slots was made before."""

    numbers: list[int]
    not_before: int


class Numbers:
    """The numbers of a project.

    A number is a file ``<key>/<task>/<NNNN>`` that holds the identity of who reserved it, put in place by an
    exclusive link. It stays for good, so that a number is never given twice. Where to look first says a hint
    beside it, which may be stale, lost or damaged. What an identity is about to reserve it notes first, so
    that its successor after a kill gets the same numbers.

    Args:
        root: Where they are kept.
        made: Tells when (microseconds) the newest file of a slot was made; asked where the hint is lost.
    """

    def __init__(self, root: Path, made: Callable[[Slot], int] = lambda slot: 0) -> None:
        self.root = root
        self._made = made

    def reserve(self, identity: str, wanted: list[Slot]) -> Reserved:
        """Reserve a number for each wanted slot, or return those the same identity had reserved.

        Args:
            identity: Who reserves: a run and its step. Two attempts at one step have one identity.
            wanted: The slots, in an order that is the same in each attempt.

        Raises:
            WriteFailedError: The disk is full, broken or read-only.
        """
        if not wanted:
            return Reserved([], 0)
        with named_failures(self.root):
            return self._reserve(identity, wanted)

    def _reserve(self, identity: str, wanted: list[Slot]) -> Reserved:
        intent = self._intent(identity)
        noted = _read_intent(intent, wanted)
        numbers = [noted.get(index, 0) for index in range(len(wanted))]
        hints = {slot: self._hint(slot) for slot in dict.fromkeys(wanted)}
        fresh = [index for index, number in enumerate(numbers) if not number]
        for index in fresh:
            numbers[index] = self._next(wanted, numbers, index, hints[wanted[index]][0])
        content = msgspec.json.encode({"identity": identity})
        make_dirs(self.root)
        private = self.root / f".{secrets.token_hex(8)}"
        create_file(private, content)
        try:
            if fresh:
                _write_intent(intent, wanted, numbers)
            for index, slot in enumerate(wanted):
                while not self._take(private, slot, numbers[index], content):
                    numbers[index] = self._next(wanted, numbers, index, numbers[index])
                    _write_intent(intent, wanted, numbers)
        finally:
            with suppress(FileNotFoundError):
                private.unlink()
        not_before = max(stamp for _, stamp in hints.values())
        for slot in hints:
            fsync_dir(self._folder(slot))
        return Reserved(numbers, not_before)

    def advance(self, wanted: list[Slot], numbers: list[int], stamp: int) -> None:
        """Move the hints past what was reserved.

        Args:
            wanted: The slots.
            numbers: What was reserved in them.
            stamp: When it was made, in microseconds.
        """
        for slot in dict.fromkeys(wanted):
            newest = max(number for other, number in zip(wanted, numbers, strict=True) if other == slot)
            temp = self._folder(slot) / f".{secrets.token_hex(8)}"
            newest = max(newest, self._hint(slot)[0])
            try:
                temp.write_text(f"{newest} {stamp} {_check(slot, newest, stamp)}")
                temp.replace(self._folder(slot) / _HINT)
            except OSError:  # a hint that is lost costs time, nothing else
                with suppress(OSError):
                    temp.unlink()

    def forget(self, identity: str) -> None:
        """Drop the note of an identity whose files are published."""
        with suppress(FileNotFoundError):
            self._intent(identity).unlink()

    def _folder(self, slot: Slot) -> Path:
        return self.root / slot.key / slot.task

    def _intent(self, identity: str) -> Path:
        return self.root / _INTENTS / f"{sha256_bytes(identity.encode())[:32]}.json"

    def _hint(self, slot: Slot) -> tuple[int, int]:
        folder = self._folder(slot)
        try:
            newest, stamp, check = (int(word) for word in (folder / _HINT).read_text().split())
            if check == _check(slot, newest, stamp) and self._exists(slot, newest):
                return newest, stamp
        except (FileNotFoundError, ValueError):
            pass
        return self._search(slot), self._made(slot)

    def _search(self, slot: Slot) -> int:
        """Find, without the hint, a number with a free successor in logarithmic time."""
        low, high = 0, 1
        while self._exists(slot, high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._exists(slot, middle) else (low, middle)
        return low

    def _exists(self, slot: Slot, number: int) -> bool:
        return os.path.lexists(self._folder(slot) / f"{number:04d}")

    def _next(self, wanted: list[Slot], numbers: list[int], index: int, after: int) -> int:
        own = {
            number
            for other, number in enumerate(numbers)
            if other != index and wanted[other] == wanted[index]
        }
        candidate = after + 1
        while candidate in own or self._exists(wanted[index], candidate):
            candidate += 1
        return candidate

    def _take(self, private: Path, slot: Slot, number: int, content: bytes) -> bool:
        target = self._folder(slot) / f"{number:04d}"
        try:
            taken = link_exclusive(private, target)
        except FileNotFoundError:
            make_dirs(target.parent)
            taken = link_exclusive(private, target)
        return taken or target.read_bytes() == content


def _check(slot: Slot, newest: int, stamp: int) -> int:
    return zlib.crc32(f"{slot.key} {slot.task} {newest} {stamp}".encode())


def _read_intent(path: Path, wanted: list[Slot]) -> dict[int, int]:
    try:
        noted: list[Any] = msgspec.json.decode(path.read_bytes(), type=list[tuple[str, str, int]])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
    return {
        index: number
        for index, ((key, task, number), slot) in enumerate(zip(noted, wanted, strict=False))
        if Slot(key, task) == slot and number > 0
    }


def _write_intent(path: Path, wanted: list[Slot], numbers: list[int]) -> None:
    rows = [(slot.key, slot.task, number) for slot, number in zip(wanted, numbers, strict=True)]
    write_bytes(path, msgspec.json.encode(rows))
