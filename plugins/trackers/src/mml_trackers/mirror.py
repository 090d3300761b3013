"""Copying the journal of a run to its trackers, in a process of its own: nothing there touches a training.

Run as ``python -m mml_trackers.mirror RUN_DIR`` by the process that leads the run, which holds the other end
of its standard input: when that is closed, the run has ended, or was killed.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mml_trackers.journal import FOLDER, Journal
from mml_trackers.options import (
    MLflowOptions,
    TrackerOptions,
    WandbOptions,
    logging_of,
    read_options,
    variables_in,
)
from mml_trackers.tracked import Tracker, end_of

_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "WANDB_API_KEY")
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")


def main(run_dir: Path) -> int:
    """Copy until standard input is closed, then all that is left.

    Returns:
        1 where a tracker has not got all; the journal says which, and why.
    """
    journal = Journal(run_dir / FOLDER)
    with _alone(journal):
        mirror = Mirror(journal)
        while not select.select([sys.stdin], [], [], mirror.every)[0]:
            mirror.update()
        return 1 if mirror.finish() else 0


def copy_once(run_dir: Path) -> tuple[list[str], dict[str, str]]:
    """Copy what the journal of a run holds by now.

    Returns:
        The trackers, and those of them that failed with the cause.

    Raises:
        TrackerError: None of them is installed, or an option cannot be.
    """
    journal = Journal(run_dir / FOLDER)
    with _alone(journal):
        mirror = Mirror(journal)
        for options in [] if mirror.names else mirror.asked:
            options.require_installed()
        return mirror.names, mirror.finish()


class Mirror:
    """Copies a journal to the trackers that the run's config names.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._run = journal.read("run") or {}
        self.asked = read_options(logging_of(self._run.get("config") or {}))
        self._options = [each for each in self.asked if each.installed]
        self._trackers: dict[str, Tracker] = {}
        self._failed: set[str] = set()
        live = [each.every for each in self._options if isinstance(each, MLflowOptions)]
        self.every: float | None = min(live, default=None)

    @property
    def names(self) -> list[str]:
        """The trackers."""
        return [each.name for each in self._options]

    def update(self) -> None:
        """Copy what is new; a tracker that fails is left in peace until the run ends."""
        steps = self._journal.steps()
        for options in self._options:
            if options.name not in self._failed:
                try:
                    self._tracker(options).update(steps)
                except Exception:
                    self._failed.add(options.name)

    def finish(self) -> dict[str, str]:
        """Copy all, and return which trackers failed and why."""
        steps, end = self._journal.steps(), end_of(self._journal)
        problems = {}
        for options in self._options:
            try:
                self._tracker(options).finish(steps, end)
            except Exception as error:
                problems[options.name] = without_secrets(f"{type(error).__name__}: {error}", self._secrets())
        if problems:
            self._journal.note_problems(problems)
        return problems

    def _secrets(self) -> list[str]:
        named = [os.environ.get(name, "") for name in (*_SECRETS, *variables_in(self._run.get("config")))]
        return [value for value in named if len(value) > 3]

    def _tracker(self, options: TrackerOptions) -> Tracker:
        if options.name not in self._trackers:
            self._trackers[options.name] = _make(options, self._run)
        return self._trackers[options.name]


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a message in one line, without secrets and without the passwords of addresses."""
    text = _PASSWORD.sub(r"\1***@", text)
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(text.split())[:500]


def _make(options: TrackerOptions, run: dict[str, Any]) -> Tracker:
    if isinstance(options, MLflowOptions):
        from mml_trackers.mlflow_tracker import MLflowTracker

        return MLflowTracker(options, run)
    assert isinstance(options, WandbOptions)
    from mml_trackers.wandb_tracker import WandbTracker

    return WandbTracker(options, run)


@contextmanager
def _alone(journal: Journal) -> Iterator[None]:
    """Wait for the process that copies for an earlier session of the run, which may not have seen its end."""
    journal.folder.mkdir(parents=True, exist_ok=True)
    with (journal.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
