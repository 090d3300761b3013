"""Commit by hard link: the first one to link a name owns it, on network file systems too."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mml_core.storage.atomic import create_file, fsync_dir
from mml_core.storage.errors import NoHardLinksError, lacks_hard_links, named_failures


def link_exclusive(src: Path, dst: Path) -> bool:
    """Give ``src`` the further name ``dst`` unless that is taken.

    A network file system may execute a link and lose the reply; the repeated call then says that the
    name exists. So after that error the inode decides, not the error.

    Args:
        src: A whole, fsynced file.
        dst: The name to take, on the same file system.

    Returns:
        True if ``dst`` is now ``src``, False if it is another file.

    Raises:
        NoHardLinksError: The file system offers no hard links.
    """
    try:
        os.link(src, dst)
    except FileExistsError:
        return same_file(src, dst)
    except OSError as error:
        if lacks_hard_links(error):
            raise NoHardLinksError(dst, error) from error
        raise
    return True


def same_file(first: Path, second: Path) -> bool:
    """Tell whether two names are one inode; a name that is gone is not."""
    try:
        one, other = os.lstat(first), os.lstat(second)
    except FileNotFoundError:
        return False
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def commit_record(data: bytes, private: Path, final: Path) -> bool:
    """Commit a record: write it privately, fsync, link it in place, unlink, fsync the folder.

    Args:
        data: The whole record.
        private: A name only the caller uses, on the same file system; gone afterwards.
        final: The name that makes it committed; its folder exists.

    Returns:
        True if this record is the committed one, False if another was first.

    Raises:
        WriteFailedError: The disk is full, broken or read-only; nothing was committed, unless the
            failure was that of the last fsync.
        FileNotFoundError: The folder of ``private`` was taken away: the caller lost its claim.
    """
    with named_failures(final):
        create_file(private, data)
        try:
            committed = link_exclusive(private, final)
        finally:
            with suppress(FileNotFoundError):
                private.unlink()
        fsync_dir(final.parent)
    return committed
