"""The log file of a run: what goes to the console, with times, kept in the run's directory."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from typing_extensions import override

LOG_FILE = "log.txt"
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


@contextmanager
def logging_to(run_dir: Path | None) -> Iterator[None]:
    """Append what is logged inside the block to the run's log file; None for a run that writes nothing."""
    if run_dir is None:
        yield
        return
    handler = _LogFile(run_dir / LOG_FILE, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


@contextmanager
def logging_on_console() -> Iterator[None]:
    """Log inside the block as a job of Hydra's does (``hydra/job_logging: mml``), for a run that goes on."""
    root = logging.getLogger()
    handler, level = logging.StreamHandler(), root.level
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.INFO)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


class _LogFile(logging.FileHandler):
    """A log file that a full or broken disk costs lines, and the run nothing."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    @override
    def close(self) -> None:
        with suppress(OSError):  # what could not be written before
            super().close()
