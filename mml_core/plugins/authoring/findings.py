"""What a check of a plugin has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check has found.

    Attributes:
        check: What was checked, as a statement.
        state: Whether it holds.
        message: Why not, and what to do; or what was found.
    """

    check: str
    state: State
    message: str = ""

    @classmethod
    def of(cls, check: str, faults: list[str], found: str = "") -> Finding:
        """Return ``ok`` with what was found, or ``failed`` with all that is wrong."""
        state = State.FAILED if faults else State.OK
        return cls(check=check, state=state, message="; ".join(faults) or found)
