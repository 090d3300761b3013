"""The options of the mode: which estimators, with what, at which densities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mml_core.api import OptionError, choose, require_known
from mml_dimensionality.mle import mle
from mml_dimensionality.neighbours import Array
from mml_dimensionality.two_nn import two_nn

MLE, TWO_NN = "mle", "two_nn"
_KNOWN = (MLE, TWO_NN)
_SECTIONS = {MLE: ("first", "last"), TWO_NN: ("discard",)}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked for.

    Attributes:
        estimators: Names of the estimators, in this order.
        first: Of ``mle``: the fewest neighbours.
        last: Of ``mle``: the most.
        discard: Of ``two_nn``: the share of samples that is left out of the fit.
        scales: Into how many parts samples are divided, each looked at by itself.
    """

    estimators: tuple[str, ...]
    first: int
    last: int
    discard: float
    scales: tuple[int, ...]

    @classmethod
    def from_config(cls, mode: Mapping[str, Any]) -> Options:
        """Read ``estimators``, ``mle``, ``two_nn`` and ``scales`` of the config group ``mode``.

        Raises:
            OptionError: A value is impossible, or something is unknown.
        """
        estimators = tuple(_listed(mode.get("estimators"), "mode.estimators"))
        for name in estimators:
            choose("estimator of mode.estimators", name, dict.fromkeys(_KNOWN))
        sections = {name: dict(mode.get(name) or {}) for name in _KNOWN}
        for name, given in sections.items():
            require_known(f"mode.{name}", given, _SECTIONS[name])
        first = _whole(sections[MLE].get("first", 10), "mode.mle.first", 2)
        last = _whole(sections[MLE].get("last", 20), "mode.mle.last", first)
        discard = sections[TWO_NN].get("discard", 0.1)
        if isinstance(discard, bool) or not isinstance(discard, (int, float)) or not 0 <= discard < 1:
            raise OptionError(f"mode.two_nn.discard is {discard!r}; write a share from 0 to below 1.")
        scales = [_whole(each, "mode.scales", 1) for each in _listed(mode.get("scales"), "mode.scales")]
        for what, values in (("estimators", estimators), ("scales", scales)):
            if len(set(values)) < len(values):
                raise OptionError(f"mode.{what} names one twice: {list(values)}; name each once.")
        return cls(
            estimators=estimators, first=first, last=last, discard=float(discard), scales=tuple(scales)
        )

    @property
    def neighbours(self) -> int:
        """How many neighbours of a sample the estimators look at."""
        return max(self.last if MLE in self.estimators else 0, 2 if TWO_NN in self.estimators else 0)

    @property
    def least(self) -> int:
        """How many different samples a task needs, so that each part has a sample with its neighbours."""
        return max(self.scales) * (self.neighbours + 1)

    def estimators_of(self) -> dict[str, Callable[[Array], float]]:
        """Return name → function of the distances to the neighbours of each sample."""
        known: dict[str, Callable[[Array], float]] = {
            MLE: lambda distances: mle(distances, self.first, self.last),
            TWO_NN: lambda distances: two_nn(distances, self.discard),
        }
        return {name: known[name] for name in self.estimators}


def _listed(value: Any, name: str) -> list[Any]:
    if isinstance(value, str) or not hasattr(value, "__iter__") or not list(value):
        raise OptionError(f"{name} is {value!r}; write a list with at least one entry.")
    return list(value)


def _whole(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{name} is {value!r}; write a whole number from {least}.")
    return value
