"""A CSV log that goes on with a training that goes on after a kill."""

from __future__ import annotations

import csv
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger

from mml_core.storage.atomic import write_bytes


class ResumableCSVLogger(CSVLogger):
    """Keeps its rows in the checkpoints of the training, too: one that goes on has those up to there."""

    @property
    def _file(self) -> Path:
        return Path(self.experiment.metrics_file_path)

    def state_dict(self) -> dict[str, str]:
        """Return what was logged so far."""
        self.save()
        return {"rows": self._file.read_bytes().decode() if self._file.exists() else ""}

    def load_state_dict(self, state: dict[str, str]) -> None:
        """Go on after the rows of a checkpoint."""
        write_bytes(self._file, state["rows"].encode())
        self.experiment.metrics_keys = next(csv.reader(state["rows"].splitlines()), [])
        self.experiment.metrics = []
