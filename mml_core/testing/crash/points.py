"""Kill points: the barriers at which a command is injured, all of them or a sample."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from mml_core.testing.crash.barriers import ROOM, Injury
from mml_core.testing.crash.story import Moment, Phase, Story

SEED = "MML_CRASH_SEED"
"""The environment variable that makes a sample the same again."""


class Point(Protocol):
    """Where a run is disturbed."""

    @property
    def moment(self) -> Moment:
        """The barrier."""

    @property
    def is_boundary(self) -> bool:
        """Whether all that is lost here is the process."""


AnyPoint = TypeVar("AnyPoint", bound=Point)


@dataclass(frozen=True)
class KillPoint:
    """Where a command is injured, and how.

    Attributes:
        moment: The barrier, as the undisturbed command reached it.
        injury: What happens there.
        further: What happens to the commands that continue it, one after the other.
    """

    moment: Moment
    injury: Injury
    further: tuple[Injury, ...] = ()

    @property
    def is_boundary(self) -> bool:
        """Whether all that is lost here is the process: the step before is over, the next not begun."""
        return self.moment.phase is Phase.BETWEEN and not self.injury.torn and not self.further

    def describe(self) -> str:
        """Return what happens, in words."""
        later = "".join(f", then at barrier {injury.at} of what continues it" for injury in self.further)
        return f"{self.injury.describe()}{later}"

    def killed_again(self, times: int, seed: int, barriers: int) -> KillPoint:
        """Return the point with further kills, each at one of the first barriers of a continuation."""
        draw = random.Random(f"{seed}/{self.injury.at}/{self.injury.torn}")
        numbers = [draw.randint(1, barriers) for _ in range(times)]
        return replace(self, further=tuple(Injury(at, signal=signal.SIGKILL) for at in numbers))


def kill_points(story: Story, injury: Injury) -> list[KillPoint]:
    """Return all points at which a command can be injured.

    A kill comes before the call of each barrier, and once more in the middle of each write. An error meets
    the calls that can fail with it.

    Args:
        story: What the undisturbed command did.
        injury: What happens at each, wherever it is.
    """
    points = []
    for moment in story.moments:
        barrier = moment.barrier
        if not barrier.number or not barrier.done or (barrier.call == "write" and not barrier.size):
            continue
        here = replace(injury, at=barrier.number, syscall=barrier.syscall, turn=barrier.turn)
        if not injury.lasting or barrier.call in ROOM:
            points.append(KillPoint(moment, here))
        if injury.signal == signal.SIGKILL and barrier.call == "write" and barrier.size > 1:
            points.append(KillPoint(moment, replace(here, torn=True)))
    return points


def of_methods(points: Sequence[AnyPoint], methods: Sequence[str]) -> list[AnyPoint]:
    """Return the points that lie in steps of these methods; all, where none is named."""
    return [point for point in points if not methods or _method_of(point.moment.step) in methods]


def seed_of(given: int | None) -> int:
    """Return the seed of a sample: the one given, that of ``MML_CRASH_SEED``, or a new one."""
    if given is not None:
        return given
    stored = os.environ.get(SEED)
    return int(stored) if stored else random.SystemRandom().randrange(10**6)


def sampled(points: Sequence[AnyPoint], count: int | None, seed: int) -> list[AnyPoint]:
    """Return ``count`` of the points in their order; None: all of them.

    Half of a sample falls right behind the commits of steps, as far as there are so many: there a result that
    was kept in memory shows. The rest is spread over the steps by turns.
    """
    if count is None or count >= len(points):
        return list(points)
    draw = random.Random(seed)
    boundaries = _one_each((point for point in points if point.is_boundary), _step_of)
    chosen = draw.sample(boundaries, min(len(boundaries), (count + 1) // 2))
    groups: dict[str, list[AnyPoint]] = {}
    for point in points:
        if point not in chosen:
            groups.setdefault(_step_of(point), []).append(point)
    waiting = list(groups.values())
    draw.shuffle(waiting)
    while len(chosen) < count:
        group = waiting.pop(0)
        chosen.append(group.pop(draw.randrange(len(group))))
        if group:
            waiting.append(group)
    places = {id(point): place for place, point in enumerate(points)}
    return sorted(chosen, key=lambda point: places[id(point)])


def _method_of(step: str) -> str:
    """Return the method of a step: its id begins with it, and words follow after hyphens."""
    return step.partition("-")[0]


def _step_of(point: Point) -> str:
    return point.moment.step


def _one_each(points: Iterable[AnyPoint], key: Callable[[AnyPoint], str]) -> list[AnyPoint]:
    """Return the last point of each key."""
    return list({key(point): point for point in points}.values())
