"""The documentation site is built without a warning, and its reference is made of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="the site is built by sphinx: pip install 'mml-core[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "-b",
        "html",
        "-d",
        folder / "trees",
        DOCS,
        folder / "html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    written = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert written <= pages


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("commands", ["mml tasks leakage", "--accept-changes"]),
        ("config", ["lr_scheduler=cosine", "samples of a training batch"]),
        ("hooks", ["mml_schedulers", "SchedulerSpec", "mml_step_finished"]),
        ("api", ["AbstractBaseScheduler.add_step", "open_project"]),
    ],
)
def test_reference_pages_are_made_of_the_code(site: Path, page: str, words: list[str]) -> None:
    text = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
    assert [word for word in words if word not in text] == []
