"""One display of the progress of all worker processes."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from mml_core.data.progress import open_bar
from mml_core.scheduling.display import Display


class Messages(io.StringIO):
    """A stream that keeps what is reported."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[dict[str, Any]] = []

    def report(self, state: dict[str, Any]) -> None:
        self.states.append(state)


def test_a_bar_of_a_worker_is_reported_and_not_drawn() -> None:
    stream = Messages()
    bar = open_bar("train a, fold 0", 4, stream)
    bar.advance(3)
    bar.tell("loss 0.1")
    bar.close()
    assert stream.getvalue() == ""
    assert stream.states[0] == {"label": "train a, fold 0", "done": 0, "total": 4, "text": ""}
    assert stream.states[-1] == {"label": "train a, fold 0", "done": 3, "total": 4, "text": "loss 0.1"}


def test_bars_of_all_steps_are_shown_below_what_they_print() -> None:
    shown = io.StringIO()
    display = Display(Console(file=shown, force_terminal=True, width=80))
    for number in range(2):
        state = {"label": f"train a, fold {number}", "done": number, "total": 9, "text": f"loss {number}"}
        display.show(f"step{number}", state)
    display.show("step0", {"print": "INFO first line\nsecond "})
    display.show("step0", {"print": "line"})
    display.end("step0")
    display.end("step1")
    text = shown.getvalue()
    for part in (
        "train a, fold 0",
        "train a, fold 1",
        "0/9",
        "1/9",
        "loss 1",
        "INFO first line",
        "second line",
    ):
        assert part in text
