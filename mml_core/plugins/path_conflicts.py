"""Path assignments that claim the same key or the same path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from mml_core.plugins.names import CORE
from mml_core.plugins.path_templates import overlap
from mml_core.plugins.records import PathAssignment
from mml_core.plugins.registry import Contribution


@dataclass(frozen=True)
class PathConflict:
    """Assignments that cannot both hold.

    Attributes:
        what: What they share, in words.
        claims: The assignments and who makes them.
    """

    what: str
    claims: tuple[Contribution[PathAssignment], ...]

    @property
    def plugins(self) -> tuple[str, ...]:
        """Who makes the assignments."""
        return tuple(dict.fromkeys(claim.provider for claim in self.claims))

    @property
    def refused(self) -> tuple[str, ...]:
        """Whose runs are refused: mml itself owns what it claims."""
        others = tuple(name for name in self.plugins if name != CORE)
        return others or self.plugins

    def refusal(self) -> str:
        """Return what a run is told that uses one of them: a warning has told the assignments."""
        keys = {claim.record.key for claim in self.claims}
        change = "rename the key" if len(keys) == 1 else "change the path of a key"
        return (
            f"{' and '.join(self.plugins)} claim {self.what}, and this run uses {' or '.join(self.refused)}: "
            f"leave one out by --without-plugin, or, if you write one of them, {change} there."
        )

    def __str__(self) -> str:
        claims = ", ".join(f"{claim.qualified} = {claim.record.path}" for claim in self.claims)
        holds = f"that of {CORE} holds, and " if CORE in self.plugins else ""
        return (
            f"{' and '.join(self.plugins)} claim {self.what}: {claims}; {holds}runs that use "
            f"{' or '.join(self.refused)} are refused."
        )


def find_path_conflicts(assignments: Iterable[Contribution[PathAssignment]]) -> list[PathConflict]:
    """Find the keys that are assigned twice and the paths that two keys can have; sorted."""
    by_key: dict[str, list[Contribution[PathAssignment]]] = {}
    for each in assignments:
        by_key.setdefault(each.record.key, []).append(each)
    found = [
        PathConflict(f"the path key {key!r}", tuple(same))
        for key, same in sorted(by_key.items())
        if len(same) > 1
    ]
    split = [(each, each.record.path.split("/")) for same in by_key.values() for each in same]
    for (one, parts), (two, others) in combinations(split, 2):
        if one.record.key != two.record.key and overlap(parts, others):
            keys = f"{one.record.key!r} and {two.record.key!r}"
            found.append(PathConflict(f"one path for the keys {keys}", (one, two)))
    return found
