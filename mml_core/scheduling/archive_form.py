"""The form of an archive of a project: a tar file, its manifest first, and which names may be in it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import msgspec

from mml_core.config.run_directory import RUNS
from mml_core.errors import MMLError
from mml_core.files.artefacts import RECORD_NAME
from mml_core.files.names import file_name_problem

MANIFEST = "mml-project.json"
FORMAT = 1
SUFFIXES = (".tar", ".tar.gz", ".tgz")

_RUN_FILES = ("run.json", "config.yaml", "plan.json", "done.json")
_RUN_FOLDERS = ("steps", "environments", "failures")
_NUMBER = re.compile(r"\d{4,}|newest")


class ArchiveError(MMLError):
    """A project cannot be packed, or a file is no archive that can be trusted."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A file of the archive: its size in bytes and the hash of its content."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds.

    Attributes:
        project: The name of the project.
        files: Path in the project to what it holds.
        mml: The version that packed it.
        format: The version of this very form.
    """

    project: str
    files: dict[str, Entry]
    mml: str
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files.values())


def check_suffix(path: Path) -> bool:
    """Return whether an archive of this name is compressed.

    Raises:
        ArchiveError: The name has no suffix of an archive.
    """
    if not path.name.endswith(SUFFIXES):
        raise ArchiveError(f"'{path}' is no name for an archive; let it end in {', '.join(SUFFIXES)}.")
    return not path.name.endswith(".tar")


def name_problem(name: str) -> str:
    """Return what is wrong with the name of a file in an archive, or an empty string."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or "/".join(parts) != name or not parts or ".." in parts:
        return "leads out of the project"
    for part in parts[1:] if parts[0] == ".mml" else parts:
        if problem := file_name_problem(part):
            return problem
    if parts[0] == ".mml" and len(parts) > 1:
        placed = len(parts) == 5 or (len(parts) == 6 and parts[4] == "history" and parts[1] == "artefacts")
        form = {"artefacts": RECORD_NAME, "numbers": _NUMBER}.get(parts[1])
        return "" if placed and form is not None and form.fullmatch(parts[-1]) else "is no record of a file"
    if parts[0] == RUNS:
        at_top = len(parts) == 3 and parts[2] in _RUN_FILES
        below = len(parts) == 4 and parts[2] in _RUN_FOLDERS and parts[3].endswith(".json")
        return "" if at_top or below else "is no record of a run"
    return "" if len(parts) > 1 else "lies in no folder"
