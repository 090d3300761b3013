"""Faults that the write barriers of a command show by themselves, whether or not a kill hits the moment."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath

from mml_core.testing.crash.barriers import Barrier
from mml_core.testing.crash.disk import Disk, File, Folder, Naming, Node, nodes_below
from mml_core.testing.crash.faults import Fault, FaultKind
from mml_core.testing.crash.story import Moment, Phase, Story, is_commit

_NUMBERED = re.compile(r"\d$")
_STEPS = re.compile(r"/runs/([^/]+)/steps$")
_ATTEMPT = re.compile(r"/\.mml/attempts/[^/]+/([^/]+)\.\d+/")


class Area(Enum):
    """What a place below the root of a trial is for."""

    PRIVATE = "hidden: nobody reads it by its name"
    RECORD = "what a run is continued by"
    PROVENANCE = "mml's records of files"
    RESULT = "files of a project"
    DATA = "datasets, tasks and stores"
    NOWHERE = "nothing is to be written there"
    LOOSE = "may be lost: logs, caches, downloads, leases"


def area_of(path: str, root: Path) -> Area:
    """Return what a path is for."""
    if not PurePosixPath(path).is_relative_to(root.as_posix()):
        return Area.NOWHERE
    place = PurePosixPath(path).relative_to(root.as_posix())
    parts, name = place.parts, place.name
    if parts[:1] == ("data",):
        if parts[1:2] in (("cache",), ("sources",)) or len(parts) < 3:
            return Area.LOOSE
        return Area.PRIVATE if _is_hidden(parts[1:]) else Area.DATA
    if parts[:1] != ("results",):
        return Area.NOWHERE
    inside = parts[2:]
    if inside[:2] == (".mml", "artefacts"):
        return Area.PRIVATE if _is_hidden(inside[2:]) else Area.PROVENANCE
    if _is_hidden(inside):
        return Area.PRIVATE
    if inside[:1] == ("runs",):
        is_claim = name.startswith("lease") or inside[2:3] == ("claims",)
        return Area.LOOSE if is_claim or name.startswith("log.") else Area.RECORD
    return Area.RESULT if inside and inside[0] != "sweeps" else Area.LOOSE


def is_scratch(path: str) -> bool:
    """Tell whether a path outside of what is watched is one for temporary files or a cache."""
    return path.startswith(tempfile.gettempdir()) or "/.cache/" in path


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)


@dataclass
class Lint:
    """Goes through the barriers of one command, or of several that followed each other.

    Attributes:
        root: The root of the trial.
        before: What it began with.
        barriers: What was done, in order.
        artefacts: The files that the steps committed, relative to the root.
        names: Step id to the step as a reader knows it.
        given_twice: Paths in a project that two steps of the undisturbed run write: files that are replaced.
        since: The number of the last command's first barrier. Names that an earlier one was killed over
            before they were safe are not looked at, but for records: those are relied on.
        ended: Whether the last command came to its end, so that nothing may be left undone.
    """

    root: Path
    before: Folder
    barriers: Sequence[Barrier]
    artefacts: Collection[str] = ()
    names: dict[str, str] = field(default_factory=dict)
    given_twice: Collection[str] = ()
    since: int = 0
    ended: bool = True

    def faults(self) -> list[Fault]:
        """Return what is wrong, each thing once."""
        self._story = Story.of(self.barriers)
        self._disk = Disk(self.root, self.before, self.barriers)
        self._commits = [barrier for barrier in self.barriers if barrier.done and is_commit(barrier)]
        self._killed = {barrier.pid for barrier in self.barriers if barrier.killed}
        self._published: dict[str, str] = {}
        made = (_STEPS.search(barrier.path) for barrier in self.barriers if barrier.call == "mkdir")
        self._begun = {match[1] for match in made if match}
        found: dict[tuple[FaultKind, str], Fault] = {}
        for moment in self._story.moments:
            if moment.barrier.done:
                for fault in self._of(moment):
                    found.setdefault((fault.kind, fault.detail), fault)
        for fault in self._unsafe():
            found.setdefault((fault.kind, fault.detail), fault)
        return list(found.values())

    def _of(self, moment: Moment) -> Iterator[Fault]:
        barrier = moment.barrier
        if barrier.call in ("open", "write", "truncate", "allocate", "symlink"):
            yield from self._of_write(moment)
        elif barrier.call in ("rename", "link"):
            yield from self._of_publication(moment)
        if barrier.call in ("unlink", "rename"):
            yield from self._of_removal(moment)
        if barrier.call == "mkdir" and area_of(barrier.path, self.root) is Area.NOWHERE:
            yield self._fault(FaultKind.OUTSIDE, moment, f"the folder {self._short(barrier.path)} is made")

    def _of_write(self, moment: Moment) -> Iterator[Fault]:
        path = moment.barrier.path
        area, what = area_of(path, self.root), self._short(path)
        if not moment.barrier.number and is_scratch(path):
            return
        if area is Area.NOWHERE or (area is Area.RESULT and self._relative(path) not in self.artefacts):
            yield self._fault(FaultKind.OUTSIDE, moment, f"{what} is written")
        elif area in (Area.RESULT, Area.DATA, Area.RECORD, Area.PROVENANCE):
            detail = f"{what}, which others read by this name, is opened for writing"
            yield self._fault(FaultKind.NO_RENAME, moment, detail)
        elif area is Area.PRIVATE and moment.phase is Phase.STEP:
            attempt = _ATTEMPT.search(path)
            if attempt and attempt[1] != moment.step and attempt[1] in self.names:
                detail = f"{what} of the step {self._name(attempt[1])} is written"
                yield self._fault(FaultKind.OUTSIDE, moment, detail)

    def _of_publication(self, moment: Moment) -> Iterator[Fault]:
        barrier = moment.barrier
        target = barrier.other
        if area_of(target, self.root) is not Area.RESULT:
            return
        attempt = _ATTEMPT.search(barrier.path)
        if not attempt and self._relative(target) not in self.artefacts:
            yield self._fault(FaultKind.OUTSIDE, moment, f"{self._short(target)} is written")
        step = attempt[1] if attempt else moment.step
        earlier = self._published.setdefault(target, step)
        replaced = self._relative(target).split("/", 2)[2] in self.given_twice
        if earlier != step and not replaced and _NUMBERED.search(PurePosixPath(target).stem):
            detail = (
                f"{self._short(target)}, given to a file of the step {self._name(earlier)}, is given to one "
                f"of the step {self._name(step)}"
            )
            yield self._fault(FaultKind.NUMBER_REUSED, moment, detail)

    def _of_removal(self, moment: Moment) -> Iterator[Fault]:
        path = moment.barrier.path
        areas = (Area.RESULT,) if moment.barrier.call == "rename" else (Area.RESULT, Area.DATA)
        if moment.phase is Phase.STEP and area_of(path, self.root) in areas and self._was_there(path):
            detail = (
                f"{self._short(path)} is removed before the step {self._name(moment.step)}, which may have "
                "to run again, is committed"
            )
            yield self._fault(FaultKind.EARLY_CLEAN_UP, moment, detail)

    def _was_there(self, path: str) -> bool:
        """Tell whether a path is that of a published file, or was there from the beginning."""
        here: Node | None = self.before
        for part in PurePosixPath(self._relative(path)).parts:
            here = here.first.get(part) if isinstance(here, Folder) else None
        return path in self._published or here is not None

    def _unsafe(self) -> Iterator[Fault]:
        """Find names that were given to what is not safe, or are not safe themselves when they have to be."""
        moments = {moment.barrier.number: moment for moment in self._story.moments}
        for naming in self._disk.namings:
            moment = moments[naming.barrier.number]
            target = naming.barrier.target
            area = area_of(target, self.root)
            made = any(node is not None for _, _, node in naming.names)
            if not made or area not in (Area.RESULT, Area.DATA, Area.RECORD, Area.PROVENANCE):
                continue
            if area is Area.RECORD and not self._is_of_a_run_with_a_plan(target):
                continue
            if naming.barrier.call in ("rename", "link") and self._has_unsafe_content(naming):
                detail = f"what gets the name {self._short(target)} was not forced to the disk before"
                yield self._fault(FaultKind.FILE_NOT_SYNCED, moment, detail)
            relied_on = naming.barrier.number >= self.since or is_commit(naming.barrier)
            if relied_on and not self._is_safe_in_time(naming):
                folder = self._short(str(PurePosixPath(target).parent))
                detail = f"{folder} was not forced to the disk after {self._short(target)} was made in it"
                yield self._fault(FaultKind.FOLDER_NOT_SYNCED, moment, detail)

    def _is_of_a_run_with_a_plan(self, path: str) -> bool:
        """Tell whether a run depends on a path; one that was killed before it had a plan is not continued."""
        run = re.search(r"/runs/([^/]+)", path)
        return run is None or run[1] in self._begun

    def _has_unsafe_content(self, naming: Naming) -> bool:
        when = naming.barrier.number
        _, _, node = naming.names[-1]
        return any(
            content.barrier.number < when and (content.safe_at is None or content.safe_at > when)
            for file in nodes_below(node)
            if isinstance(file, File)
            for content in file.changes
        )

    def _is_safe_in_time(self, naming: Naming) -> bool:
        """Tell whether a name is safe before its process commits the next step, or before it ends."""
        when, pid = naming.barrier.number, naming.barrier.pid
        later = (commit.number for commit in self._commits if commit.pid == pid and commit.number > when)
        deadline = next(later, None)
        if deadline is None:
            return naming.safe_at is not None or not self.ended or pid in self._killed
        return naming.safe_at is not None and naming.safe_at < deadline

    def _fault(self, kind: FaultKind, moment: Moment, detail: str) -> Fault:
        step = f" {self._name(moment.step)}" if moment.step else ""
        return Fault(kind, f"{moment.phase.value}{step}", detail)

    def _name(self, step: str) -> str:
        return self.names.get(step, step)

    def _relative(self, path: str) -> str:
        return PurePosixPath(path).relative_to(self.root.as_posix()).as_posix()

    def _short(self, path: str) -> str:
        if not PurePosixPath(path).is_relative_to(self.root.as_posix()):
            return path
        relative = self._relative(path)
        relative = re.sub(r"(?<=runs/)[^/]+|(?<=attempts/)[^/]+", "<run>", relative)
        return re.sub(r"\d{8}T\d{12}Z", "<time>", relative)
