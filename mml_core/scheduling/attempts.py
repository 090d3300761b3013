"""The attempt folders of a run: each attempt at a step gets its own, and takes over what a dead one left."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mml_core.files.attempts import remove_folder, retire_attempt

_CHECKPOINTS = "checkpoints"
_INHERITED = "inherited"


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

    Only the holder of the run's lease makes attempts in its own process, so that every folder found is that
    of a dead or failed attempt. A pilot would put a lease of its own into the folder it makes.

    Args:
        root: ``.mml/attempts/<run>``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._left: dict[str, list[str]] = {}
        try:
            names = sorted(entry.name for entry in root.iterdir())
        except FileNotFoundError:
            names = []
        for name in names:
            self._left.setdefault(name.partition(".")[0], []).append(name)

    def left(self) -> dict[str, list[Path]]:
        """Folders of earlier attempts by step id."""
        return {step: [self.root / name for name in names] for step, names in self._left.items()}

    def begin(self, step: str) -> AttemptFolder:
        """Return the folder of a new attempt, which the file manager makes; earlier ones are taken over."""
        names = self._left.pop(step, None)
        number = 1 if names is None else max(map(_number, names)) + 1
        self._left[step] = [f"{step}.{number}"]
        folder = self.root / f"{step}.{number}"
        if names is None:
            return AttemptFolder(folder, number)
        return AttemptFolder(folder, number, self._take_over(names, folder))

    def forget(self, step: str) -> None:
        """Note that the step is committed and its folder gone."""
        self._left.pop(step, None)

    def _take_over(self, names: list[str], folder: Path) -> tuple[Path, ...]:
        retired = []
        for name in sorted(names, key=_number, reverse=True):
            dead = self.root / name
            moved = dead if ".dead-" in name else retire_attempt(dead)
            if moved is not None:
                retired.append(moved)
        folder.mkdir()
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


def _number(name: str) -> int:
    return int(name.split(".")[1])
