"""Tables for people and programs: boxes on a terminal, plain columns in a pipe, JSON on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def show(
    rows: Rows, columns: Sequence[str], *, title: str = "", empty: str = "", as_json: bool = False
) -> None:
    """Print rows on standard output.

    Args:
        rows: One mapping per row; what is not in ``columns`` appears in JSON only.
        columns: Keys to show, in order; they are the headings, too.
        title: Heading of the table for people.
        empty: What to say to people when there are no rows.
        as_json: Print a JSON list instead.
    """
    if as_json:
        print(json.dumps([dict(row) for row in rows], indent=2, default=str))
    elif not rows:
        print(f"{title}: {empty}" if title and empty else empty or f"{title}: none")
    elif sys.stdout.isatty():
        _show_boxes(rows, columns, title)
    else:
        _show_plain(rows, columns, title)


def show_files(made: Rows, project: Path) -> None:
    """Print where the files are that steps made, one row per task and key.

    Args:
        made: What the steps returned, with ``task`` and ``files``: key → path.
        project: The project's folder; paths in it are shown relative to it.
    """
    places: dict[tuple[str, str], list[str]] = {}
    for result in made:
        for key, path in result["files"].items():
            places.setdefault((str(result["task"]), key), []).append(_below(path, project))
    rows = [{"task": task, "key": key, "files": _braced(paths)} for (task, key), paths in places.items()]
    show(rows, ["task", "key", "files"], title=f"Files in {project}")


def text_of(value: Any) -> str:
    """Return a cell as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(text_of(each) for each in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text_of(each)}" for key, each in value.items())
    return str(value)


def _show_boxes(rows: Rows, columns: Sequence[str], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")  # a path that is cut is of no use
    for row in rows:
        table.add_row(*(Text(text_of(row.get(column))) for column in columns))
    Console().print(table)


def _show_plain(rows: Rows, columns: Sequence[str], title: str) -> None:
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[" ".join(text_of(row.get(column)).split()) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    if title:
        print(f"{title}:")
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _braced(paths: Sequence[str]) -> str:
    """Return paths as one word a shell expands: what differs stands in braces."""
    if len(paths) == 1:
        return paths[0]
    start = _common_start(paths)
    end = _common_start([path[len(start) :][::-1] for path in paths])[::-1]
    middles = [path[len(start) : len(path) - len(end)] for path in paths]
    return f"{start}{{{','.join(middles)}}}{end}"


def _common_start(texts: Sequence[str]) -> str:
    shortest = min(texts, key=len)
    length = next((at for at in range(len(shortest)) if len({text[at] for text in texts}) > 1), len(shortest))
    return shortest[:length]


def _below(path: str, project: Path) -> str:
    place = Path(path)
    return place.relative_to(project).as_posix() if place.is_relative_to(project) else str(place)
