"""Looking contributions up by name: short where unique, ``provider:name`` always."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mml_core.errors import near_matches
from mml_core.plugins.errors import AmbiguousNameError, UnknownNameError
from mml_core.plugins.names import CORE, aliases, split_qualified


class _Named(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def noun(self) -> str: ...


T = TypeVar("T", bound=_Named)


@dataclass(frozen=True)
class Contribution(Generic[T]):
    """A record and who contributes it.

    Attributes:
        provider: Normalised name of the distribution.
        record: What it contributes.
    """

    provider: str
    record: T

    @property
    def name(self) -> str:
        """The record's short name."""
        return self.record.name

    @property
    def qualified(self) -> str:
        """The name that is always unique."""
        return f"{self.provider}:{self.record.name}"


class Registry(Generic[T]):
    """All contributions of one kind.

    Args:
        noun: What one of them is called in messages.
        hint: Returns a sentence about plugins that failed to load, or an empty string.
    """

    def __init__(self, noun: str, hint: Callable[[], str] = lambda: "") -> None:
        self.noun = noun
        self._hint = hint
        self._all: list[Contribution[T]] = []
        self._short: dict[str, list[Contribution[T]]] = {}
        self._qualified: dict[tuple[str, str], Contribution[T]] = {}

    def add(self, contribution: Contribution[T]) -> None:
        """Add one contribution."""
        self._all.append(contribution)
        self._short.setdefault(contribution.name, []).append(contribution)
        for alias in reversed(aliases(contribution.provider)):
            self._qualified.setdefault((alias, contribution.name), contribution)
        self._qualified[contribution.provider, contribution.name] = contribution  # a full name beats an alias

    def entry(self, name: str) -> Contribution[T]:
        """Return the contribution of a name.

        Args:
            name: A short name or ``provider:name``.

        Raises:
            UnknownNameError: Nobody contributes it; the message names near matches.
            AmbiguousNameError: It is short, and several plugins contribute it.
        """
        found = self._lookup(name)
        if found is None:
            short = split_qualified(name)[1]
            near = near_matches(short, [*self.names(), *(each.name for each in self._all)])
            raise UnknownNameError(f"There is no {self.noun} {name!r}.{near}{self._hint()}")
        return found

    def get(self, name: str) -> T:
        """Return the record of a name; see :meth:`entry`."""
        return self.entry(name).record

    def find(self, name: str) -> T | None:
        """Return the record of a name, or ``None`` where nobody contributes it.

        Raises:
            AmbiguousNameError: It is short, and several plugins contribute it.
        """
        found = self._lookup(name)
        return None if found is None else found.record

    def names(self) -> list[str]:
        """Return the shortest name of each contribution that is not ambiguous, sorted."""
        return sorted(self.label(each) for each in self._all)

    def label(self, contribution: Contribution[T]) -> str:
        """Return the shortest name that means this contribution."""
        same = self._short[contribution.name]
        return contribution.name if _owner(same) is contribution else contribution.qualified

    def shortest(self, name: str) -> str:
        """Return the shortest name of the contribution that ``name`` means; ``name`` where it means none."""
        found = self.claims(name)
        return self.label(found[0]) if len(found) == 1 else name

    def claims(self, name: str) -> list[Contribution[T]]:
        """Return the contribution that a name means, or all between which a short one does not decide."""
        provider, short = split_qualified(name)
        if provider is not None:
            found = self._qualified.get((provider, short))
            return [] if found is None else [found]
        same = self._short.get(short, [])
        owner = _owner(same)
        return list(same) if owner is None else [owner]

    def items(self) -> list[Contribution[T]]:
        """Return all contributions: built-in ones first, then sorted by provider."""
        return list(self._all)

    def shared(self) -> dict[str, list[Contribution[T]]]:
        """Return the short names that several providers contribute."""
        return {name: list(same) for name, same in self._short.items() if len(same) > 1}

    def __getitem__(self, name: str) -> T:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._short or self._lookup(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._all)

    def _lookup(self, name: str) -> Contribution[T] | None:
        found = self.claims(name)
        if len(found) > 1:
            choices = " or ".join(repr(each.qualified) for each in found)
            raise AmbiguousNameError(f"Several plugins contribute a {self.noun} {name!r}: write {choices}.")
        return found[0] if found else None


def _owner(same: list[Contribution[T]]) -> Contribution[T] | None:
    """Return who owns a short name: mml itself, else the only contributor, else nobody."""
    builtin = [each for each in same if each.provider == CORE]
    return builtin[0] if builtin else same[0] if len(same) == 1 else None
