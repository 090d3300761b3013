"""The folders of attempts: made, renamed away when their writer is dead, and removed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from mml_core.storage.atomic import fsync_dir, make_dirs
from mml_core.storage.errors import named_failures


def prepare_folder(folder: Path) -> None:
    """Make an attempt's folder; parents are made durably where they are missing."""
    with named_failures(folder):
        try:
            folder.mkdir()
        except FileExistsError:
            return
        except FileNotFoundError:
            make_dirs(folder)


def retire_attempt(folder: Path) -> Path | None:
    """Rename a dead attempt's folder away, so that its writer, if it still lives, cannot commit.

    Args:
        folder: The attempt's folder.

    Returns:
        Its new place, or None if there was no such folder.
    """
    retired = folder.with_name(f"{folder.name}.dead-{time.time_ns():x}")
    try:
        folder.rename(retired)
    except FileNotFoundError:
        return None
    fsync_dir(folder.parent)
    return retired


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it, which is most often nothing; one that is gone is fine."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError:
        with named_failures(folder):
            shutil.rmtree(folder, ignore_errors=False, onerror=_unless_gone)


def _unless_gone(function: Any, path: str, info: Any) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]


def fingerprint(found: os.stat_result) -> tuple[int, int, int]:
    """Return what tells that a file was not touched since: inode, size and time of change."""
    return found.st_ino, found.st_size, found.st_mtime_ns
