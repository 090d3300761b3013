"""The base of every error a user can cause, and the near matches such errors name."""

from __future__ import annotations

from collections.abc import Iterable


class MMLError(Exception):
    """An error a user can cause: one line that says what is wrong, what was found, and what to do.

    Attributes:
        exit_code: What the ``mml`` command exits with when this error ends it.
    """

    exit_code = 2


class StepFailedError(MMLError):
    """A step of a run raised; the run can be continued once the cause is gone."""

    exit_code = 1


class LiveOwnerError(MMLError):
    """What was asked for is held by a process that is alive; the message names it."""

    exit_code = 3


def near_matches(name: str, candidates: Iterable[str], *, limit: int = 3) -> str:
    """Return a sentence that proposes the candidates most like ``name``.

    Args:
        name: What the user typed.
        candidates: What could have been meant.
        limit: At most so many proposals.

    Returns:
        ``" Did you mean 'a' or 'b'?"`` with a leading blank, or an empty string when nothing is near.
    """
    from difflib import get_close_matches  # costs milliseconds, needed on errors only

    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    found = get_close_matches(name.casefold(), by_folded, n=limit, cutoff=0.6)
    if not found:
        return ""
    quoted = [f"'{by_folded[match]}'" for match in found]
    return f" Did you mean {' or '.join(quoted)}?"
