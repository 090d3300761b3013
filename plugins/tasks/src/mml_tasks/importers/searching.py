"""Finding the images below a folder, links followed, and telling the user of all that was left out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from mml_core.api import CreationError, near_matches

_SHOWN = 3


@dataclass
class LeftOut:
    """What was found and not taken.

    Attributes:
        files: Files that are no images.
        empty: Folders without an image; of one in another only the outer.
        repeated: Folders that were read under another name already, as links lead there.
    """

    files: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    repeated: list[Path] = field(default_factory=list)

    def warnings(self) -> Iterator[str]:
        """Yield one line for each kind of thing that was left out."""
        for kind, paths in (
            ("files that are no images", self.files),
            ("folders without an image", self.empty),
            ("folders that were read under another name", self.repeated),
        ):
            if paths:
                shown = ", ".join(path.name for path in paths[:_SHOWN])
                yield f"Left out {len(paths)} {kind}: {shown}{', …' if len(paths) > _SHOWN else '.'}"


def images_below(folder: Path, left_out: LeftOut) -> list[Path]:
    """Return all images below a folder, sorted; what is hidden is passed over.

    Raises:
        CreationError: There is no such folder, or one in it cannot be read.
    """
    from mml_core.api import IMAGE_SUFFIXES

    if not folder.is_dir():
        candidates = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise CreationError(f"There is no folder {folder}.{near_matches(folder.name, candidates)}")
    found, folders = [], []
    seen = {_identity(folder)}
    for root, below, names in os.walk(folder, followlinks=True, onerror=_refuse):
        here = Path(root)
        visible = [here / name for name in below if not name.startswith(".")]
        visible.sort(key=lambda path: (path.is_symlink(), path.name))  # a folder comes before links to it
        below.clear()
        for path in visible:
            if _identity(path) in seen:
                left_out.repeated.append(path)
                continue
            seen.add(_identity(path))
            below.append(path.name)
            folders.append(path)
        for name in sorted(names):
            if not name.startswith("."):
                kept = found if Path(name).suffix.lower() in IMAGE_SUFFIXES else left_out.files
                kept.append(here / name)
    holding = {parent for path in found for parent in path.parents} | {folder}
    left_out.empty += [path for path in folders if path not in holding and path.parent in holding]
    return sorted(found)


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _refuse(error: OSError) -> NoReturn:
    raise CreationError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error
