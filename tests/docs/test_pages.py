"""Every page that has commands or code works from top to bottom, as its reader would go through it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TEST_FILES = {DOCS / "testing.md", DOCS / "crash-kit.md"}
"""Pages whose blocks are test files, run by ``test_testing_page.py``."""
LONG = "<!-- long -->"
"""Stands in a page that takes more than some seconds."""
PAGES = [
    page
    for page in sorted([*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")])
    if page not in TEST_FILES and re.search(r"^```(\w+|\{include\}.*)$", page.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.long if LONG in page.read_text() else (), id=page.stem)
        for page in PAGES
    ],
)
def test_a_page_works_from_top_to_bottom(page: Path, follow: Callable[[Path], list[str]]) -> None:
    assert len(follow(page)) >= 3


def test_every_guide_has_something_to_do() -> None:
    assert set(DOCS.glob("guides/*.md")) <= set(PAGES)
