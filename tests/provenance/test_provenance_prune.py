"""``mml files prune`` removes what nothing needs, and nothing else."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mml_core.testing.fixtures import ProcessRunner
    from tests.provenance.conftest import Rests

DRAWN = "DRAWN/dots/drawn_0001.json"


def found(rests: Rests, *words: str) -> list[str]:
    """What the command shows."""
    result = rests.mml("files", "prune", "--json", *words)
    assert result.code == 0, result.err
    return [row["path"] for row in json.loads(result.out)]


def lay(project: Path, name: str, content: str = "{}") -> Path:
    """Put a file into a project by hand."""
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_nothing_of_a_finished_run_is_waste(rests: Rests) -> None:
    rests()

    assert found(rests) == []


def test_a_file_that_no_record_names_is_shown_and_removed_when_that_is_allowed(rests: Rests) -> None:
    rests()
    project = rests.project.path()
    stray = lay(project, "DRAWN/dots/drawn_0007.json")

    assert found(rests) == ["DRAWN/dots/drawn_0007.json"]
    assert stray.exists()
    assert "drawn_0007.json  2 " in rests.mml("files", "prune", "--yes").out
    assert not stray.exists()
    assert (project / DRAWN).exists()


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "DRAWN/dots/notes.txt",
        "DRAWN/dots/drawn.json",
        "DRAWN/drawn_0001.json",
        "MINE/x_0001.json",
    ],
)
def test_what_is_not_at_a_place_of_mml_is_no_waste(rests: Rests, name: str) -> None:
    rests()
    lay(rests.project.path(), name)

    assert found(rests) == []


def test_what_an_unfinished_run_has_committed_is_no_waste(rests: Rests) -> None:
    rests()
    project = rests.project.path()
    shutil.rmtree(project / ".mml" / "artefacts")
    assert found(rests) == ["SHARED/shared_0001.json"]  # a later step has used the other file

    (rests.newest().path / "done.json").unlink()

    assert found(rests) == []


def test_what_another_project_has_taken_over_is_no_waste(rests: Rests) -> None:
    rests()
    rests("--proj", "other", "reuse.auto=default")
    shutil.rmtree(rests.project.path() / ".mml" / "artefacts")

    assert found(rests) == []


def test_what_another_project_has_reused_is_no_waste(rests: Rests) -> None:
    rests()
    rests("--proj", "other", "reuse.drawn=default")
    shutil.rmtree(rests.project.path() / ".mml" / "artefacts")

    assert found(rests) == ["SHARED/shared_0001.json"]


def test_attempts_of_runs_that_are_finished_or_gone_are_waste(rests: Rests) -> None:
    rests()
    run, own = rests.newest(), rests.project.path() / ".mml"
    lay(own, f"attempts/{run.id}/step.1/x")
    lay(own, "temp/2026-01-01_00-00-00_0000/x")

    assert found(rests, "--yes") == [f".mml/attempts/{run.id}", ".mml/temp/2026-01-01_00-00-00_0000"]
    assert not (own / "attempts" / run.id).exists()


def test_attempts_of_a_run_that_can_be_continued_are_no_waste(rests: Rests) -> None:
    rests()
    run = rests.newest()
    (run.path / "done.json").unlink()
    lay(rests.project.path() / ".mml", f"attempts/{run.id}/step.1/checkpoints/x")

    assert found(rests) == []


def test_a_record_whose_file_is_gone_is_kept_as_history(rests: Rests) -> None:
    rests()
    (rests.project.path() / DRAWN).unlink()

    (shown,) = found(rests, "--yes")

    assert shown.startswith(".mml/artefacts/drawn/dots/")
    assert found(rests) == []
    (row,) = json.loads(rests.mml("files", "list", "--all", "--key", "drawn", "--json").out)
    assert row["state"] == "deleted"


def test_a_link_is_not_followed(rests: Rests) -> None:
    rests()
    outside = lay(rests.project.root, "outside/drawn_0007.json").parent
    (rests.project.path() / "DRAWN/dots2").symlink_to(outside)
    (rests.project.path() / "DRAWN/dots/drawn_0008.json").symlink_to(outside / "drawn_0007.json")

    assert found(rests, "--yes") == []
    assert (outside / "drawn_0007.json").exists()


@pytest.mark.parametrize(("answer", "stays"), [("y", False), ("n", True), ("", True)])
def test_who_is_at_a_terminal_is_asked(
    rests: Rests, monkeypatch: pytest.MonkeyPatch, answer: str, stays: bool
) -> None:
    rests()
    stray = lay(rests.project.path(), "DRAWN/dots/drawn_0007.json")
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("builtins.input", lambda question: answer)

    assert rests.mml("files", "prune").code == 0
    assert stray.exists() is stays


def test_nobody_who_can_be_asked_means_no(rests: Rests, mml_process: ProcessRunner) -> None:
    rests()
    stray = lay(rests.project.path(), "DRAWN/dots/drawn_0007.json")

    result = mml_process("files", "prune")

    assert (result.code, stray.exists()) == (0, True)
    assert "--yes" in result.err


def test_a_damaged_record_of_a_run_stops_it(rests: Rests) -> None:
    rests()
    lay(rests.project.path(), "DRAWN/dots/drawn_0007.json")
    step = next(rests.newest().steps_path.glob("*.json"))
    step.write_text(step.read_text()[:-10])

    result = rests.mml("files", "prune", "--yes")

    assert result.code != 0
    assert step.name in result.err
