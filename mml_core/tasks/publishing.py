"""Making a folder all at once: it is filled under a private name, and appears whole or not at all."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mml_core.storage.atomic import exchange, fsync_dir, fsync_tree, make_dirs, publish_dir
from mml_core.storage.errors import named_failures
from mml_core.storage.leases import Lease, LeaseHeldError
from mml_core.tasks.errors import CreationError

_POLL_SECONDS = 0.1

Fits = Callable[[Path], bool]
"""Tells of a folder that was taken out of the way whether it may come back."""


@contextmanager
def publishing(
    final: Path, *, replace: bool = False, fits: Fits = lambda folder: True
) -> Iterator[Path | None]:
    """Yield an empty private folder that becomes ``final`` when the block ends well.

    Of several processes that publish one folder at the same time, one works and the others wait for it.
    What a killed process left behind is removed by the next one.

    Args:
        final: The folder to publish.
        replace: Whether one that is there is replaced; it stays in place until the new one is finished.
        fits: Whether what was there before may come back where it was hidden and nothing took its place.

    Yields:
        The private folder beside ``final``, or None where ``final`` is there already and is kept.

    Raises:
        CreationError: ``final`` is no folder.
        WriteFailedError: The disk is full, broken or read-only; what was there is untouched.
    """
    if final.is_dir() and not replace:
        yield None
        return
    with named_failures(final):
        make_dirs(final.parent)
    lease = _wait_for_lease(final, replace=replace)
    if lease is None:
        yield None
        return
    with lease:
        _clear_remains(final, fits)
        if final.is_dir() and not replace:
            yield None
            return
        if final.exists() and not final.is_dir():
            raise CreationError(f"{final} is no folder: move it away.")
        private = _hidden(final, "partial")
        try:
            with named_failures(final):
                private.mkdir()
            with _naming_failures_in(private, final):
                yield private
            with named_failures(final):
                _put_in_place(private, final)
        finally:
            _remove(private)
            _clear_remains(final, fits)


def hide(final: Path) -> None:
    """Take a folder out of sight while what it depends on is replaced.

    To be called in the block that publishes ``final`` anew: where that fails, the old one comes back if it
    still fits.
    """
    if final.is_dir():
        with named_failures(final):
            final.rename(_hidden(final, "replaced"))
            fsync_dir(final.parent)


def heal(final: Path) -> bool:
    """Undo a replacement that was killed in the middle; tell whether the folder is there now."""
    if not final.is_dir() and final.parent.is_dir() and any(_remains(final)):
        lease = _wait_for_lease(final, replace=False)
        if lease is not None:
            with lease:
                _clear_remains(final, lambda folder: True)
    return final.is_dir()


def _wait_for_lease(final: Path, *, replace: bool) -> Lease | None:
    """Take the lease on ``final``, or return None once another process has published it."""
    while True:
        try:
            return Lease.acquire(final.with_name(f".{final.name}.lease"))
        except LeaseHeldError:
            if final.is_dir() and not replace:
                return None
            time.sleep(_POLL_SECONDS)


@contextmanager
def _naming_failures_in(private: Path, final: Path) -> Iterator[None]:
    """Name ``final`` where its private folder cannot be written, unless the failing file is elsewhere."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not Path(str(error.filename)).is_relative_to(private):
            raise
        with named_failures(final):
            raise


def _put_in_place(private: Path, final: Path) -> None:
    if not final.is_dir():
        publish_dir(private, final)
        return
    fsync_tree(private)
    if not exchange(private, final):
        final.rename(_hidden(final, "replaced"))
        private.rename(final)  # a kill just before this is made good by _clear_remains
    fsync_dir(final.parent)


def _hidden(final: Path, kind: str) -> Path:
    return final.with_name(f".{final.name}.{secrets.token_hex(8)}.{kind}")


def _remains(final: Path) -> Iterator[Path]:
    form = re.compile(rf"\.{re.escape(final.name)}\.[0-9a-f]{{16}}\.(partial|replaced)")
    return (path for path in final.parent.iterdir() if form.fullmatch(path.name))


def _clear_remains(final: Path, fits: Fits) -> None:
    for path in sorted(
        _remains(final), key=lambda path: path.suffix, reverse=True
    ):  # the replaced come first
        if path.suffix == ".replaced" and not final.exists() and fits(path):
            path.rename(final)
        else:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
