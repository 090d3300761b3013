"""``mml files why`` tells what a file rests on, back to the images; ``list`` and ``verify`` show records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mml_core.files.artefacts import ArtefactStore

if TYPE_CHECKING:
    from mml_core.testing.fixtures import CommandRunner, ProcessRunner
    from tests.provenance.conftest import Rests

DRAWN = "DRAWN/dots/drawn_0001.json"


def why(mml: CommandRunner, *words: str) -> dict[str, Any]:
    """What the command tells, as JSON."""
    result = mml("files", "why", *words, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def walk(cause: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that a file rests on."""
    yield cause
    for each in cause["rests_on"]:
        yield from walk(each)


def test_a_file_is_explained_back_to_the_images(rests: Rests) -> None:
    rests("mode.one=5")

    told = why(rests.mml, DRAWN)

    assert (told["kind"], told["key"], told["task"], told["number"]) == ("file", "drawn", "dots", 1)
    (step,) = told["rests_on"]
    assert (step["kind"], step["method"], step["params"]) == ("step", "take_task", ["dots"])
    assert step["run"] == rests.newest().id
    assert step["config"] == {
        "mode.common": 1,
        "mode.early": 1,
        "mode.look": False,
        "mode.planned": 1,
    }
    assert {"seed", "threads", "host", "started", "seconds"} <= step.keys()
    (task,) = (each for each in step["rests_on"] if each["kind"] == "task")
    (dataset,) = task["rests_on"]
    assert (task["name"], dataset["kind"], dataset["name"]) == ("dots", "dataset", "dots")
    code = {each["name"]: each for each in step["rests_on"] if each["kind"] == "code"}
    assert code["mml-plugin-rests"]["version"] == "1.0"
    assert {"mml-core", "torch", "lightning", "python"} <= code.keys()


def test_a_file_is_explained_through_the_files_and_results_that_its_step_used(rests: Rests) -> None:
    rests("--proj", "other")
    rests("reuse.drawn=other", "mode.keep=true")

    told = list(walk(why(rests.mml, "KEPT/kept_0001.json")))

    assert {each["project"] for each in told if each.get("path") == DRAWN} == {"default", "other"}
    methods = {each["method"] for each in told if "method" in each}
    assert methods == {"keep", "take_task", "name_task"}


def test_what_was_taken_over_is_explained_by_the_run_that_did_it(rests: Rests) -> None:
    rests("--proj", "other")
    rests("reuse.auto=other", "mode.keep=true")

    told = list(walk(why(rests.mml, "KEPT/kept_0001.json")))

    assert "was taken over" in " ".join(each["text"] for each in told)
    assert {each["project"] for each in told if each.get("method") == "name_task"} == {"default", "other"}


def test_a_file_is_found_by_its_absolute_path_whatever_its_project(rests: Rests) -> None:
    rests("--proj", "other")

    assert why(rests.mml, str(rests.project.path("other") / DRAWN))["project"] == "other"


def test_a_file_is_explained_when_its_run_is_removed(rests: Rests) -> None:
    rests()
    shutil.rmtree(rests.newest().path)

    (step,) = why(rests.mml, DRAWN)["rests_on"]

    assert (step["method"], step["config"]["mode.common"]) == ("take_task", 1)


def test_the_provenance_is_whole_after_a_kill_between_commit_and_publication(
    rests: Rests, mml_process: ProcessRunner
) -> None:
    killed = mml_process("run", "--mode=rests", "--tasks", "dots", env={"DIE_COMMITTED": "1"})
    assert killed.code == -9, killed.err
    assert mml_process("run", "--continue").code == 0

    records = list(ArtefactStore(rests.project.path()).records())

    assert [record.artefact.key for record in records] == ["drawn", "shared"]
    for record in records:
        assert record.extra["config"] == {
            "mode.common": 1,
            "mode.early": 1,
            "mode.planned": 1,
            "mode.look": False,
        }
        assert record.extra["inputs"]["tasks"].keys() == {"dots"}
        assert {
            "versions",
            "code",
            "git",
            "host",
            "seconds",
            "started",
            "seed",
            "threads",
        } <= record.extra.keys()


def test_the_tree_is_plain_text_in_a_pipe(rests: Rests) -> None:
    rests()

    lines = rests.mml("files", "why", DRAWN).out.splitlines()

    assert lines[0].startswith(f"default/{DRAWN} (drawn of task dots, ")
    assert lines[1].startswith("  step take_task('dots') of run ")
    assert "    mode.common = 1" in lines
    assert any(line.startswith("      dataset dots: manifest") for line in lines)


def test_an_unknown_file_is_named_with_near_ones(rests: Rests) -> None:
    rests()

    result = rests.mml("files", "why", "DRAWN/dots/drawn_0002.json")

    assert result.code == 2
    assert DRAWN in result.err


def test_files_are_listed_by_run(rests: Rests) -> None:
    rests()
    first = rests.newest().id
    rests()

    (row,) = json.loads(rests.mml("files", "list", "--key", "drawn", "--run", first, "--json").out)

    assert (row["path"], row["run"]) == (DRAWN, first)


@pytest.mark.parametrize("harm", ["file", "record", "taken"])
def test_verify_names_what_is_damaged(rests: Rests, harm: str) -> None:
    rests("--proj", "other")
    rests("reuse.auto=other")
    rests("mode.one=2")
    assert rests.mml("files", "verify").code == 0
    step = next(rests.newest().steps_path.glob("read_one*"))
    damaged = {
        "file": rests.project.path() / DRAWN,
        "record": step,
        "taken": rests.project.path("other") / DRAWN,
    }[harm]
    damaged.write_bytes(damaged.read_bytes().replace(b"1", b"3").replace(b"6", b"4"))

    result = rests.mml("files", "verify")

    assert result.code == 1
    assert damaged.name in result.out
