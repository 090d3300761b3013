"""Durable, all-or-nothing writes: temp in the same folder, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mml_core.storage.errors import located_failures, named_failures

TEMP_PREFIX = ".tmp-"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV)


def fsync_file(path: Path) -> None:
    """Force the content of a file to the disk."""
    _fsync(path, os.O_RDONLY)


def fsync_dir(path: Path) -> None:
    """Force the entries of a folder (names made, renamed, removed) to the disk."""
    _fsync(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        with located_failures(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_dirs(path: Path) -> None:
    """Make a folder and its missing parents, so that they outlive a power loss.

    Args:
        path: The folder; one that exists costs a single call.

    Raises:
        NotADirectoryError: A file has its name, or that of a parent.
    """
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
        return
    except FileNotFoundError:
        make_dirs(path.parent)
        path.mkdir(exist_ok=True)
    fsync_dir(path.parent)


def temp_beside(path: Path) -> Path:
    """Return an unused name in the folder of ``path`` with its suffix, as writers choose formats by it."""
    return path.with_name(f"{TEMP_PREFIX}{secrets.token_hex(8)}{path.suffix}")


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``, however the operating system portions it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def create_file(path: Path, data: bytes) -> None:
    """Write and fsync a file that must not exist yet; nothing is left of it where that fails.

    Args:
        path: Its name, private to the caller until it is linked or renamed.
        data: Its whole content.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def replace(src: Path, dst: Path) -> None:
    """Rename a file that is already on the disk over ``dst``, durably.

    Args:
        src: A whole, fsynced file on the same file system.
        dst: Its final name; what was there is replaced at once.
    """
    with named_failures(dst):
        src.replace(dst)
        fsync_dir(dst.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; missing parent folders are made.

    Args:
        path: Its final name; what was there is replaced at once.
        data: Its whole content.

    Raises:
        WriteFailedError: The disk is full, broken or read-only; the old content is untouched.
    """
    with named_failures(path):
        make_dirs(path.parent)
        temp = temp_beside(path)
        create_file(temp, data)
        try:
            temp.replace(path)
        except BaseException:
            with suppress(OSError):
                temp.unlink()
            raise
        fsync_dir(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all (see `write_bytes`)."""
    write_bytes(path, text.encode())


def write_json(path: Path, obj: Any) -> None:
    """Write an object as indented JSON whole or not at all (see `write_bytes`).

    Args:
        path: Its final name.
        obj: Anything msgspec encodes: JSON values, dataclasses, Structs.
    """
    import msgspec

    write_bytes(path, msgspec.json.format(msgspec.json.encode(obj), indent=2) + b"\n")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temp path in the folder of ``path``; when the block ends well, it becomes ``path``.

    Args:
        path: The final name; missing parent folders are made.

    Yields:
        A name with the same suffix, for a writer that wants to open the file itself.

    Raises:
        WriteFailedError: The disk is full, broken or read-only; the old content is untouched.
        FileNotFoundError: The block wrote nothing to the path it was given.
    """
    with named_failures(path):
        make_dirs(path.parent)
        temp = temp_beside(path)
        try:
            yield temp
            fsync_file(temp)
            temp.replace(path)
            fsync_dir(path.parent)
        except BaseException:
            with suppress(OSError):
                temp.unlink()
            raise


def fsync_tree(folder: Path) -> None:
    """Force every file and folder below (and including) ``folder`` to the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root, name)
            if not file.is_symlink():
                fsync_file(file)
        fsync_dir(Path(root))


def publish_dir(tmp: Path, final: Path) -> None:
    """Give a finished private folder its final name: all of it appears, or nothing.

    Args:
        tmp: The private folder, on the same file system.
        final: The name it gets; its parents are made.

    Raises:
        FileExistsError: The final name is taken; ``tmp`` is left as it is.
        WriteFailedError: The disk is full, broken or read-only.
    """
    with named_failures(final):
        fsync_tree(tmp)
        make_dirs(final.parent)
        # rename() replaces an empty folder silently, so a taken name is refused first; of two
        # publishers that both pass this, the second meets a folder that is not empty.
        if os.path.lexists(final):
            raise FileExistsError(f"'{final}' exists already")
        try:
            tmp.rename(final)
        except OSError as error:
            if os.path.lexists(final):
                raise FileExistsError(f"'{final}' exists already") from error
            raise
        fsync_dir(final.parent)


def exchange(first: Path, second: Path) -> bool:
    """Swap the files or folders that two names stand for, with no moment in which one of them is missing.

    Args:
        first: One name.
        second: The other, in the same file system.

    Returns:
        False where the operating system or the file system cannot do it; nothing has changed then.
    """
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # Linux has it
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        if code in _NO_EXCHANGE:
            return False
        raise OSError(code, os.strerror(code), str(first), None, str(second))
    return True
