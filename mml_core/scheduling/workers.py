"""What runs in a worker process: one step of one run, and nothing more.

A fork server preloads this module and the libraries that steps need; a worker is a fork of it, so that a
fresh process costs milliseconds. What the run's steps have in common (plugins, config, scheduler class) is
opened in the fork server, too, where it is told the run.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Mapping
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TextIO, cast

from mml_core.errors import MMLError
from mml_core.scheduling.opening import OpenRun, open_run
from mml_core.scheduling.pilot import work_step
from mml_core.scheduling.process_groups import kill_own_group, lead_group
from mml_core.scheduling.signals import RunInterrupted

RUN_VARIABLE = "MML_FORKSERVER_RUN"
"""Names the run that a fork server opens for the workers it will start."""

_opened: OpenRun | None = None


def main(run_dir: str, step_id: str, environment: Mapping[str, str], messages: Connection | None) -> None:
    """Do one step and exit as ``mml work RUN --step STEP`` does.

    Args:
        run_dir: The run's directory.
        step_id: The step.
        environment: That of the process that drives the run, with the GPUs of this step.
        messages: Where what is printed and how far the step is goes to; None: as is.
    """
    lead_group()
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if messages is not None:
        sys.stdout = sys.stderr = cast(TextIO, _Relay(messages))
    try:
        code = do_step(Path(run_dir), step_id)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    # What libraries do at exit (joining threads of loaders that were cut off) must not hold the worker up.
    os._exit(code)


def do_step(run_dir: Path, step_id: str) -> int:
    """Do one step of a run in this process and return the exit code."""
    from mml_core.config.logs import logging_on_console, logging_to

    opened = _opened
    with logging_on_console(), logging_to(run_dir):
        try:
            if opened is None or opened.run.path != run_dir:
                opened = open_run(run_dir)
            return work_step(opened, step_id)
        except RunInterrupted as error:
            return error.exit_code
        except MMLError as error:
            print(f"mml: {error}", file=sys.stderr)
            return error.exit_code


def _die_with_parent() -> None:
    """End this process and its programs when the one that drives the run is gone, however that ended."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        kill_own_group()


class _Relay:
    """A stream that hands on what is printed to the process that shows the progress of all."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, messages: Connection) -> None:
        self._messages = messages

    def write(self, text: str) -> int:
        """Send a text."""
        self._messages.send({"print": text})
        return len(text)

    def report(self, state: dict[str, Any]) -> None:
        """Send how far a bar is (see ``mml_core.data.progress``)."""
        self._messages.send(state)

    def flush(self) -> None:
        """Do nothing: texts are sent at once."""

    def isatty(self) -> bool:
        """Whether what shows the texts is a terminal."""
        return True


def _open_in_fork_server() -> None:
    global _opened
    run_dir = os.environ.get(RUN_VARIABLE)
    if run_dir:
        try:
            _opened = open_run(Path(run_dir))
        except Exception:
            _opened = None  # the worker that opens it itself says what is wrong
        gc.collect()
        gc.freeze()  # pages of what all workers share are not copied for their garbage collectors


_open_in_fork_server()
