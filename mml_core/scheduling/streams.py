"""Standard output and error of a run, which goes on when nobody can read them any more."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

log = logging.getLogger(__name__)


@contextmanager
def outlasting_readers() -> Iterator[None]:
    """Drop what is printed inside the block once it cannot be written, as when `head` has read enough.

    What a step prints is no result of it, so that it must not fail the step. Only the process's own streams
    are looked after: where output is redirected to something else, as in a notebook, that is left alone.
    """
    with ExitStack() as stack:
        for name, stream in (("stdout", sys.__stdout__), ("stderr", sys.__stderr__)):
            if stream is not None and getattr(sys, name) is stream:
                stack.enter_context(_outlasting(name, stream))
        yield


@contextmanager
def _outlasting(name: str, stream: TextIO) -> Iterator[None]:
    stream.flush()
    raw = _Descriptor(stream.fileno(), "wb", closefd=False)
    made = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=name == "stderr" or stream.isatty(),
    )
    setattr(sys, name, made)
    try:
        yield
    finally:
        made.flush()
        setattr(sys, name, stream)
        if raw.error is not None and not isinstance(raw.error, BrokenPipeError):
            what = {"stdout": "Standard output", "stderr": "Standard error"}[name]
            log.warning(
                "%s cannot be written: %s; what was printed after that is lost, the run is not.",
                what,
                os.strerror(raw.error.errno or 0).lower(),
            )


class _Descriptor(io.FileIO):
    """A file descriptor that leads nowhere from the first write on that fails.

    Attributes:
        error: Why it failed.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)
