"""No half-written file is ever seen under its final name, whoever is killed at whatever byte."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mml_core.storage import atomic, links

Tell = Callable[[str], None]

SIZE = 50_000
OLD, NEW = b"old" * (SIZE // 3), b"new" * (SIZE // 3)


def in_a_process_killed_at_byte(byte: int, work: Callable[[], object], seen: Callable[[], None]) -> None:
    """Fork; the child dies as soon as it has written ``byte`` bytes, a portion at a time."""
    child = os.fork()
    if child == 0:
        real, left = os.write, byte

        def write(descriptor: int, data: bytes) -> int:
            nonlocal left
            count = real(descriptor, bytes(data)[: min(left, 4096)])
            left -= count
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return count

        os.write = write
        work()
        os._exit(0)
    while True:
        seen()
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
    seen()
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def by_itself(path: Path) -> None:
    """What a library does that is given a path: it opens the file and writes."""
    with atomic.writing(path) as temp, temp.open("wb", buffering=0) as file:
        atomic.write_all(file.fileno(), NEW)


WRITERS = {
    "write_bytes": lambda path: atomic.write_bytes(path, NEW),
    "writing": by_itself,
    "commit_record": lambda path: links.commit_record(NEW, path.with_name(f"private-{os.getpid()}"), path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_g03_a_writer_killed_at_any_byte_leaves_the_old_file_or_none(
    tmp_path: Path, writer: str, chance: random.Random, tell: Tell
) -> None:
    """Each way to write a file is killed at random bytes while a reader polls its final name."""
    points = [1, len(NEW) - 1, len(NEW), *chance.sample(range(2, len(NEW) - 1), 20)]
    reads = 0
    for number, byte in enumerate(points):
        path = tmp_path / str(number) / "file"
        path.parent.mkdir()
        if writer != "commit_record":
            path.write_bytes(OLD)

        def seen(path: Path = path) -> None:
            nonlocal reads
            reads += 1
            content = path.read_bytes() if path.exists() else None
            assert content == (None if writer == "commit_record" else OLD)

        in_a_process_killed_at_byte(byte, lambda path=path: WRITERS[writer](path), seen)
        WRITERS[writer](path)  # what a killed writer left is in nobody's way
        assert path.read_bytes() == NEW
    tell(f"{len(points)} kill points, {reads} reads")


class Reader(threading.Thread):
    """Reads all that projects show, over and over, and keeps the names of files that are not whole."""

    def __init__(self, results: Path) -> None:
        super().__init__()
        self._results = results
        self._ended = threading.Event()
        self.reads = 0
        self.torn: list[Path] = []

    def run(self) -> None:
        while not self._ended.is_set():
            for path in self._results.glob("*/[A-Z]*/**/*.txt"):
                content = path.read_bytes()
                self.reads += 1
                if hashlib.sha256(content[:-32]).digest() != content[-32:]:
                    self.torn.append(path)

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def kill_steps(lab: Any, rounds: int, chance: random.Random, tell: Tell) -> None:
    """Kill the steps of runs at random bytes of what they write, while a reader polls all final names."""
    assert lab.run("big", "big", proj="whole").code == 0
    with Reader(lab.project.results) as reader:
        for number in range(rounds):
            proj = f"p{number}"
            at_bytes = [{"LAB_BYTE": str(chance.randrange(800_000))} for _ in range(3)]
            ended = lab.run("big", "big", proj=proj, env=at_bytes[0])
            assert ended.code == -signal.SIGKILL, ended
            for env in (at_bytes[1], {"LAB_AT": "SIGKILL@committed:big"}, at_bytes[2]):
                assert lab.go_on(proj=proj, env=env).code == -signal.SIGKILL
            assert lab.go_on(proj=proj).code == 0
            assert lab.project.files(proj) == lab.project.files("whole") != {}
    assert reader.torn == []
    tell(f"{4 * rounds} kills, {reader.reads} reads")
    assert reader.reads > 0


def test_g03_no_file_of_a_step_is_seen_half_written(lab: Any, chance: random.Random, tell: Tell) -> None:
    """A step is killed at random bytes and before publication, while a reader polls all final names."""
    kill_steps(lab, 1, chance, tell)


@pytest.mark.long
def test_g03_no_file_of_a_step_is_seen_half_written_in_sixty_kills(
    lab: Any, chance: random.Random, tell: Tell
) -> None:
    """The same in 15 runs, sixty times in all."""
    kill_steps(lab, 15, chance, tell)
