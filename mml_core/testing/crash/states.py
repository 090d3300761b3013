"""The states in which a power loss may leave the disk, and putting one on it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mml_core.testing.crash.disk import Content, Disk, File, Folder, Link, Naming, Node
from mml_core.testing.crash.story import is_commit, step_of_record

Change = Naming | Content


class Loss(Enum):
    """What of that which was not forced to the disk is lost."""

    ALL = "a power loss that leaves only what was forced to the disk"
    DATA = "a power loss that leaves names without their data"
    SOME = "a power loss that leaves some of what was not forced to the disk"


@dataclass(frozen=True)
class State:
    """What is on the disk after a power loss.

    Attributes:
        barrier: The number of the last barrier that the command had passed.
        loss: What was lost.
        changes: What is there of all that was done.
    """

    barrier: int
    loss: Loss
    changes: frozenset[Change]


def states_of(disk: Disk, seed: int) -> Iterator[State]:
    """Yield the states after each barrier, each that is like an earlier one left out.

    Args:
        disk: What the whole command did.
        seed: Decides what of the unsafe changes is there in ``Loss.SOME``.
    """
    known: set[frozenset[Change]] = set()
    for number in sorted({change.barrier.number for change in disk.changes} | set(disk.forced)):
        for loss in Loss:
            state = state_after(disk, number, loss, seed)
            if state.changes not in known:
                known.add(state.changes)
                yield state


def state_after(disk: Disk, number: int, loss: Loss, seed: int) -> State:
    """Return a state in which the disk may be if the power fails after a barrier."""
    draw = random.Random(f"{seed}/{number}")

    def stays(change: Change) -> bool:
        if change.safe_at is not None and change.safe_at <= number:
            return True
        if loss is Loss.SOME:
            return draw.random() < 0.5
        return loss is Loss.DATA and isinstance(change, Naming)

    done = (change for change in disk.changes if change.barrier.number <= number)
    return State(number, loss, frozenset(change for change in done if stays(change)))


def committed_in(disk: Disk, number: int) -> set[str]:
    """Return the steps whose commit was safe after a barrier: those must never be lost."""
    return {
        step_of_record(naming.barrier)
        for naming in disk.namings
        if is_commit(naming.barrier) and naming.safe_at is not None and naming.safe_at <= number
    }


def put(disk: Disk, state: State, root: Path) -> None:
    """Make a folder hold a state, and nothing else.

    Args:
        disk: What the command did.
        state: The state.
        root: The folder; what is in it goes.
    """
    shutil.rmtree(root, ignore_errors=True)
    entries: dict[Folder, dict[str, Node]] = {}
    for naming in disk.namings:
        if naming in state.changes:
            for folder, name, node in naming.names:
                here = entries.setdefault(folder, dict(folder.first))
                if node is None:
                    here.pop(name, None)
                else:
                    here[name] = node
    _put_folder(root, disk.top, entries, state.changes, {})


def _put_folder(
    path: Path,
    folder: Folder,
    entries: dict[Folder, dict[str, Node]],
    changes: Collection[Change],
    linked: dict[File, Path],
) -> None:
    path.mkdir()
    for name, node in entries.get(folder, folder.first).items():
        if isinstance(node, Folder):
            _put_folder(path / name, node, entries, changes, linked)
        elif isinstance(node, Link):
            if node.origin is not None:
                (path / name).symlink_to(node.origin.readlink())
        elif node in linked:
            os.link(linked[node], path / name)
        else:
            linked[node] = path / name
            _put_file(path / name, node, changes)


def _put_file(path: Path, file: File, changes: Collection[Change]) -> None:
    done = [content.barrier for content in file.changes if content in changes]
    if file.origin is not None and not done:
        shutil.copy2(file.origin, path)  # with its times, by which caches know it
        return
    data = bytearray(file.origin.read_bytes() if file.origin is not None else b"")
    for barrier in done:
        if barrier.call == "open":
            data.clear()
        elif barrier.call == "write":
            _grow(data, barrier.offset)
            data[barrier.offset : barrier.offset + len(barrier.data)] = barrier.data
        elif barrier.call == "truncate":
            del data[barrier.size :]
            _grow(data, barrier.size)
        else:
            _grow(data, barrier.offset + barrier.size)
    path.write_bytes(data)


def _grow(data: bytearray, size: int) -> None:
    data.extend(bytes(max(0, size - len(data))))
