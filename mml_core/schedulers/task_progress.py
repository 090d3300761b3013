"""Shows how far the check of a task's samples is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from mml_core.data.progress import progress
from mml_core.tasks.inspection import Progress


@contextmanager
def checking(task: str) -> Iterator[Progress]:
    """Show a bar from the first report on, which is when it is known how many samples there are."""
    with ExitStack() as stack:
        advance: Callable[[int], None] | None = None
        shown = 0

        def report(done: int, total: int) -> None:
            nonlocal advance, shown
            if advance is None:
                advance = stack.enter_context(progress(f"checking {task}", total))
            advance(done - shown)
            shown = done

        yield report
