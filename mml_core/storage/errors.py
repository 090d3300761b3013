"""What storage raises when the disk, and not the program, is the cause."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mml_core.errors import MMLError

_ADVICE = {
    errno.ENOSPC: "free space there",
    errno.EDQUOT: "free space there or ask for more quota",
    errno.EFBIG: "choose a place that takes larger files",
    errno.EIO: "check the disk or the network mount",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "choose a place that can be written to",
    errno.ENOTDIR: "a file lies where a folder is needed: move it away",
    errno.ENAMETOOLONG: "use shorter names",
}
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class WriteFailedError(MMLError):
    """A file could not be written; nothing of it is visible under its name.

    Attributes:
        errno: The cause as the operating system numbers it.
    """

    def __init__(self, path: Path, cause: OSError, *, advice: str = "") -> None:
        self.errno = cause.errno
        reason = os.strerror(cause.errno).lower() if cause.errno else str(cause)
        advice = advice or _ADVICE.get(cause.errno or 0, "check the place")
        super().__init__(f"Cannot write '{path}': {reason}; {advice}, then run the same again.")


class NoHardLinksError(WriteFailedError):
    """The file system offers no hard links, so nothing can be committed on it safely."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(path, cause, advice="this file system has no hard links: put the results elsewhere")


@contextmanager
def named_failures(path: Path) -> Iterator[None]:
    """Turn what a full, broken or read-only disk raises into one line that names ``path``.

    Args:
        path: The file that is being written.

    Raises:
        WriteFailedError: In place of such an ``OSError``; any other passes unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _ADVICE:
            raise WriteFailedError(path, error) from error
        raise


@contextmanager
def located_failures(path: Path) -> Iterator[None]:
    """Let an ``OSError`` of a full, broken or read-only disk that names no file name ``path``.

    Args:
        path: The file that is being written, or the folder in which it lies.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _ADVICE:
            error.filename = str(path)
        raise


def lacks_hard_links(error: OSError) -> bool:
    """Tell whether ``os.link`` failed because the file system cannot do it at all."""
    return error.errno in _NO_LINKS
