"""Progress of a long loop: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO, runtime_checkable

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_REPORTS = 0.1


@runtime_checkable
class Reporting(Protocol):
    """A stream that hands on progress to a process that shows the bars of several."""

    def report(self, state: dict[str, Any]) -> None:
        """Hand on ``{"label", "done", "total", "text"}`` of a bar."""


class Bar(Protocol):
    """A bar that is shown until it is closed."""

    def advance(self, items: int = 1) -> None:
        """Show that so many more items are done."""

    def tell(self, text: str) -> None:
        """Show a text beside the bar."""

    def close(self) -> None:
        """Take the bar away, or leave its last state."""


def open_bar(label: str, total: int | None, stream: TextIO) -> Bar:
    """Show a bar.

    Args:
        label: What is done.
        total: How many items there are; None: nobody knows.
        stream: A terminal, or what reports to one.
    """
    if isinstance(stream, Reporting):
        return _ReportedBar(label, total, stream)
    return _TerminalBar(label, total, stream)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far a loop is.

    Args:
        what: What is done.
        total: How many items there are.

    Yields:
        A function to call with the number of items that were finished since its last call.
    """
    if not sys.stderr.isatty():
        yield _lines(what, total)
        return
    bar = open_bar(what, total, sys.stderr)
    try:
        yield bar.advance
    finally:
        bar.close()


class _TerminalBar:
    def __init__(self, label: str, total: int | None, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        # A narrow terminal cuts what stands beside the bar, never the bar.
        cut = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        digits = len(str(total))
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=12, table_column=Column(min_width=12)),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=2 * digits + 1)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[text]}", table_column=cut),
            console=Console(file=stream),
            expand=True,
        )
        self._task = self._progress.add_task(label, total=total, text="")
        self._progress.start()

    def advance(self, items: int = 1) -> None:
        self._progress.advance(self._task, items)

    def tell(self, text: str) -> None:
        self._progress.update(self._task, text=text)

    def close(self) -> None:
        self._progress.stop()


class _ReportedBar:
    def __init__(self, label: str, total: int | None, stream: Reporting) -> None:
        self._stream = stream
        self._state: dict[str, Any] = {"label": label, "done": 0, "total": total, "text": ""}
        self._reported = 0.0
        self._report()

    def advance(self, items: int = 1) -> None:
        self._state["done"] += items
        if time.monotonic() - self._reported >= _SECONDS_BETWEEN_REPORTS:
            self._report()

    def tell(self, text: str) -> None:
        self._state["text"] = text
        self._report()

    def close(self) -> None:
        self._report()

    def _report(self) -> None:
        self._reported = time.monotonic()
        self._stream.report(dict(self._state))


def _lines(what: str, total: int) -> Callable[[int], None]:
    done = 0
    last = time.monotonic()

    def advance(items: int) -> None:
        nonlocal done, last
        done += items
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            log.info("%s: %d of %d", what, done, total)

    return advance
