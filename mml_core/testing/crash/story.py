"""The story of a run as its write barriers tell it: what belongs to which step, what was committed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from mml_core.testing.crash.barriers import Barrier

_ATTEMPT = re.compile(r"/\.mml/attempts/[^/]+/([^/]+)\.(\d+)$")
_RECORD = re.compile(r"/runs/[^/]+/steps/([^/]+)\.json$")


class Phase(Enum):
    """Where in a run something happens."""

    START = "before the first step"
    STEP = "in the step"
    COMMITTED = "after the commit of the step"
    BETWEEN = "after the step"


@dataclass(frozen=True)
class Moment:
    """A barrier and where in the run it lies: what a kill that comes before it would leave.

    Attributes:
        barrier: The barrier.
        phase: Where.
        step: Id of the step that is worked on, or was last; empty before the first.
    """

    barrier: Barrier
    phase: Phase
    step: str


@dataclass
class Story:
    """What a command did, by its barriers.

    Attributes:
        moments: The watched barriers in order, with those noted outside.
        begun: How often each step was begun.
        committed: The steps whose record was put in place.
    """

    moments: list[Moment] = field(default_factory=list)
    begun: dict[str, int] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, barriers: Iterable[Barrier]) -> Story:
        """Tell the story of barriers that are in order.

        Several processes may do steps at one time: each has its own.
        """
        story = cls()
        at: dict[int, tuple[Phase, str, str]] = {}
        last = (Phase.START, "", "")
        for barrier in barriers:
            phase, step, folder = at.get(barrier.pid, last)
            story.moments.append(Moment(barrier, phase, step))
            if not barrier.done:
                continue
            made = _ATTEMPT.search(barrier.path)
            if barrier.call == "mkdir" and made:
                phase, step, folder = Phase.STEP, made[1], barrier.path
                story.begun[step] = story.begun.get(step, 0) + 1
            elif barrier.call == "rmdir" and barrier.path == folder:
                phase = Phase.BETWEEN
            elif is_commit(barrier):
                phase = Phase.COMMITTED
                story.committed.add(step_of_record(barrier))
            last = at[barrier.pid] = (phase, step, folder)
        return story


def is_commit(barrier: Barrier) -> bool:
    """Tell whether a barrier puts the record of a step in place."""
    return barrier.call in ("link", "rename") and bool(_RECORD.search(barrier.other))


def step_of_record(barrier: Barrier) -> str:
    """Return the id of the step whose record a barrier puts in place."""
    found = _RECORD.search(barrier.other)
    assert found is not None
    return found[1]
