"""The faults that the kit knows by name, and what is found of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum


class FaultKind(Enum):
    """A way in which a scheduler, or something that writes for it, breaks the promise of exact resume."""

    UNSEEDED = "unseeded randomness"
    OUTSIDE = "path outside the attempt"
    NO_RENAME = "write without rename"
    FILE_NOT_SYNCED = "rename without fsync of the file"
    FOLDER_NOT_SYNCED = "rename without fsync of the folder"
    EARLY_CLEAN_UP = "clean-up before commit"
    NUMBER_REUSED = "number reused"
    IN_MEMORY = "result kept in memory"
    RAN_AGAIN = "committed step ran again"
    DID_NOT_RUN = "uncommitted step did not run again"
    HALF_FILE = "half-written file under its final name"
    CONFIG_MISSED = "config missing from the fingerprint"
    LOST = "lost by a power failure"
    UNCLEAR_ERROR = "unclear error"
    NOT_FENCED = "a writer that lost its lease committed"
    LEFT_OVER = "left over"
    CANNOT_CONTINUE = "run cannot be continued"
    DIFFERS = "resumed run differs"


ADVICE = {
    FaultKind.UNSEEDED: "draw from random, NumPy or torch inside of a step, which seeds them, and sort what "
    "has no order",
    FaultKind.OUTSIDE: "ask fm.construct_saving_path for every file that a step writes",
    FaultKind.NO_RENAME: "write to a private name, fsync, and rename it, as mml_core.storage.atomic does",
    FaultKind.FILE_NOT_SYNCED: "fsync a file before it gets its final name",
    FaultKind.FOLDER_NOT_SYNCED: "fsync the folder after a name in it was made",
    FaultKind.EARLY_CLEAN_UP: "leave it to reuse.clean_up, which removes files when the run is done",
    FaultKind.NUMBER_REUSED: "let numbering be done by a path assignment with numbered=True",
    FaultKind.CONFIG_MISSED: "read the config where it is noted, not in choosing_steps nor past self.cfg, or "
    "do not declare the scheduler reuse_safe",
    FaultKind.IN_MEMORY: "return it, save it to a file, or put it on a TaskStruct: nothing else of a "
    "scheduler outlives the process",
}
"""What to do about the faults whose cause is known."""


@dataclass(frozen=True)
class Fault:
    """Something that was found.

    Attributes:
        kind: What it is.
        where: When and where it showed: the barrier, the step.
        detail: What was seen.
        times: At how many kill points it showed.
        between_steps: Whether it showed where a kill changed nothing but the process: between two steps.
    """

    kind: FaultKind
    where: str
    detail: str
    times: int = 1
    between_steps: bool = False

    def __str__(self) -> str:
        often = f" ({self.times} times)" if self.times > 1 else ""
        advice = f"; {ADVICE[self.kind]}" if self.kind in ADVICE else ""
        return f"{self.kind.value}: {self.where}: {self.detail}{often}{advice}."


def joined(faults: Iterable[Fault]) -> list[Fault]:
    """Return the faults with those that tell the same made one, in the order of the kinds.

    A run that goes wrong after a kill between two steps, where nothing else was lost than the process, kept
    something in it. So did one that goes wrong in the same way after another kill.
    """
    groups: dict[tuple[FaultKind, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.kind, fault.detail), []).append(fault)
    told = []
    for group in groups.values():
        telling = next((fault for fault in group if fault.between_steps), group[0])
        vague = telling.kind in (FaultKind.DIFFERS, FaultKind.CANNOT_CONTINUE)
        kind = FaultKind.IN_MEMORY if vague and telling.between_steps else telling.kind
        told.append(replace(telling, kind=kind, times=sum(fault.times for fault in group)))
    order = list(FaultKind)
    return sorted(told, key=lambda fault: order.index(fault.kind))
