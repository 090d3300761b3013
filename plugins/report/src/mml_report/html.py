"""Pieces of HTML: text is escaped unless it says that it is markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from unicodedata import bidirectional

import numpy as np
import pandas as pd

CONTROL = {code: "\N{REPLACEMENT CHARACTER}" for code in [*range(32), 127] if chr(code) not in "\n\t"}
TURNING = frozenset(["R", "AL", "AN", "RLE", "LRE", "RLO", "LRO", "RLI", "LRI", "FSI", "PDF", "PDI"])
"""Classes of characters that are written from right to left, or turn the direction of others."""

WORD = 20
"""Words of more letters are broken where paper is too narrow for them; shorter ones never are."""


class Markup(str):
    """Text that is HTML already."""


def text(value: Any) -> Markup:
    """Escape a value, and isolate its direction of writing from what stands around it."""
    if isinstance(value, Markup):
        return value
    shown = escape(str(value).translate(CONTROL).encode("utf-8", "replace").decode())
    turns = not shown.isascii() and any(bidirectional(each) in TURNING for each in shown)
    return Markup(f"<bdi>{shown}</bdi>" if turns else shown)


def attribute(value: Any) -> str:
    """Escape a value for an attribute between double quotes."""
    return escape(str(value).translate(CONTROL).encode("utf-8", "replace").decode())


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], kind: str = "") -> str:
    """Return a table, which scrolls by itself where it is wide; cells that are numbers stand to the right.

    Args:
        caption: What it shows.
        columns: Names of the columns; those without a value in any row are left out.
        rows: A cell for each column.
        kind: Class of the table in the style sheet.

    Returns:
        Empty without rows.
    """
    if not rows:
        return ""
    kept = [place for place in range(len(columns)) if any(not _missing(row[place]) for row in rows)]
    heads = [text(columns[place]).replace("_", "_<wbr>") for place in kept]
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(_cell(row[place]) for place in kept)}</tr>" for row in rows)
    of = f' class="{kind}"' if kind else ""
    return (
        f'<div class="wide"><table{of}><caption><span>{text(caption)}</span></caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or value is pd.NA or value == ""


def _cell(value: Any) -> str:
    if _missing(value) or (isinstance(value, float) and math.isnan(value)):
        return "<td>-</td>"
    if isinstance(value, (bool, np.bool_)):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, (int, np.integer)):
        return f'<td class="number">{value}</td>'
    if isinstance(value, (float, np.floating)):
        return f'<td class="number">{value:.4g}</td>'
    longest = 0 if isinstance(value, Markup) else max(map(len, str(value).split()), default=0)
    return f'<td class="long">{text(value)}</td>' if longest > WORD else f"<td>{text(value)}</td>"


def folded(title: str, body: str) -> str:
    """Return a part that opens when its title is pressed, and is open in print; empty where it is empty."""
    if not body:
        return ""
    return f'<details class="fold"><summary>{text(title)}</summary></details><div class="folded">{body}</div>'


def note(said: str) -> str:
    """Return a remark of one paragraph."""
    return f'<p class="note">{text(said)}</p>' if said else ""


def flat(value: Any, caption: str) -> str:
    """Return JSON values as a table: a row for each innermost object, or each value of the outermost one."""
    rows = list(_rows(value, ()))
    if not rows:
        return ""
    depth = max(len(place) for place, _ in rows)
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    return table(
        caption,
        [*("" for _ in range(depth)), *columns],
        [
            (*place, *("" for _ in range(depth - len(place))), *(_short(row.get(key)) for key in columns))
            for place, row in rows
        ],
    )


def _rows(value: Any, place: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if not isinstance(value, Mapping):
        if value not in (None, [], ""):
            yield place, {"value": value}
        return
    plain = {key: each for key, each in value.items() if not isinstance(each, Mapping)}
    if plain:
        yield place, plain
    for key, each in value.items():
        if isinstance(each, Mapping):
            yield from _rows(each, (*place, key))


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(f"{each:.4g}" if isinstance(each, float) else str(each) for each in value)
    return value
