"""Making a folder all at once: it is filled under a private name, and appears whole or not at all."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mml_core.storage.atomic import fsync_dir, fsync_tree, make_dirs, publish_dir
from mml_core.storage.leases import Lease, LeaseHeldError

_POLL_SECONDS = 0.1


@contextmanager
def publishing(final: Path, *, replace: bool = False) -> Iterator[Path | None]:
    """Yield an empty private folder that becomes ``final`` when the block ends well.

    Of several processes that publish one folder at the same time, one works and the others wait for it.
    What a killed process left behind is removed by the next one.

    Args:
        final: The folder to publish.
        replace: Whether one that is there is replaced; it stays in place until the new one is finished.

    Yields:
        The private folder beside ``final``, or None where ``final`` is there already and is kept.
    """
    if final.is_dir() and not replace:
        yield None
        return
    make_dirs(final.parent)
    lease = _wait_for_lease(final, replace=replace)
    if lease is None:
        yield None
        return
    with lease:
        _clear_remains(final)
        if final.is_dir() and not replace:
            yield None
            return
        private = _hidden(final, secrets.token_hex(8), "partial")
        private.mkdir()
        try:
            yield private
            _put_in_place(private, final)
        finally:
            shutil.rmtree(private, ignore_errors=True)


def _wait_for_lease(final: Path, *, replace: bool) -> Lease | None:
    """Take the lease on ``final``, or return None once another process has published it."""
    while True:
        try:
            return Lease.acquire(final.with_name(f".{final.name}.lease"))
        except LeaseHeldError:
            if final.is_dir() and not replace:
                return None
            time.sleep(_POLL_SECONDS)


def _put_in_place(private: Path, final: Path) -> None:
    if not final.is_dir():
        publish_dir(private, final)
        return
    fsync_tree(private)
    old = _hidden(final, secrets.token_hex(8), "replaced")
    final.rename(old)
    private.rename(final)  # a kill just before this is made good by _clear_remains
    fsync_dir(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _hidden(final: Path, token: str, kind: str) -> Path:
    return final.with_name(f".{final.name}.{token}.{kind}")


def _clear_remains(final: Path) -> None:
    form = re.compile(rf"\.{re.escape(final.name)}\.[0-9a-f]{{16}}\.(partial|replaced)")
    remains = [path for path in final.parent.iterdir() if form.fullmatch(path.name)]
    for path in sorted(remains, key=lambda path: path.suffix, reverse=True):  # what was replaced comes first
        if path.suffix == ".replaced" and not final.exists():
            path.rename(final)
        else:
            shutil.rmtree(path, ignore_errors=True)
