"""Workers with all that they start: a process group each, so that no program outlives its killed worker."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType
from typing import Any


def lead_group() -> None:
    """Make this process the leader of a group, in which the programs that it starts will be, too.

    Such a group is in the background of a terminal. Programs in it may write there, and what they would read
    from it fails, where by default either would stop them for good.
    """
    os.setpgid(0, 0)
    for signum in (signal.SIGTTOU, signal.SIGTTIN):
        signal.signal(signum, signal.SIG_IGN)


def kill_own_group() -> None:
    """End this process and all that it has started."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def kill_left_over(leader: int) -> None:
    """End what the leader of a group, which has ended and was waited for, has left running.

    Args:
        leader: Its number. While a group has a member the system gives its number to nobody; where a process
            has it nevertheless, the group was empty and the number is a stranger's.
    """
    try:
        os.kill(leader, 0)
    except ProcessLookupError:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
    except PermissionError:
        pass


class SuspendedTogether:
    """Lets workers stop and go on with this process at Ctrl-Z and ``fg``, which reach its own group alone.

    Args:
        leaders: Returns the numbers of the workers that run.
    """

    def __init__(self, leaders: Callable[[], Iterable[int]]) -> None:
        self._leaders = leaders
        self._before: Any = None

    def begin(self) -> None:
        """Handle SIGTSTP, where this thread can and nobody else does."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            self._before = signal.signal(signal.SIGTSTP, self._suspend)

    def end(self) -> None:
        """Leave SIGTSTP to the system again."""
        if self._before is not None:
            signal.signal(signal.SIGTSTP, self._before)
            self._before = None

    def _suspend(self, signum: int, frame: FrameType | None) -> None:
        self._send(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._send(signal.SIGCONT)

    def _send(self, signum: signal.Signals) -> None:
        for leader in self._leaders():
            with suppress(ProcessLookupError):
                os.killpg(leader, signum)
