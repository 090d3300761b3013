"""The file manager in use: singleton, saving paths, steps, sessions, references."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.files import attempts, errors
from mml_core.files.manager import MMLFileManager
from mml_core.files.names import check_file_name, task_folder
from mml_core.storage.leases import is_alive
from mml_core.tasks.models import ModelStorage


def test_construction_installs_and_close_removes(project: Any) -> None:
    with pytest.raises(errors.NoManagerError):
        MMLFileManager.instance()
    outer = project.open()
    with project.open("other") as inner:
        assert MMLFileManager.instance() is inner
    assert MMLFileManager.instance() is outer
    outer.close()
    outer.close()
    with pytest.raises(errors.NoManagerError):
        MMLFileManager.instance()


def test_making_one_writes_nothing(project: Any) -> None:
    project.open().close()
    with project.open():
        pass
    assert list(project.root.iterdir()) == []


def test_assignments_before_and_after_init(project: Any) -> None:
    MMLFileManager.add_assignment_path(bytes, "before", "PROJ_PATH/BEFORE/x.bin", enable_numbering=False)
    with project.open() as manager:
        MMLFileManager.add_assignment_path(bytes, "after", "PROJ_PATH/AFTER/x.bin", enable_numbering=False)
        for key in ("before", "after"):
            manager.construct_saving_path(b"", key).write_bytes(b"1")
        with pytest.raises(errors.AssignmentError, match="can name one path"):
            MMLFileManager.add_assignment_path(bytes, "clash", "PROJ_PATH/AFTER/x.bin")
    assert (manager.project_path / "BEFORE" / "x.bin").exists()
    assert (manager.project_path / "AFTER" / "x.bin").exists()


@pytest.mark.parametrize(
    ("key", "options", "problem"),
    [
        ("parameters", {}, "give task_name"),
        ("parameters", {"task_name": "t", "file_name": "x"}, "leave out file_name"),
        ("predictions", {"task_name": "t"}, "give file_name"),
        ("ranking", {"task_name": "t"}, "leave out task_name"),
        ("parameters", {"task_name": ""}, "task name is empty"),
        ("predictions", {"task_name": "t", "file_name": "../x"}, "contains '/'"),
        ("predictions", {"task_name": "t", "file_name": "a\nb"}, "contains"),
        ("predictions", {"task_name": "t", "file_name": "a:b"}, "contains ':'"),
        ("predictions", {"task_name": "t", "file_name": ".."}, "begins with a dot"),
        ("predictions", {"task_name": "t", "file_name": "nul.txt"}, "reserved"),
        ("predictions", {"task_name": "t", "file_name": "x_0001.txt"}, "like a number"),
        ("predictions", {"task_name": 5, "file_name": "x"}, "task_name=5 is no text"),
        ("predictions", {"task_name": "t", "file_name": 5}, "file_name=5 is no text"),
        ("models", {"task_name": "t"}, "takes a mml_core.tasks.models:ModelStorage, not a builtins:object"),
    ],
)
def test_what_does_not_fit_the_template_is_named(
    project: Any, key: str, options: dict[str, Any], problem: str
) -> None:
    with project.open() as manager, pytest.raises(errors.SavingPathError, match=problem):
        manager.construct_saving_path(object(), key, **options)


@pytest.mark.parametrize("name", ["runs", "RUNS", "sweeps"])
def test_no_task_or_file_takes_a_folder_that_belongs_to_mml(project: Any, name: str) -> None:
    MMLFileManager.add_assignment_path(None, "per_task", "PROJ_PATH/TASK_NAME/x.json")
    MMLFileManager.add_assignment_path(None, "top", "PROJ_PATH/FILE_NAME", enable_numbering=False)
    with project.open() as manager:
        with pytest.raises(errors.SavingPathError, match=f"'per_task' would save at '{name}'"):
            manager.construct_saving_path({}, "per_task", name)
        with pytest.raises(errors.SavingPathError, match=f"'top' would save at '{name}'"):
            manager.construct_saving_path({}, "top", file_name=name)


def test_outside_of_a_step_there_is_no_path(project: Any) -> None:
    manager = project.open()
    with pytest.raises(errors.NoAttemptError, match="outside of a step"):
        manager.construct_saving_path(b"", "ranking")


@given(st.text(min_size=1, max_size=20))
def test_g21_task_folders_are_safe_and_reversible(task: str) -> None:
    folder = task_folder(task)
    assert unquote(folder) == task
    check_file_name(folder)
    assert "@" not in folder


@pytest.mark.parametrize("task", ["digits+nested?0", "a:b\nc", "..", "~", "ü/ö"])
def test_odd_task_names_get_a_folder_of_their_own(project: Any, task: str) -> None:
    manager = project.open(run="r1")
    artefact = project.save(manager, "parameters", b"x", step="s", task=task)
    path = manager.project_path / artefact.path
    assert path.parent.parent == manager.project_path / "PARAMETERS"
    assert [record.artefact.task for record in manager.store.records()] == [task]
    assert manager.store.find_path(artefact.path) == next(manager.store.records())


def test_g03_nothing_is_visible_before_publication(project: Any) -> None:
    manager = project.open(run="r1")
    folder = manager.layout.attempts / "s"
    with manager.attempt(folder, "r1/s") as attempt:
        first = manager.construct_saving_path(b"", "parameters", task_name="digits")
        second = manager.construct_saving_path(b"", "parameters", task_name="digits")
        unwritten = manager.construct_saving_path(b"", "parameters", task_name="digits")
        assert first.suffix == ".safetensors"
        assert len({first, second, unwritten}) == 3
        first.write_bytes(b"1")
        second.write_bytes(b"2")
        artefacts = attempt.seal()
        assert attempt.seal() is artefacts
        final = attempt.rewrite({"a": [first, str(second)], "b": (1, None, "text")})
        with pytest.raises(errors.UnwrittenPathError, match="nothing was written"):
            attempt.rewrite({"x": unwritten})
    assert not (manager.project_path / "PARAMETERS").exists()
    manager.publish(artefacts, folder, step="s", extra={"seed": 1})
    place = manager.project_path / "PARAMETERS" / "digits"
    assert final == {
        "a": [place / "model_0001.safetensors", str(place / "model_0002.safetensors")],
        "b": (1, None, "text"),
    }
    assert final["a"][0].read_bytes() == b"1"
    assert not folder.exists()
    record = next(manager.store.newest_first("parameters", "digits"))
    assert (record.run, record.step, record.extra, record.artefact.number) == ("r1", "s", {"seed": 1}, 2)
    before = sorted(manager.project_path.rglob("*"))
    manager.publish(artefacts, folder, step="s", extra={"seed": 1})
    assert sorted(manager.project_path.rglob("*")) == before


def test_stored_models_refer_to_final_names(project: Any) -> None:
    manager = project.open(run="r1")
    folder = manager.layout.attempts / "s"
    with manager.attempt(folder, "r1/s") as attempt:
        weights = manager.construct_saving_path(b"", "parameters", task_name="digits")
        pipeline = manager.construct_saving_path(b"", "pipeline", task_name="digits")
        for path in (weights, pipeline):
            path.write_bytes(b"x")
        model = ModelStorage(weights=weights, pipeline=pipeline, task="digits", fold=0)
        stored = manager.construct_saving_path(model, "models", task_name="digits")
        stored.write_text(json.dumps(model.to_json(manager.project_path)))
        artefacts = attempt.seal()
        model = attempt.rewrite(model)
    manager.publish(artefacts, folder, step="s")
    manager.close()
    assert model.weights.read_bytes() == b"x"
    content = json.loads((manager.project_path / "MODELS" / "digits" / "model_0001.json").read_text())
    assert content["weights"] == "PARAMETERS/digits/model_0001.safetensors"
    reusing = project.open("second", reuse={"models": "proj"})
    assert reusing._reuse.models("digits") == [model]


@pytest.mark.parametrize("kind", ["a folder", "a symbolic link"])
def test_what_is_no_plain_file_cannot_be_sealed(project: Any, kind: str) -> None:
    manager = project.open(run="r1")
    with manager.attempt(manager.layout.attempts / "s", "r1/s") as attempt:
        path = manager.construct_saving_path(b"", "parameters", task_name="digits")
        if kind == "a folder":
            path.mkdir()
        else:
            path.symlink_to("/etc/hostname")
        with pytest.raises(errors.SealError, match=kind):
            attempt.seal()


def test_files_beside_a_saving_path_are_warned_of(project: Any, caplog: pytest.LogCaptureFixture) -> None:
    manager = project.open(run="r1")

    def work(fm: MMLFileManager) -> None:
        path = fm.construct_saving_path(b"", "parameters", task_name="digits")
        path.write_bytes(b"1")
        path.with_suffix(".txt").write_text("stray")

    project.step(manager, "s", work)
    assert "model.txt" in caplog.text


def test_replaced_files_supersede_their_record(project: Any) -> None:
    manager = project.open(run="r1")
    for number in range(3):
        artefact = project.save(manager, "img_examples", b"%d" % number, step=f"s{number}")
    assert (manager.project_path / artefact.path).read_bytes() == b"2"
    states = [(record.step, record.state) for record in manager.store.records(history=True)]
    assert sorted(states) == [("s0", "superseded"), ("s1", "superseded"), ("s2", "live")]


def test_the_later_of_two_steps_stays_though_the_clock_was_set_back(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = project.open(run="r1")
    now = time.time_ns()
    for number, clock in enumerate((now, now - 3600 * 10**9, now - 7200 * 10**9)):
        monkeypatch.setattr(attempts, "time", SimpleNamespace(time_ns=lambda clock=clock: clock))
        artefact = project.save(manager, "img_examples", b"%d" % number, step=f"s{number}")
        assert (manager.project_path / artefact.path).read_bytes() == b"%d" % number
    assert [record.step for record in manager.store.records()] == ["s2"]


def test_a_late_publication_does_not_undo_a_newer_one(project: Any) -> None:
    manager = project.open(run="r1")
    folder = manager.layout.attempts / "old"
    with manager.attempt(folder, "r1/old") as attempt:
        manager.construct_saving_path(b"", "img_examples", task_name="digits").write_bytes(b"old")
        late = attempt.seal()
    newer = project.save(manager, "img_examples", b"new", step="new")
    manager.publish(late, folder, step="old")
    assert (manager.project_path / newer.path).read_bytes() == b"new"
    assert [record.step for record in manager.store.records()] == ["new"]


def test_g05_damage_between_seal_and_publication_is_named(project: Any) -> None:
    manager = project.open(run="r1")
    folder = manager.layout.attempts / "s"
    with manager.attempt(folder, "r1/s") as attempt:
        path = manager.construct_saving_path(b"", "parameters", task_name="digits")
        path.write_bytes(b"right")
        artefacts = attempt.seal()
    os.utime(path, (1, 1))
    path.write_bytes(b"wrong")
    with pytest.raises(errors.DamagedArtefactError, match="another content"):
        manager.publish(artefacts, folder, step="s")
    path.unlink()
    with pytest.raises(errors.DamagedArtefactError, match=r"model_0001\.safetensors'.* is missing"):
        manager.publish(artefacts, folder, step="s")


def test_a_foreign_file_is_never_overwritten(project: Any) -> None:
    manager = project.open(run="r1")
    foreign = manager.project_path / "PARAMETERS" / "digits" / "model_0001.safetensors"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"mine")
    with pytest.raises(errors.TakenPathError, match="not from mml"):
        project.save(manager, "parameters", b"x", step="s")
    assert foreign.read_bytes() == b"mine"


def test_a_script_s_files_appear_together_or_not_at_all(project: Any) -> None:
    with pytest.raises(RuntimeError), project.open() as manager:
        manager.construct_saving_path(b"", "ranking").write_bytes(b"1")
        raise RuntimeError
    assert [path for path in project.root.rglob("*") if path.is_file()] == []
    with project.open() as manager:
        manager.construct_saving_path(b"", "ranking").write_bytes(b"1")
        assert not (manager.project_path / "RANKING").exists()
    assert (manager.project_path / "RANKING" / "ranking_0001.json").read_bytes() == b"1"
    left = {path.parent.name for path in (manager.project_path / ".mml").rglob("*") if path.is_file()}
    assert left == {"@global"}


def test_what_a_script_needs_no_more_goes_when_its_block_ends(project: Any) -> None:
    with project.open(reuse={"clean_up": {"parameters": True}}) as manager:
        manager.construct_saving_path(b"", "temp", file_name="x.bin").write_bytes(b"1")
        manager.construct_saving_path(b"", "parameters", "digits").write_bytes(b"2")
        manager.construct_saving_path(b"", "ranking").write_bytes(b"3")
    files = {path.name for path in manager.project_path.rglob("*") if path.is_file()}
    assert "ranking_0001.json" in files
    assert not {"x.bin", "model_0001.safetensors"} & files
    for folder in (manager.layout.temp, manager.layout.attempts):
        assert not folder.exists()


@pytest.mark.parametrize("fails", [True, False])
def test_a_script_that_saves_shows_that_it_lives(project: Any, fails: bool) -> None:
    with suppress(RuntimeError), project.open() as manager:
        assert not is_alive(manager.layout.script_lease)
        manager.construct_saving_path(b"", "ranking").write_bytes(b"1")
        assert is_alive(manager.layout.script_lease)
        if fails:
            raise RuntimeError
    assert not manager.layout.attempts.exists()


def test_temporary_files_live_for_the_run(project: Any) -> None:
    manager = project.open(run="r1")
    artefact = project.save(manager, "temp", b"x", step="s", task=None, file_name="x.bin")
    numbered = project.save(manager, "scratch", b"x", step="s2")
    assert manager.project_path / artefact.path == manager.layout.temp / "x.bin"
    assert numbered.path.endswith("scratch_0001.bin")
    manager.clean_up([artefact, numbered])
    assert not manager.layout.temp.exists()
    assert list(Path(manager.project_path).rglob("x.bin")) == []
