"""The page of guarantees is that of the tests: each guarantee has one, and the page names them all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def guarantees() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_guarantees", ROOT / "docs" / "guarantees.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_guarantee_has_a_test_and_every_test_a_guarantee(guarantees: ModuleType) -> None:
    assert list(guarantees.collect()) == list(guarantees.GUARANTEES) == list(range(1, 22))


def test_the_page_is_up_to_date(guarantees: ModuleType) -> None:
    written = guarantees.PAGE.read_text(encoding="utf-8")
    assert written == guarantees.page(guarantees.collect()), "run `python docs/guarantees.py`"


def test_names_docstrings_and_marks_are_read(guarantees: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text(
        "@pytest.mark.long\n@pytest.mark.parametrize('a', [1])\ndef test_g03_g17_of_two(a):\n    pass\n\n"
        "def test_g03_of_one():\n    '''What it shows.\n\n    More.'''\n\ndef test_other():\n    pass\n"
    )
    found = guarantees.collect(tmp_path)
    assert {number: [(each.what, each.long) for each in tests] for number, tests in found.items()} == {
        3: [("Of two", True), ("What it shows", False)],
        17: [("Of two", True)],
    }
