"""Backends: what sees the write barriers of a command, and injures it at one of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mml_core.errors import MMLError, near_matches
from mml_core.testing.crash.barriers import Barrier, Injury, Watch

CHOICE = "MML_CRASH_BACKEND"
"""The environment variable by which a backend is chosen: ``preload``, ``strace`` or ``python``."""


class BackendError(MMLError):
    """The backend that was asked for is not there, or cannot do what it is asked for."""


class Backend(Protocol):
    """Watches commands.

    Attributes:
        name: What it is, for the report.
        sees: What it sees, and what not.
        has_data: Whether it can record what was written, which a power loss is made from.
        has_hosts: Whether it can give a command another machine's name.
    """

    name: str
    sees: str
    has_data: bool
    has_hosts: bool

    @staticmethod
    def is_available() -> bool:
        """Whether it works on this machine."""

    def command(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        watch: Watch,
        injury: Injury | None,
    ) -> tuple[list[str], dict[str, str]]:
        """Return what to start in place of ``command``, and with which environment variables."""

    def barriers(self, folder: Path) -> list[Barrier]:
        """Return what a command did that was started with ``folder`` and has ended."""


def choose_backend(name: str | None = None) -> Backend:
    """Return the first backend that works here: the preloaded library, strace, Python's own calls.

    Args:
        name: The one to take; by default that of the environment variable ``MML_CRASH_BACKEND``.

    Raises:
        BackendError: The one asked for is not known, or does not work here.
    """
    from mml_core.testing.crash.preload import PreloadBackend
    from mml_core.testing.crash.python import PythonBackend
    from mml_core.testing.crash.strace import StraceBackend

    known: dict[str, type[Backend]] = {
        "preload": PreloadBackend,
        "strace": StraceBackend,
        "python": PythonBackend,
    }
    wanted = name or os.environ.get(CHOICE) or ""
    if wanted and wanted not in known:
        raise BackendError(f"There is no backend '{wanted}'.{near_matches(wanted, known)}")
    for key, backend in known.items():
        if wanted in ("", key) and backend.is_available():
            return backend()
    raise BackendError(f"The backend '{wanted}' does not work here; leave {CHOICE} unset to take another.")
