"""Run directories are made once, and nobody else has them."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mml_core.config import run_directory
from mml_core.config.run_directory import RunDirectoryError, claim_run_directory


def test_the_name_sorts_by_time_and_the_folder_is_there(tmp_path: Path) -> None:
    made = claim_run_directory(tmp_path / "proj")
    assert made.is_dir()
    assert made.parent == tmp_path / "proj" / "runs"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}", made.name)


def test_a_taken_name_is_never_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["same", "same", "same", "other"])
    monkeypatch.setattr(run_directory, "run_name", lambda: next(names))
    assert claim_run_directory(tmp_path).name == "same"
    assert claim_run_directory(tmp_path).name == "other"


def test_g18_many_at_once_get_one_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: claim_run_directory(tmp_path), range(40)))
    assert len(set(made)) == 40


def test_g15_results_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "proj").write_text("a file in the way")
    with pytest.raises(RunDirectoryError, match=r"No run directory can be made in .*proj"):
        claim_run_directory(tmp_path / "proj")
