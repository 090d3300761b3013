"""Where mml keeps its own files inside a project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mml_core.plugins.path_templates import OWN_FOLDERS as OWN_FOLDERS

SCRIPT = "script-"
"""How the name of a script's session begins, which counts as a run of its own."""


@dataclass(frozen=True)
class Layout:
    """The folders of one run in one project.

    Attributes:
        project: ``PROJ_PATH``, resolved.
        run: The run (or the session of a script) that writes.
    """

    project: Path
    run: str

    @property
    def own(self) -> Path:
        """The folder all of mml's own files are in."""
        return self.project / ".mml"

    @property
    def attempts(self) -> Path:
        """The run's attempts."""
        return self.own / "attempts" / self.run

    @property
    def is_script(self) -> bool:
        """Whether a script writes, and no run."""
        return self.run.startswith(SCRIPT)

    @property
    def script_lease(self) -> Path:
        """The lease of a script that has saved something, by which others see that it lives."""
        return self.attempts / "lease"

    @property
    def script_record(self) -> Path:
        """The record of what a script has committed, there until all of it is published."""
        return self.sessions / f"{self.run}.json"

    @property
    def temp(self) -> Path:
        """``TEMP_PATH`` of the run."""
        return self.own / "temp" / self.run

    @property
    def artefacts(self) -> Path:
        """The provenance records of the project."""
        return self.own / "artefacts"

    @property
    def numbers(self) -> Path:
        """The numbers given in the project."""
        return self.own / "numbers"

    @property
    def temp_numbers(self) -> Path:
        """The numbers given among the run's temporary files; they go with them."""
        return self.temp / ".numbers"

    @property
    def locks(self) -> Path:
        """Leases on files that are replaced."""
        return self.own / "locks"

    @property
    def sessions(self) -> Path:
        """The records of scripts whose files are being published."""
        return self.own / "sessions"

    def is_temporary(self, path: str) -> bool:
        """Tell whether a path relative to the project lies below some run's ``TEMP_PATH``."""
        return PurePosixPath(path).parts[:2] == (".mml", "temp")
