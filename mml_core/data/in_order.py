"""Work in threads whose outcomes are taken in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Done = TypeVar("Done")

_AHEAD = 8
"""So many items for each thread are begun before the first that is not done."""


def in_order(
    work: Callable[[int], Done], items: Sequence[int], workers: int, take: Callable[[Done], object]
) -> None:
    """Call ``work`` with each item, in threads, and ``take`` with each outcome, in order and one at a time.

    No thread hands over to another that takes: the one that has done what comes next takes it, and what
    follows. So none has to be woken, and none waits while there is work.

    Args:
        work: Called in several threads at once.
        items: What it is called with.
        workers: How many threads work, the calling one among them.
        take: Called in any of them.

    Raises:
        Exception: What ``work`` or ``take`` raised of the first item, in order, that any was raised of; all
            before it are taken then.
    """
    line = _Line(work, items, take, workers)
    others = [threading.Thread(target=line.work_off) for _ in range(min(workers, len(items)) - 1)]
    try:
        for thread in others:
            thread.start()
        line.work_off()
        for thread in others:
            thread.join()
    finally:
        line.stop()  # the calling thread may have been interrupted
        for thread in others:
            if thread.ident is not None:
                thread.join()
    if line.error is not None:
        raise line.error


class _Line(Generic[Done]):
    def __init__(
        self, work: Callable[[int], Done], items: Sequence[int], take: Callable[[Done], object], workers: int
    ) -> None:
        self.error: Exception | None = None
        self._work, self._items, self._take, self._workers = work, items, take, workers
        self._begun = iter(range(len(items)))
        self._done: dict[int, tuple[Done | None, Exception | None]] = {}
        self._taken = 0
        self._stopped = False
        self._beginning, self._taking = threading.Lock(), threading.Lock()
        self._room = threading.Semaphore(_AHEAD * workers)

    def work_off(self) -> None:
        """Do items, and take what is next, until none is left to begin."""
        while (place := self._begin()) is not None:
            try:
                self._done[place] = self._work(self._items[place]), None
            except Exception as error:
                self._done[place] = None, error
            # Whoever takes looks again after it has let go, so that nothing is left that was done meanwhile.
            while self._taken in self._done and not self._stopped and self._taking.acquire(blocking=False):
                try:
                    self._take_next()
                finally:
                    self._taking.release()

    def stop(self) -> None:
        """Let all threads end when they have done what they are at."""
        self._stopped = True
        self._room.release(self._workers)

    def _begin(self) -> int | None:
        self._room.acquire()
        with self._beginning:
            return None if self._stopped else next(self._begun, None)

    def _take_next(self) -> None:
        while self._taken in self._done and not self._stopped:
            done, error = self._done.pop(self._taken)
            try:
                if error is not None:
                    raise error
                self._take(done)  # type: ignore[arg-type]  # there is an outcome where there is no error
            except Exception as failure:
                self.error = failure
                self.stop()
                return
            self._taken += 1
            self._room.release()
