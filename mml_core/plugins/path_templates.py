"""Templates of paths as text: each rule that they and their keys follow, and when two can name one path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mml_core.plugins.file_names import ends_in_number, file_name_problem

ROOTS = ("PROJ_PATH", "TEMP_PATH")
TASK, FILE = "TASK_NAME", "FILE_NAME"
RUNS, SWEEPS = "runs", "sweeps"
OWN_FOLDERS = (".mml", RUNS, SWEEPS)
"""The folders of a project that belong to mml."""

_KEY = re.compile(r"[a-z][a-z0-9_]*")
_UPPER = re.compile(r"[A-Z][A-Z0-9_]*")
_PLACEHOLDER = re.compile(r"(PROJ|TEMP|TASK|FILE)_(PATH|NAME)|\b[A-Z0-9_]+_(PATH|NAME)\b")


def key_problem(key: str) -> str:
    """Return what is wrong with a path key, or an empty string."""
    if _KEY.fullmatch(key) and key not in ("auto", "clean_up"):
        return ""
    return "a key consists of a-z, 0-9 and '_', begins with a letter and is neither 'auto' nor 'clean_up'"


def template_problems(template: str, *, reusable: bool) -> list[str]:
    """Return every rule that a template violates.

    Args:
        template: Such as ``"PROJ_PATH/MAPS/TASK_NAME/map.png"``.
        reusable: Whether other runs and projects may load what is stored by it.
    """
    parts = template.split("/")
    return list(dict.fromkeys([*_form_problems(parts), *(_reuse_problems(parts) if reusable else ())]))


def overlap(one: Sequence[str], two: Sequence[str]) -> bool:
    """Tell whether some task and file name give two templates, split into components, one path."""
    if one[0] != two[0] or len(one) != len(two):
        return False
    if one[0] == "TEMP_PATH":
        return tuple(one) == tuple(two)
    return all(
        {left, right} & {TASK, FILE} or left.casefold() == right.casefold()  # some file systems fold case
        for left, right in zip(one, two, strict=True)
    )


def _form_problems(parts: Sequence[str]) -> Iterator[str]:
    root, *inner = parts
    if re.fullmatch(r"([A-Za-z]:.*)?", root) and inner:
        yield "the path is absolute; it must begin with PROJ_PATH or TEMP_PATH"
    elif root not in ROOTS:
        yield f"it must begin with PROJ_PATH or TEMP_PATH, not with {root!r}"
    if not inner or parts[-1] == TASK:
        yield "it ends in a folder; a file must come last"
    for index, part in enumerate(inner, start=1):
        yield from _part_problems(part, last=index == len(inner))
    if parts.count(TASK) > 1:
        yield "TASK_NAME may be used once"
    if root != "TEMP_PATH" and inner and inner[0].casefold() in OWN_FOLDERS:
        yield f"the folder {inner[0]!r} of a project belongs to mml"
    if parts[-1] != FILE and ends_in_number(parts[-1]):
        yield "its file name ends like a number mml would give"


def _part_problems(part: str, *, last: bool) -> Iterator[str]:
    if part == "":
        yield "it has an empty component"
    elif part in (".", ".."):
        yield f"it has the component {part!r}"
    elif part == FILE:
        if not last:
            yield "FILE_NAME may only come last"
    elif part in ROOTS:
        yield f"{part} may only come first"
    elif part != TASK:
        if found := _PLACEHOLDER.search(part):
            if found.group() in (*ROOTS, TASK, FILE):
                yield f"the placeholder {found.group()} must be a whole component, not part of {part!r}"
            else:
                known = ", ".join((*ROOTS, TASK, FILE))
                yield f"unknown placeholder {found.group()!r}; known are {known}"
        if problem := file_name_problem(part):
            yield f"the component {part!r} {problem}"


def _reuse_problems(parts: Sequence[str]) -> Iterator[str]:
    if parts[0] == "TEMP_PATH":
        yield "what lies below TEMP_PATH is removed after the run, so it cannot be reusable"
    elif TASK in parts and not (len(parts) == 4 and parts[2] == TASK and _UPPER.fullmatch(parts[1])):
        yield "a reusable path per task must read PROJ_PATH/<UPPER CASE>/TASK_NAME/<file>"
