"""The mode migrate: stores of an older form become those of the present one, in place and at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mml_core.data.manifest import FORMAT, read_manifest
from mml_core.data.migration import migrate_store
from mml_core.errors import MMLError
from mml_core.storage.hashing import digest, sha256_file
from mml_core.testing.crash import CrashKit
from mml_core.testing.fixtures import CommandRunner, MMLProject

pytest_plugins = ["mml_core.testing.crash"]

TASKS = ["one", "two"]
MIGRATE = ("run", "--mode=migrate", "--tasks=one,two")


@contextmanager
def manifest_of(folder: Path) -> Iterator[dict[str, Any]]:
    """The manifest of a store, to be changed."""
    path = folder / "manifest.json"
    store = json.loads(path.read_bytes())["store"]
    yield store
    path.write_text(json.dumps({"digest": digest(store), "store": store}))


def make_old(folder: Path) -> None:
    """Give a store the form that the first mml wrote."""
    with manifest_of(folder) as store:
        store["format"] = 1
        del store["source"]["ignore_index"]
        for entry in store["modalities"].values():
            entry["sha256"] = sha256_file(folder / entry["file"])


@pytest.fixture
def stores(install: Callable[..., None], mml: CommandRunner, mml_project: MMLProject) -> dict[str, Path]:
    """Stores of two tasks, of the first form."""
    for task in TASKS:
        install(task, samples=10)
    result = mml("run", "--mode=preprocess", "--tasks=one,two", "preprocessing=size32", "--proj=before")
    assert result.code == 0, result.err
    found = {task: mml_project.data / "preprocessed" / "size32" / task for task in TASKS}
    for folder in found.values():
        make_old(folder)
    return found


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_migrated_store_is_the_one_that_would_be_made_now(
    mml: CommandRunner, mml_project: MMLProject, stores: dict[str, Path]
) -> None:
    tasks = content(mml_project.data / "tasks")
    samples = {task: (folder / "image.bin").read_bytes() for task, folder in stores.items()}
    result = mml(*MIGRATE)
    assert result.code == 0, result.err
    assert [line.split() for line in result.out.splitlines()[2:4]] == [
        ["one", "size32", "1", str(FORMAT)],
        ["two", "size32", "1", str(FORMAT)],
    ]
    migrated = {task: read_manifest(folder) for task, folder in stores.items()}
    assert content(mml_project.data / "tasks") == tasks
    for task, folder in stores.items():
        assert (folder / "image.bin").read_bytes() == samples[task]
    assert mml("run", "--mode=preprocess", "--tasks=one,two", "preprocessing=size32").code == 0
    assert {task: read_manifest(folder) for task, folder in stores.items()} == migrated


def test_without_tasks_all_that_are_installed_are_migrated(
    mml: CommandRunner, stores: dict[str, Path]
) -> None:
    assert mml("run", "--mode=migrate").code == 0
    assert {read_manifest(folder).format for folder in stores.values()} == {FORMAT}


def test_what_is_migrated_stays_as_it_is(mml: CommandRunner, stores: dict[str, Path]) -> None:
    assert mml(*MIGRATE).code == 0
    before = content(stores["one"])
    result = mml(*MIGRATE)
    assert "Migrated stores: all are of the present form." in result.out
    assert content(stores["one"]) == before


def test_the_plan_tells_what_would_be_migrated_and_nothing_is(
    mml: CommandRunner, mml_project: MMLProject, stores: dict[str, Path]
) -> None:
    migrate_store(stores["two"])
    before = content(mml_project.data / "preprocessed")
    result = mml(*MIGRATE, "--plan")
    assert "migrate_store('one', 'size32', 1)" in result.out
    assert "'two'" not in result.out
    assert content(mml_project.data / "preprocessed") == before


@pytest.mark.parametrize("mode", ["train", "preprocess"])
def test_an_older_form_is_refused_with_what_to_do(
    mml: CommandRunner, stores: dict[str, Path], mode: str
) -> None:
    result = mml("run", f"--mode={mode}", "--tasks=one", "preprocessing=size32", "trainer.max_epochs=1")
    assert result.code != 0
    assert "is of format 1, this mml reads 2: run `mml run --mode=migrate --tasks one`" in result.err
    with manifest_of(stores["one"]) as store:
        assert store["format"] == 1


@pytest.mark.parametrize("mode", ["train", "preprocess", "migrate"])
def test_a_newer_form_is_refused_and_never_replaced(
    mml: CommandRunner, stores: dict[str, Path], mode: str
) -> None:
    with manifest_of(stores["two"]) as store:
        store["format"] = FORMAT + 1
    before = content(stores["two"])
    result = mml("run", f"--mode={mode}", "--tasks=two", "preprocessing=size32", "trainer.max_epochs=1")
    assert result.code != 0
    assert "written by a newer mml" in result.err
    assert content(stores["two"]) == before


@pytest.mark.parametrize("version", [0, -1, "2", None])
def test_a_form_that_never_was_is_refused(stores: dict[str, Path], version: object) -> None:
    with manifest_of(stores["one"]) as store:
        store["format"] = version
    with pytest.raises(MMLError, match="which no mml has written"):
        migrate_store(stores["one"])


@pytest.mark.parametrize(("version", "why"), [(2, "written by a newer mml"), (0, "which no mml has written")])
def test_a_header_of_another_form_is_refused_before_anything_is_migrated(
    mml: CommandRunner, mml_project: MMLProject, stores: dict[str, Path], version: int, why: str
) -> None:
    path = mml_project.data / "tasks" / "two" / "task.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "schema_version": version}))
    before = content(mml_project.data / "preprocessed")
    result = mml(*MIGRATE)
    assert result.code != 0
    assert why in result.err
    assert content(mml_project.data / "preprocessed") == before


def test_a_damaged_store_is_named_and_stays_as_it_is(mml: CommandRunner, stores: dict[str, Path]) -> None:
    data = bytearray((stores["one"] / "image.bin").read_bytes())
    data[5] ^= 1
    (stores["one"] / "image.bin").write_bytes(data)
    before = content(stores["one"])
    result = mml(*MIGRATE)
    assert result.code == 1
    assert "image.bin has another sha256 than it was written with" in result.err
    assert content(stores["one"]) == before


def test_what_cannot_be_written_to_is_refused_before_work(
    mml: CommandRunner, stores: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "two")  # root may write everywhere
    result = mml(*MIGRATE)
    assert result.code == 2
    assert "cannot be written to: migrate it where it can be" in result.err
    with manifest_of(stores["one"]) as store:
        assert store["format"] == 1


def test_g01_g02_g03_g16_a_migration_is_killed_and_continued(
    crash_kit: CrashKit, stores: dict[str, Path]
) -> None:
    crash_kit("migrate", tasks=TASKS, sample=3)


@pytest.mark.long
@pytest.mark.parametrize("executor", ["sequential", "processes"])
def test_g01_g02_g03_g16_a_migration_is_killed_everywhere(
    crash_kit: CrashKit, stores: dict[str, Path], executor: str
) -> None:
    crash_kit("migrate", tasks=TASKS, executor=executor, sample=None if executor == "sequential" else 20)
