"""Names that are safe in every file system: task folders, reversibly, and file names."""

from __future__ import annotations

import re
from urllib.parse import quote

from mml_core.files.errors import SavingPathError

GLOBAL_SLOT = "@global"
"""Stands for "no task" among task folders; no task's folder has this name, as '@' is always encoded."""

_LONGEST = 200
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_NUMBER_AT_END = re.compile(r"_(\d{4,})$")


def task_folder(task: str) -> str:
    """Return the folder name of a task; what is unsafe in it is percent-encoded.

    Args:
        task: Any name, tags included, such as ``digits+nested?0``.

    Raises:
        SavingPathError: The name is empty or too long.
    """
    if not task:
        raise SavingPathError("A task name is empty; give the name of the task or None.")
    try:
        folder = quote(task, safe="+")
    except UnicodeEncodeError as error:
        raise SavingPathError(f"The task name {task!r} is no valid Unicode; rename the task.") from error
    folder = folder.replace("~", "%7E")
    if folder.startswith(".") or _RESERVED.fullmatch(folder):
        folder = f"%{ord(folder[0]):02X}{folder[1:]}"
    if folder.endswith("."):
        folder = folder[:-1] + "%2E"
    if len(folder) > _LONGEST:
        raise SavingPathError(
            f"The task name {task[:40]!r}… needs a folder name of {len(folder)} characters; "
            f"at most {_LONGEST} are possible, so shorten it."
        )
    return folder


def slot(task: str | None) -> str:
    """Return the folder under which records and numbers of a task, or of no task, are kept."""
    return GLOBAL_SLOT if task is None else task_folder(task)


def check_file_name(name: str) -> None:
    """Refuse a file name that some file system, or mml itself, gives another meaning.

    Raises:
        SavingPathError: It says what is wrong with the name.
    """
    problem = file_name_problem(name)
    if problem:
        raise SavingPathError(f"The file name {name!r} {problem}; choose another one.")


def file_name_problem(name: str) -> str:
    """Return what is wrong with a file name, or an empty string."""
    if not name:
        return "is empty"
    if found := _UNSAFE.search(name):
        return f"contains {found.group()!r}"
    if name.startswith("."):
        return "begins with a dot"
    if name != name.strip() or name.endswith("."):
        return "begins or ends with a blank or ends with a dot"
    if _RESERVED.fullmatch(name):
        return "is reserved on some systems"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is no valid Unicode"
    return f"is longer than {_LONGEST} bytes" if size > _LONGEST else ""


def split_suffix(name: str) -> tuple[str, str]:
    """Split a file name into stem and suffix, where the suffix may be empty."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")


def ends_in_number(name: str) -> bool:
    """Tell whether a file name looks as if mml had numbered it."""
    return number_at_end(name) is not None


def number_at_end(name: str) -> int | None:
    """Return the number mml has given to a file name, or None."""
    found = _NUMBER_AT_END.search(split_suffix(name)[0])
    return int(found[1]) if found else None


def numbered(name: str, number: int) -> str:
    """Return ``<stem>_<NNNN><suffix>``."""
    stem, suffix = split_suffix(name)
    return f"{stem}_{number:04d}{suffix}"
