"""The attempt folders of a run: each attempt at a step gets its own, and takes over what a dead one left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mml_core.files.folders import remove_folder, retire_attempt
from mml_core.storage.atomic import make_dirs

_CHECKPOINTS = "checkpoints"
_INHERITED = "inherited"
_DEAD = ".dead-"


@dataclass(frozen=True)
class AttemptFolder:
    """Where one attempt at a step works.

    Attributes:
        path: Its private folder.
        number: Which attempt at the step it is, from 1.
        checkpoints: Checkpoint folders of earlier attempts, newest first.
    """

    path: Path
    number: int
    checkpoints: tuple[Path, ...] = field(default=())


class Attempts:
    """The attempts of one run, in ``.mml/attempts/<run>/<step>.<n>``.

    Who begins an attempt holds the claim of the step, or that of the run where no other process may work on
    it: so every folder found is that of a dead, failed or fenced attempt.

    Args:
        root: ``.mml/attempts/<run>``.
        step: The one step whose attempts are looked at; None for all.
    """

    def __init__(self, root: Path, step: str | None = None) -> None:
        self.root = root
        self._left: dict[str, list[str]] = {}
        for name in _names(root):
            if step in (None, step_of(name)):
                self._left.setdefault(step_of(name), []).append(name)

    def left(self) -> dict[str, list[Path]]:
        """Folders of earlier attempts by step id."""
        return {step: [self.root / name for name in names] for step, names in self._left.items()}

    def leave(self, steps: Iterable[str]) -> None:
        """Leave out the attempts at steps that other processes hold."""
        for step in steps:
            self._left.pop(step, None)

    def fence(self) -> None:
        """Rename the folders of all earlier attempts away: a writer that still lives cannot commit then."""
        for step, names in self._left.items():
            moved = [name if _DEAD in name else _retired(self.root / name) for name in names]
            self._left[step] = [name for name in moved if name is not None]

    def begin(self, step: str) -> AttemptFolder:
        """Make the folder of a new attempt, which is nobody else's; earlier ones are taken over."""
        names = self._left.pop(step, [])
        number = max(map(_number, names), default=0) + 1
        folder = self.root / f"{step}.{number}"
        try:
            folder.mkdir()
        except FileNotFoundError:
            make_dirs(self.root)
            folder.mkdir()
        self._left[step] = [folder.name]
        return AttemptFolder(folder, number, self._take_over(names, folder) if names else ())

    def forget(self, step: str) -> None:
        """Note that the step is committed and its folder gone."""
        self._left.pop(step, None)

    def _take_over(self, names: list[str], folder: Path) -> tuple[Path, ...]:
        retired = []
        for name in sorted(names, key=_number, reverse=True):
            moved = name if _DEAD in name else _retired(self.root / name)
            if moved is not None:
                retired.append(self.root / moved)
        inherited: list[Path] = []
        for dead in retired:
            older = sorted((dead / _INHERITED).iterdir()) if (dead / _INHERITED).is_dir() else []
            for source in (dead / _CHECKPOINTS, *older):
                if source.is_dir():
                    target = folder / _INHERITED / f"{len(inherited):04d}"
                    target.parent.mkdir(exist_ok=True)
                    source.rename(target)
                    inherited.append(target)
        for dead in retired:
            remove_folder(dead)
        return tuple(inherited)


def unpublished(root: Path) -> set[str]:
    """Return the steps that have an attempt's folder: under way, dead, or committed and not yet published."""
    return {step_of(name) for name in _names(root)}


def step_of(name: str) -> str:
    """Return the step of an attempt's folder."""
    return name.partition(".")[0]


def _names(root: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in root.iterdir())
    except FileNotFoundError:
        return []


def _retired(folder: Path) -> str | None:
    moved = retire_attempt(folder)
    return moved.name if moved is not None else None


def _number(name: str) -> int:
    return int(name.split(".")[1])
