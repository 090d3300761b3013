"""Names that are safe in every file system: task folders, reversibly, and file names."""

from __future__ import annotations

from urllib.parse import quote

from mml_core.files.errors import SavingPathError
from mml_core.plugins.file_names import LONGEST, RESERVED
from mml_core.plugins.file_names import ends_in_number as ends_in_number
from mml_core.plugins.file_names import file_name_problem as file_name_problem
from mml_core.plugins.file_names import number_at_end as number_at_end
from mml_core.plugins.file_names import split_suffix as split_suffix

GLOBAL_SLOT = "@global"
"""Stands for "no task" among task folders; no task's folder has this name, as '@' is always encoded."""


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
    if folder.startswith(".") or RESERVED.fullmatch(folder):
        folder = f"%{ord(folder[0]):02X}{folder[1:]}"
    if folder.endswith("."):
        folder = folder[:-1] + "%2E"
    if len(folder) > LONGEST:
        raise SavingPathError(
            f"The task name {task[:40]!r}… needs a folder name of {len(folder)} characters; "
            f"at most {LONGEST} are possible, so shorten it."
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


def numbered(name: str, number: int) -> str:
    """Return ``<stem>_<NNNN><suffix>``."""
    stem, suffix = split_suffix(name)
    return f"{stem}_{number:04d}{suffix}"
