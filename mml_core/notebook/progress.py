"""A bar that shows how many steps of a run are done, whoever does them."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mml_core.errors import MMLError
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.runs import summarise

_SECONDS = 0.5
"""Between two looks at the run."""


@contextmanager
def showing_steps(run_dir: Path | None, wanted: bool | None) -> Iterator[None]:
    """Show a bar while the block works on a run.

    Args:
        run_dir: Its directory; None: there is nothing to show.
        wanted: Whether to show it; None: in notebooks, as terminals have the bars of the steps themselves.
    """
    if run_dir is None or not ("ipykernel" in sys.modules if wanted is None else wanted):
        yield
        return
    ended = threading.Event()
    bar = _bar(run_dir.name)
    watcher = threading.Thread(target=_watch, args=(run_dir, bar, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        bar.close()


def _bar(name: str) -> Any:
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # without widgets the bar is text, which is fine
        from tqdm.auto import tqdm

    return tqdm(desc=name, unit="step", leave=True)


def _watch(run_dir: Path, bar: Any, ended: threading.Event) -> None:
    while not ended.wait(_SECONDS):
        _show(run_dir, bar)
    _show(run_dir, bar)


def _show(run_dir: Path, bar: Any) -> None:
    with suppress(MMLError, OSError):  # not described yet, or being written
        found = summarise(RunDirectory(run_dir))
        if (bar.total, bar.n) != (found.steps, found.steps_done):  # a notebook may keep every line
            bar.total, bar.n = found.steps, found.steps_done
            bar.refresh()
