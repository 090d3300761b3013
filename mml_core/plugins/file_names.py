"""File names as text: which are safe in every file system, and which look as if mml had numbered them."""

from __future__ import annotations

import re

LONGEST = 200
"""Bytes of the longest file or folder name."""

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_NUMBER_AT_END = re.compile(r"_(\d{4,})$")


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
    if RESERVED.fullmatch(name):
        return "is reserved on some systems"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is no valid Unicode"
    return f"is longer than {LONGEST} bytes" if size > LONGEST else ""


def split_suffix(name: str) -> tuple[str, str]:
    """Split a file name into stem and suffix, where the suffix may be empty."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")


def number_at_end(name: str) -> int | None:
    """Return the number mml has given to a file name, or None."""
    found = _NUMBER_AT_END.search(split_suffix(name)[0])
    return int(found[1]) if found else None


def ends_in_number(name: str) -> bool:
    """Tell whether a file name looks as if mml had numbered it."""
    return number_at_end(name) is not None
