"""Which distances the config asks for, and with which options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mml_core.api import OptionError, choose, require_known
from mml_similarity.measure import Measure
from mml_similarity.measures import ENSEMBLE, MEASURES

RANKS, RANGES = "ranks", "ranges"
PAGE = "page"
PLOTS = ("heatmap", "dendrogram", "map", PAGE)
"""What can be drawn: of each distance, and a page of all."""


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions:
    """What is averaged, and how.

    Attributes:
        members: Names of distances, at least two.
        by: ``ranks`` or ``ranges``.
    """

    members: tuple[str, ...]
    by: str


def check_distances(mode: Mapping[str, Any]) -> list[str]:
    """Return the names in ``mode.distances``.

    Raises:
        OptionError: There are none, one is unknown or named twice, or the ensemble is impossible.
    """
    names = _names("mode.distances", mode.get("distances"))
    table = {**MEASURES, ENSEMBLE: None}
    for name in names:
        choose("distance", name, table)
    if not names:
        raise OptionError(f"mode.distances is empty; name some of {', '.join(table)}.")
    if ENSEMBLE in names:
        ensemble_of(mode)
    return names


def plots_of(mode: Mapping[str, Any]) -> list[str]:
    """Return the names in ``mode.plots``.

    Raises:
        OptionError: One is unknown or named twice.
    """
    names = _names("mode.plots", mode.get("plots"))
    for name in names:
        choose("plot", name, dict.fromkeys(PLOTS))
    return names


def measure_of(name: str, mode: Mapping[str, Any], *, seed: int = 0) -> Measure:
    """Return a distance with the options that ``mode.<name>`` gives it.

    Args:
        name: One of ``MEASURES``.
        mode: The config ``mode``.
        seed: What random choices are made by.

    Raises:
        OptionError: An option is unknown or impossible.
    """
    return MEASURES[name](dict(mode.get(name) or {}), seed)


def ensemble_of(mode: Mapping[str, Any]) -> EnsembleOptions:
    """Read ``mode.ensemble``.

    Raises:
        OptionError: Fewer than two distances are averaged, one is not measured, or the scale is unknown.
    """
    given = dict(mode.get(ENSEMBLE) or {})
    require_known(f"mode.{ENSEMBLE}", given, ("of", "by"))
    measured = [name for name in _names("mode.distances", mode.get("distances")) if name != ENSEMBLE]
    members = measured if given.get("of") is None else _names("mode.ensemble.of", given["of"])
    by = given.get("by", RANKS)
    choose("mode.ensemble.by", by, dict.fromkeys((RANKS, RANGES)))
    for name in members:
        if name not in measured:
            raise OptionError(
                f"mode.ensemble.of names '{name}', which is not measured; add it to mode.distances."
            )
    if len(members) < 2:
        raise OptionError(
            f"The distance ensemble averages several, and there is {len(members)} to average; name more in"
            " mode.distances."
        )
    return EnsembleOptions(members=tuple(members), by=by)


def _names(option: str, given: Any) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise OptionError(f"{option} must be a list, found {given!r}; write [fid,mmd].")
    names = [str(name) for name in given]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise OptionError(f"{option} names '{twice[0]}' twice.")
    return names
