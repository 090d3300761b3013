"""Targets: what a template becomes for a task and a file name."""

from __future__ import annotations

from mml_core.files.assignments import FILE, TASK, Assignment
from mml_core.files.errors import SavingPathError
from mml_core.files.layout import OWN_FOLDERS, Layout
from mml_core.files.names import check_file_name, ends_in_number, task_folder


def check_names(assignment: Assignment, task_name: str | None, file_name: str | None) -> None:
    """Refuse a task or file name that does not fit a template.

    Raises:
        SavingPathError: One is missing, not wanted, or not possible.
    """
    _check_given(assignment, TASK, "task_name", task_name, assignment.per_task)
    _check_given(assignment, FILE, "file_name", file_name, assignment.takes_file_name)
    if task_name is not None:
        task_folder(task_name)
    if file_name is not None:
        check_file_name(file_name)
        if ends_in_number(file_name):
            raise SavingPathError(
                f"The file name {file_name!r} ends like a number mml would give; choose another one."
            )
    first = _filled(assignment, task_name, file_name)[0]
    if not assignment.temporary and first.casefold() in OWN_FOLDERS:
        raise SavingPathError(
            f"The path key '{assignment.key}' would save at {first!r} in the project's folder, which belongs "
            "to mml; choose another name."
        )


def target_of(assignment: Assignment, task_name: str | None, file_name: str | None, layout: Layout) -> str:
    """Return where a file will lie, its number aside, relative to the project's folder."""
    root = layout.temp.relative_to(layout.project).parts if assignment.temporary else ()
    return "/".join((*root, *_filled(assignment, task_name, file_name)))


def _filled(assignment: Assignment, task_name: str | None, file_name: str | None) -> list[str]:
    filled = {TASK: task_folder(task_name) if task_name else "", FILE: file_name or ""}
    return [filled.get(part, part) for part in assignment.parts[1:]]


def _check_given(
    assignment: Assignment, placeholder: str, name: str, value: str | None, needed: bool
) -> None:
    if needed and value is None:
        raise SavingPathError(
            f"The path key '{assignment.key}' has {placeholder} in its template; give {name}."
        )
    if not needed and value is not None:
        raise SavingPathError(
            f"The path key '{assignment.key}' has no {placeholder} in its template "
            f"({assignment.template}); leave out {name}={value!r}."
        )
    if value is not None and not isinstance(value, str):
        raise SavingPathError(f"{name}={value!r} is no text; give the name as one.")
