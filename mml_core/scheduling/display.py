"""One live progress display for all steps that run in worker processes."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text


class Display:
    """Shows a bar per step that reports its progress, and above them what steps print.

    Args:
        console: Where; standard error where None.

    Messages are ``{"print": text}``, or the state of a bar as ``mml_core.data.progress`` reports it.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._texts: dict[str, str] = {}

    def show(self, step_id: str, message: dict[str, Any]) -> None:
        """Show what a step says."""
        if "print" in message:
            *lines, rest = (self._texts.get(step_id, "") + message["print"]).split("\n")
            self._texts[step_id] = rest
            for line in lines:
                self._print(line)
            return
        progress = self._open()
        state = {
            "description": message["label"],
            "completed": message["done"],
            "total": message["total"],
            "text": message["text"],
        }
        if step_id in self._bars:
            progress.update(self._bars[step_id], **state)
        else:
            self._bars[step_id] = progress.add_task(**state)

    def end(self, step_id: str) -> None:
        """Take away the bar of a step that ended."""
        rest = self._texts.pop(step_id, "")
        if rest:
            self._print(rest)
        bar = self._bars.pop(step_id, None)
        if bar is not None and self._progress is not None:
            self._progress.remove_task(bar)
        if not self._bars:
            self.close()

    def close(self) -> None:
        """Take the display away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _open(self) -> Progress:
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                BarColumn(bar_width=16),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn(
                    "{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
                ),
                console=self._console,
                transient=True,
            )
            self._progress.start()
        return self._progress

    def _print(self, line: str) -> None:
        self._console.print(Text.from_ansi(line), soft_wrap=True)
