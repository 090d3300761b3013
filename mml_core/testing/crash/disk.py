"""A model of the disk: what is changed and what is safe, replayed from the write barriers of a command."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from mml_core.testing.crash.barriers import Barrier

_EXCHANGE = 2


@dataclass(eq=False)
class File:
    """An inode of a file.

    Attributes:
        origin: Where its first content lies; None where it began empty.
        changes: What was done to its content, in order.
    """

    origin: Path | None = None
    changes: list[Content] = field(default_factory=list)


@dataclass(eq=False)
class Folder:
    """An inode of a folder.

    Attributes:
        first: Its entries at the beginning.
        entries: Its entries now.
        unsafe: What was done to its entries since they were forced to the disk.
    """

    first: dict[str, Node] = field(default_factory=dict)
    entries: dict[str, Node] = field(default_factory=dict)
    unsafe: list[Naming] = field(default_factory=list)


@dataclass(eq=False)
class Link:
    """An inode of a symbolic link.

    Attributes:
        origin: One that leads to the same; None where it was made later, and where it leads is not known.
    """

    origin: Path | None = None


Node: TypeAlias = File | Folder | Link


@dataclass(eq=False)
class Content:
    """A change of what a file holds.

    Attributes:
        barrier: What made it.
        safe_at: The number of the barrier that forced it to the disk; None: none did.
    """

    barrier: Barrier
    safe_at: int | None = None


@dataclass(eq=False)
class Naming:
    """A change of names, which happens as a whole or not at all.

    Attributes:
        barrier: What made it.
        names: Folder, name, and what the name stands for then; None: it is gone.
        safe_at: The number of the barrier that forced it to the disk; None: none did.
    """

    barrier: Barrier
    names: list[tuple[Folder, str, Node | None]]
    safe_at: int | None = None


class Disk:
    """Replays barriers over what was there before.

    Args:
        root: The folder that is watched.
        before: What was in it, all of it safe.
        barriers: What a command did, in order.

    Attributes:
        top: The folder at ``root``.
        namings: All changes of names, in order.
        contents: All changes of contents, in order.
        forced: The numbers of the barriers that forced something to the disk.
    """

    def __init__(self, root: Path, before: Folder, barriers: Iterable[Barrier]) -> None:
        self.root = root
        self.top = before
        self.namings: list[Naming] = []
        self.contents: list[Content] = []
        self.forced: list[int] = []
        self._inodes: dict[int, Node] = {}
        for barrier in barriers:
            if barrier.number and barrier.done:
                getattr(self, f"_{barrier.call}")(barrier)

    @property
    def changes(self) -> Iterator[Naming | Content]:
        """All that was done, names before contents."""
        yield from self.namings
        yield from self.contents

    def node(self, path: str) -> Node | None:
        """Return what a path stands for now."""
        here: Node | None = self.top
        for part in self._parts(path):
            here = here.entries.get(part) if isinstance(here, Folder) else None
        return here

    def _parts(self, path: str) -> tuple[str, ...]:
        return PurePosixPath(path).relative_to(self.root.as_posix()).parts

    def _place(self, path: str) -> tuple[Folder, str] | None:
        """Return the folder and the name of a path; None where it is outside or its folder is not known."""
        if not PurePosixPath(path).is_relative_to(self.root.as_posix()) or path == str(self.root):
            return None
        folder = self.node(str(PurePosixPath(path).parent))
        return (folder, PurePosixPath(path).name) if isinstance(folder, Folder) else None

    def _name(self, barrier: Barrier, *names: tuple[str, Node | None]) -> None:
        changes: list[tuple[Folder, str, Node | None]] = []
        for path, node in names:
            place = self._place(path)
            if place is None:
                continue
            folder, name = place
            if node is None:
                folder.entries.pop(name, None)
            else:
                folder.entries[name] = node
            changes.append((folder, name, node))
        naming = Naming(barrier, changes)
        self.namings.append(naming)
        for folder, _, _ in changes:
            folder.unsafe.append(naming)

    def _notice(self, barrier: Barrier, path: str) -> None:
        """Take in that a file has a name that nobody saw it get: some code calls the kernel directly."""
        node, place = self._inodes.get(barrier.inode), self._place(path)
        if not barrier.inode or not isinstance(node, File) or path.endswith(" (deleted)"):
            return
        if place is None or place[1] in place[0].entries:
            return
        parent = PurePosixPath(path).parent
        gone = [str(parent / name) for name, other in place[0].entries.items() if other is node]
        renamed = Barrier(barrier.number, "rename", gone[0] if gone else path, path, inode=barrier.inode)
        self._name(renamed, *((name, None) for name in gone), (path, node))

    def _file(self, barrier: Barrier) -> File | None:
        self._notice(barrier, barrier.path)
        found = self._inodes.get(barrier.inode) if barrier.inode else None
        if not isinstance(found, File):
            place = self._place(barrier.path)
            found = place[0].entries.get(place[1]) if place is not None else None
            if isinstance(found, File) and barrier.inode:
                self._inodes[barrier.inode] = found
        return found if isinstance(found, File) else None

    def _change(self, barrier: Barrier) -> None:
        file = self._file(barrier)
        if file is not None:
            content = Content(barrier)
            file.changes.append(content)
            self.contents.append(content)

    def _open(self, barrier: Barrier) -> None:
        place = self._place(barrier.path)
        if place is None:
            return
        known = place[0].entries.get(place[1])
        if known is None:
            known = File()
            self._name(barrier, (barrier.path, known))
        if barrier.inode:
            self._inodes[barrier.inode] = known
        if barrier.flags & os.O_TRUNC and isinstance(known, File) and (known.origin or known.changes):
            self._change(barrier)

    def _mkdir(self, barrier: Barrier) -> None:
        made = Folder()
        self._inodes[barrier.inode] = made
        self._name(barrier, (barrier.path, made))

    def _symlink(self, barrier: Barrier) -> None:
        self._name(barrier, (barrier.path, Link()))

    def _unlink(self, barrier: Barrier) -> None:
        self._name(barrier, (barrier.path, None))

    _rmdir = _unlink

    def _link(self, barrier: Barrier) -> None:
        self._notice(barrier, barrier.path)
        place = self._place(barrier.path)
        node = place[0].entries.get(place[1]) if place is not None else None
        self._name(barrier, (barrier.other, node or self._inodes.get(barrier.inode) or File()))

    def _rename(self, barrier: Barrier) -> None:
        self._notice(barrier, barrier.path)
        places = [self._place(path) for path in (barrier.path, barrier.other)]
        first, second = (place[0].entries.get(place[1]) if place else None for place in places)
        given_back = second if barrier.flags & _EXCHANGE else None
        self._name(barrier, (barrier.path, given_back), (barrier.other, first or File()))

    def _write(self, barrier: Barrier) -> None:
        self._change(barrier)

    _truncate = _allocate = _write

    def _fsync(self, barrier: Barrier) -> None:
        self.forced.append(barrier.number)
        file = self._file(barrier)
        if file is not None:
            for content in reversed(file.changes):
                if content.safe_at is not None:
                    break
                content.safe_at = barrier.number
            return
        inside = PurePosixPath(barrier.path).is_relative_to(self.root.as_posix())
        folder = self._inodes.get(barrier.inode) or (self.node(barrier.path) if inside else None)
        if isinstance(folder, Folder):
            for naming in folder.unsafe:
                naming.safe_at = naming.safe_at or barrier.number
            folder.unsafe.clear()


def folder_of(path: Path) -> Folder:
    """Return what lies in a folder now as the safe beginning of a replay."""
    first: dict[str, Node] = {}
    if path.is_dir():
        for entry in path.iterdir():
            if entry.is_symlink():
                first[entry.name] = Link(entry)
            else:
                first[entry.name] = folder_of(entry) if entry.is_dir() else File(origin=entry)
    return Folder(first, dict(first))


def nodes_below(node: Node | None) -> Iterator[Node]:
    """Yield a node and, where it is a folder, all that is in it."""
    if node is not None:
        yield node
    if isinstance(node, Folder):
        for each in node.entries.values():
            yield from nodes_below(each)
