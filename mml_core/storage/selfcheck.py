"""What a file system keeps of what mml relies on, tried in a private folder on it."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mml_core.errors import MMLError
from mml_core.storage import probes


class SelfCheckError(MMLError):
    """The place to check is no folder that can be written to."""


@dataclass(frozen=True)
class Finding:
    """What was found of one guarantee.

    Attributes:
        guarantee: What was tried.
        holds: Whether it holds here.
        needed: Whether mml cannot work without it.
        means: What that means for a user.
        detail: What was seen, where there is more to say.
    """

    guarantee: str
    holds: bool
    needed: bool
    means: str
    detail: str = ""


@dataclass(frozen=True)
class _Check:
    guarantee: str
    run: Callable[[Path], str]
    needed: bool
    good: str
    bad: str

    def find(self, folder: Path) -> Finding:
        folder.mkdir()
        try:
            detail = self.run(folder)
        except (OSError, MMLError, subprocess.SubprocessError, probes.NotKeptError) as error:
            return Finding(self.guarantee, False, self.needed, self.bad, " ".join(str(error).split()))
        return Finding(self.guarantee, True, self.needed, self.good, detail)


def check_storage(place: Path) -> list[Finding]:
    """Try every guarantee in a private folder below a place; nothing is left of it.

    Args:
        place: A folder on the file system.

    Raises:
        SelfCheckError: It is no folder, or cannot be written to.
    """
    with _private(place) as folder:
        return [check.find(folder / f"{number:02d}") for number, check in enumerate(_CHECKS)]


@contextmanager
def _private(place: Path) -> Iterator[Path]:
    folder = place / f".mml-doctor-{secrets.token_hex(8)}"
    try:
        folder.mkdir()
    except OSError as error:
        raise SelfCheckError(
            f"'{place}' cannot be checked: {(error.strerror or str(error)).lower()}; name a folder that "
            "exists and can be written to."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_CHECKS = (
    _Check(
        "exclusive create", probes.exclusive_create, True, "a name is given once", "two runs may share a name"
    ),
    _Check(
        "hard links, and a second one fails",
        probes.hard_links,
        True,
        "a step is committed once, whoever runs it twice",
        "nothing can be committed here: put results elsewhere",
    ),
    _Check(
        "inode numbers tell files apart",
        probes.inodes,
        True,
        "a lost reply of a file server is not taken for a lost race",
        "after a lost reply nobody knows who committed",
    ),
    _Check(
        "two processes race for one link",
        probes.racing,
        True,
        "one of many starters wins",
        "two processes may both believe that they won",
    ),
    _Check(
        "rename over a file at once",
        probes.rename_over,
        True,
        "no reader sees a file half-written",
        "readers may see half of a file",
    ),
    _Check(
        "rename of a folder to a free name only",
        probes.publication,
        True,
        "datasets and stores appear whole or not at all",
        "datasets may be seen half-made or be overwritten",
    ),
    _Check(
        "exchange of two folders",
        probes.exchange_of_folders,
        False,
        "a dataset is replaced with no moment without one",
        "while a dataset is replaced it is missing for a moment",
    ),
    _Check(
        "fsync of files",
        probes.fsync_files,
        True,
        "content outlives a power loss, as far as the disk keeps its word",
        "a power loss may take what was committed",
    ),
    _Check(
        "fsync of folders",
        probes.fsync_folders,
        True,
        "names outlive a power loss, as far as the disk keeps its word",
        "a power loss may take what was committed",
    ),
    _Check(
        "writes in place are seen",
        probes.in_place,
        True,
        "heartbeats show that a run lives",
        "a live run may be taken for dead",
    ),
    _Check(
        "appending by two processes",
        probes.appending,
        False,
        "log files of several processes lose no line",
        "log files may lose lines; results do not depend on it",
    ),
    _Check(
        "memory maps",
        probes.mapping,
        True,
        "stores of samples are shared by all loader workers",
        "preprocessed tasks cannot be read here",
    ),
    _Check(
        "what was renamed away cannot be linked",
        probes.fencing,
        True,
        "a writer that lost its lease cannot commit",
        "a writer that lost its lease may still commit",
    ),
    _Check(
        "take-over of a killed process's lease",
        probes.take_over,
        True,
        "a killed run is continued at once, with nothing to delete by hand",
        "a killed run may have to be waited for",
    ),
    _Check(
        "case of names counts",
        probes.case,
        False,
        "tasks whose names differ by case only are two",
        "do not use tasks whose names differ by case only",
    ),
    _Check(
        "clock of the file system",
        probes.clock,
        False,
        "times of files are those of this machine",
        "times of files are off; indexes are made anew more often",
    ),
    _Check(
        "free space of 1 GiB",
        probes.space,
        False,
        "there is room",
        "a step that finds no room fails; free some, then continue the run",
    ),
)
