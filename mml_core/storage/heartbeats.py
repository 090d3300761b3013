"""One background thread per process that beats for every lease the process holds.

How many seconds a holder on another machine may be silent says the environment variable ``MML_LEASE_TTL``,
which has to be the same for all processes that share the file system.
"""

from __future__ import annotations

import math
import os
import secrets
import threading
import time
from contextlib import suppress
from typing import Protocol

from mml_core.errors import MMLError

TTL_VARIABLE = "MML_LEASE_TTL"
_TTL = 60.0
_BEAT_BYTES = 6
_GIVEN_BACK = b"given back.."  # as long as a beat, and never one: beats are hexadecimal
_TAIL = '"}'


class LeaseTTLError(MMLError):
    """``MML_LEASE_TTL`` is no number of seconds."""


class Beating(Protocol):
    """What has to show that it lives."""

    def beat(self) -> None:
        """Change what others watch."""


def usual_ttl() -> float:
    """Return after how many seconds without a heartbeat a holder elsewhere is taken to be dead.

    Raises:
        LeaseTTLError: ``MML_LEASE_TTL`` is no number of seconds.
    """
    text = os.environ.get(TTL_VARIABLE) or str(_TTL)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise LeaseTTLError(f"{TTL_VARIABLE} is {text!r}; give a number of seconds above 0, or unset it.")
    return seconds


def with_beat(content: bytes) -> bytes:
    """Append a heartbeat of fixed width to a JSON object, to be overwritten in place."""
    return content[:-1] + f',"beat":"{secrets.token_hex(_BEAT_BYTES)}{_TAIL}'.encode()


def write_beat(descriptor: int) -> None:
    """Overwrite the heartbeat in place: the file keeps its length and is JSON at every moment."""
    _overwrite(descriptor, secrets.token_hex(_BEAT_BYTES).encode())


def write_given_back(descriptor: int) -> None:
    """Write in place of the heartbeat that there will be none any more, which takes no room on the disk."""
    _overwrite(descriptor, _GIVEN_BACK)


def is_given_back(content: bytes) -> bool:
    """Tell whether the last heartbeat in a file says that there will be none any more."""
    return content.endswith(_GIVEN_BACK + _TAIL.encode())


def _overwrite(descriptor: int, beat: bytes) -> None:
    os.pwrite(descriptor, beat, os.fstat(descriptor).st_size - len(beat) - len(_TAIL))
    os.fsync(descriptor)


class _Heart:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Event()
        self.due: dict[Beating, tuple[float, float]] = {}
        self.thread: threading.Thread | None = None

    def start(self, beating: Beating, interval: float) -> None:
        with self.lock:
            self.due[beating] = (time.monotonic() + interval, interval)
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="mml-heartbeat", daemon=True)
                self.thread.start()
        self.changed.set()

    def stop(self, beating: Beating) -> None:
        with self.lock:
            self.due.pop(beating, None)

    def run(self) -> None:
        while True:
            with self.lock:
                now = time.monotonic()
                ready = [beating for beating, (when, _) in self.due.items() if when <= now]
                for beating in ready:
                    interval = self.due[beating][1]
                    self.due[beating] = (now + interval, interval)
                    # Under the lock, so that a lease is never closed in the middle of its beat. A beat that
                    # fails (full disk, lost mount) is made up for by the next.
                    with suppress(OSError):
                        beating.beat()
                waiting = min((when for when, _ in self.due.values()), default=None)
            self.changed.wait(None if waiting is None else max(0.0, waiting - time.monotonic()))
            self.changed.clear()


_heart = _Heart()


def start(beating: Beating, *, interval: float) -> None:
    """Beat for ``beating`` every ``interval`` seconds until `stop`."""
    _heart.start(beating, interval)


def stop(beating: Beating) -> None:
    """Beat for it no longer; when this returns, no beat is under way."""
    _heart.stop(beating)


def _forget() -> None:
    global _heart
    _heart = _Heart()  # a forked child has neither the thread nor its parent's leases


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
