"""Turns docstrings in Google style into Markdown: sections, their items, and code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from textwrap import dedent

_SECTION = re.compile(r"^(Args|Attributes|Example|Raises|Returns|Yields):\n", re.MULTILINE)
_ITEM = re.compile(r"^(\*{0,2}\w[\w., *]*?)(?: \(.*?\))?:(?: |$)", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_CODE = re.compile(r"(`[^`]+`)")


def markdown(text: str) -> Iterator[str]:
    """Return the lines of a docstring as Markdown.

    Args:
        text: The docstring, as :func:`inspect.getdoc` cleans it.
    """
    intro, *sections = _SECTION.split(f"{text}\n")
    yield from _prose(intro)
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        yield from (f"**{name}**", "")
        yield from _items(dedent(body)) if name in ("Args", "Attributes", "Raises") else _prose(dedent(body))


def _items(body: str) -> Iterator[str]:
    before, *items = _ITEM.split(body)
    yield from _prose(before)
    for name, text in zip(items[::2], items[1::2], strict=True):
        first, *others = (line.strip() for line in text.strip().splitlines())
        yield f"- `{name}`: {_words(first)}"
        yield from (f"  {_words(line)}" for line in others)
    yield ""


def _prose(body: str) -> Iterator[str]:
    """Paragraphs, and between them code: what is indented, or begins as an interpreter's line."""
    blocks = [block for block in re.split(r"\n\s*\n", body.rstrip()) if block.strip()]
    for is_code, found in groupby(blocks, lambda block: block.startswith((" ", ">>>"))):
        if is_code:
            yield from ("```python", *dedent("\n\n".join(found)).strip("\n").splitlines(), "```", "")
            continue
        for block in found:
            if block.strip() != "::":
                yield from (*(_words(line) for line in re.sub("::$", ":", block.strip()).splitlines()), "")


def _words(line: str) -> str:
    """Inline code as Markdown has it, and no signs that Markdown would take for its own."""
    plain = _ROLE.sub(r"`\1`", line.replace("``", "`"))
    parts = _CODE.split(plain)
    return "".join(part if part.startswith("`") else re.sub(r"([<*\[\]])", r"\\\1", part) for part in parts)
