"""Claims of single steps, for runs that several processes work on."""

from __future__ import annotations

import os
from pathlib import Path

from mml_core.storage.leases import Lease, LeaseHeldError, is_alive


class StepClaims:
    """Who works on which step of a run.

    Args:
        folder: ``claims`` of the run's directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, step: str) -> Lease | None:
        """Claim a step; None where a live process holds it."""
        try:
            return Lease.acquire(self.folder / step, wait=False)
        except LeaseHeldError:
            return None

    def is_live(self, step: str) -> bool:
        """Tell whether a process that is not known to be dead holds a step."""
        return is_alive(self.folder / step)

    def is_free(self, step: str) -> bool:
        """Tell whether nobody holds a step, nor has died or fallen silent over it."""
        return not os.path.lexists(self.folder / step)

    def live(self) -> list[str]:
        """The steps that such processes hold."""
        try:
            names = {entry.name.partition(".")[0] for entry in self.folder.iterdir()}
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name and self.is_live(name))
