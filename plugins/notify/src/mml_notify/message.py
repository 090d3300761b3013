"""What is told: an event of a run, in words."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mml_core.plugins import Outcome, RunView

_MOST = 10
"""Numbers that a message tells of what a run returned."""

_WORDS = {"started": "begins", "done": "is done", "failed": "has failed", "interrupted": "was interrupted"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message.

    Attributes:
        event: ``started``, ``done``, ``failed`` or ``interrupted``.
        title: In one line.
        text: The whole, title included.
        facts: What a program wants to know, by name.
    """

    event: str
    title: str
    text: str
    facts: dict[str, str]


def message_of(event: str, run: RunView, outcome: Outcome | None = None) -> Message:
    """Put into words what happens to a run.

    Args:
        event: What.
        run: The run.
        outcome: How it ended; None where it begins.
    """
    seconds = 0.0 if outcome is None else outcome.seconds
    error = "" if outcome is None else " ".join((outcome.error or "").split())
    after = "" if outcome is None else f" after {duration(seconds)}"
    title = f"mml: {run.mode} of project {run.project} {_WORDS[event]}{after}"
    host = platform.node()
    lines = [title, "", *([error] if error else [])]
    numbers = list(_numbers("" if outcome is None else outcome.value, ""))
    lines += [f"{name}: {number:.4g}" for name, number in numbers[:_MOST]]
    if len(numbers) > _MOST:
        lines.append(f"and {len(numbers) - _MOST} more")
    lines += [f"run {run.id} on {host}", f"{run.dir}"]
    facts = {
        "EVENT": event,
        "TITLE": title,
        "PROJECT": run.project,
        "RUN": run.id,
        "MODE": run.mode,
        "DIR": f"{run.dir}",
        "HOST": host,
        "SECONDS": f"{seconds:.0f}",
        "ERROR": error,
    }
    return Message(event=event, title=title, text="\n".join(lines), facts=facts)


def duration(seconds: float) -> str:
    """Say how long something took: ``12 s``, ``4 min 12 s``, ``3 h 4 min``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{path}/{name}" if path else str(name))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path or "returned", float(value)
