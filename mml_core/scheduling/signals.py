"""Signals that ask a run to stop: they end a step by an exception, but never a commit."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 75}
"""What the process exits with after each signal."""


class RunInterrupted(BaseException):
    """A signal asked the run to stop; not an Exception, so that no step mistakes it for an error of its own.

    Attributes:
        signum: The signal.
        exit_code: What the process exits with.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signal.Signals(signum)
        self.exit_code = EXIT_CODES[self.signum]
        super().__init__(f"interrupted by {self.signum.name}")


class SignalGuard:
    """Raises RunInterrupted in the main thread when a signal asks to stop, at once or after a deferred block.

    A request stays: where a step swallows the exception, the next check raises it again. Handlers are those
    of the process: they are set by ``with guard:`` and put back at its end. In another thread than the main
    one Python allows no handlers, and the guard does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._depth = 0
        self._polled = False
        self._requested: int | None = None
        self._pid = os.getpid()

    def __enter__(self) -> SignalGuard:
        if threading.current_thread() is threading.main_thread():
            for signum in EXIT_CODES:
                self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
        self._before.clear()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait until the end of the block."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        self.check()

    @property
    def requested(self) -> bool:
        """Whether a signal asked to stop."""
        return self._requested is not None

    @contextmanager
    def polled(self) -> Iterator[None]:
        """Let a signal wait until the block calls ``check``, or ends: it can stop in some places only.

        Ctrl-C, pressed again, does not wait.
        """
        before, self._polled = self._polled, True
        try:
            yield
        finally:
            self._polled = before
        self.check()

    def check(self) -> None:
        """Raise RunInterrupted if a signal asked to stop and nothing defers it."""
        if self._requested is not None and self._depth == 0:
            raise RunInterrupted(self._requested)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a forked child, such as a loader's worker: its parent decides
            if signum == signal.SIGTERM:
                signal.signal(signum, signal.SIG_DFL)
                os.kill(os.getpid(), signum)
            return
        again = signum == signal.SIGINT == self._requested
        self._requested = signum
        if again or not self._polled:
            self.check()
