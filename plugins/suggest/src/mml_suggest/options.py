"""The options of the mode ``suggest``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mml_core.api import MMLError, near_matches

_KNOWN = ("distances", "distance", "neighbours", "metric", "direction")
_OF_MML = ("name", "scheduler", "subroutines")


class SuggestError(MMLError):
    """Nothing can be suggested from what is there."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked for.

    Attributes:
        distances: The table's file, or ``reuse:KEY``.
        distance: Which distance of it; None: the only one.
        neighbours: How many of the nearest tasks are asked.
        metrics: By which metric models are compared; the first that one has.
        maximise: Whether higher values of it are better.
    """

    distances: str
    distance: str | None
    neighbours: int
    metrics: tuple[str, ...]
    maximise: bool

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """Check the keys of ``mode``.

        Raises:
            SuggestError: One is unknown, missing, or of a value that cannot be.
        """
        for key in given:
            if key not in _KNOWN and key not in _OF_MML:
                raise SuggestError(f"Unknown option 'mode.{key}'.{near_matches(str(key), _KNOWN)}")
        distances = given.get("distances")
        if not isinstance(distances, str) or distances == "???":
            raise SuggestError(
                "mode.distances is missing; name a Parquet file, or reuse:distances, with reuse.distances "
                "naming the project of a run of mode similarity."
            )
        neighbours = given.get("neighbours", 3)
        if isinstance(neighbours, bool) or not isinstance(neighbours, int) or neighbours < 1:
            raise SuggestError(f"mode.neighbours is {neighbours!r}; write a whole number from 1.")
        metric = given.get("metric")
        metrics = [metric] if isinstance(metric, str) else metric
        if not metrics or not all(isinstance(each, str) for each in metrics):
            raise SuggestError(f"mode.metric is {metric!r}; write a metric such as val/accuracy, or a list.")
        direction = given.get("direction")
        if direction not in ("max", "min"):
            raise SuggestError(f"mode.direction is {direction!r}; write max or min.")
        distance = given.get("distance")
        return cls(
            distances=distances,
            distance=None if distance is None else str(distance),
            neighbours=neighbours,
            metrics=tuple(metrics),
            maximise=direction == "max",
        )
