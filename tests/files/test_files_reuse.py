"""Reuse finds the newest committed file by its record, and never a damaged one."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mml_core.files import artefacts, errors
from mml_core.files.manager import MMLFileManager
from mml_core.tasks.models import ModelStorage


def made(project: Any, name: str, count: int, key: str = "parameters", **options: Any) -> list[Path]:
    manager = project.open(name, run="r1")
    paths = []
    for number in range(count):
        artefact = project.save(manager, key, f"{name} {number}".encode(), step=f"{key}{number}", **options)
        paths.append(manager.project_path / artefact.path)
    manager.close()
    return paths


def test_the_newest_record_wins_not_the_newest_file(project: Any) -> None:
    paths = made(project, "old", 3)
    os.utime(paths[0], (4e9, 4e9))
    manager = project.open("new", reuse={"parameters": "old"})
    assert manager._reuse.paths("digits") == {"parameters": paths[-1]}
    assert manager._reuse.paths("unknown") == {}
    assert [record.artefact.number for record in manager.reused.values()] == [3]


def test_of_several_projects_the_newest_is_taken(project: Any) -> None:
    first, second = made(project, "p1", 1), made(project, "p2", 1)
    for order in (["p1", "p2"], ["p2", "p1"]):
        assert project.open("new", reuse={"parameters": order})._reuse.paths("digits") == {
            "parameters": second[0]
        }
    assert first[0].exists()


def test_a_project_may_be_called_by_a_number(project: Any) -> None:
    paths = made(project, "2024", 1)
    assert project.open("new", reuse={"parameters": 2024})._reuse.paths("digits") == {"parameters": paths[0]}


def test_a_number_can_be_asked_for(project: Any) -> None:
    paths = made(project, "old", 4)
    assert project.open("new", reuse={"parameters": "old#3"})._reuse.paths("digits") == {
        "parameters": paths[2]
    }
    manager = project.open("new", reuse={"parameters": "old#7"})
    with pytest.raises(
        errors.ReuseError, match=r"no number 7 of 'parameters' of task 'digits'; there are 1, 2, 3, 4"
    ):
        manager._reuse.paths("digits")


def test_the_newest_file_of_a_key_with_many_names_is_taken(project: Any) -> None:
    made(project, "old", 1, "predictions", file_name="a.parquet")
    manager = project.open("old", run="r2")
    project.save(manager, "predictions", b"b", step="x", file_name="b.parquet")
    found = project.open("new", reuse={"predictions": "old"})._reuse.paths("digits")["predictions"]
    assert found.name == "b_0002.parquet"


def test_global_files(project: Any) -> None:
    paths = made(project, "old", 2, "ranking", task=None)
    manager = project.open("new", reuse={"ranking": "old"})
    assert manager.global_path("ranking") == paths[-1]
    assert manager._reuse.paths("digits") == {}
    with pytest.raises(errors.ReuseError, match="files per task"):
        manager.global_path("parameters")
    with pytest.raises(errors.ReuseError, match=r"set reuse\.ranking=<project>"):
        project.open("new").global_path("ranking")


@pytest.mark.parametrize(
    ("reuse", "error", "problem"),
    [
        ({"parameters": "odl"}, errors.ReuseError, r"no project 'odl'.*Did you mean 'old'\?"),
        ({"parameters": "../old"}, errors.ReuseError, "no project '../old'"),
        ({"parameters": "old#x"}, errors.ReuseError, "project#number"),
        ({"parameters": 3}, errors.ReuseError, "no project '3'"),
        ({"parameters": True}, errors.ReuseError, "reuse.parameters=True: give a project"),
        ({"parameters": {"old": 1}}, errors.ReuseError, "reuse.parameters={'old': 1}: give a project"),
        ({"parameter": "old"}, errors.UnknownKeyError, "Did you mean 'parameters'"),
        ({"temp": "old"}, errors.ReuseError, "not reusable"),
        ({"clean_up": {"parameter": True}}, errors.UnknownKeyError, "Did you mean 'parameters'"),
        ({"clean_up": {"parameters": "no"}}, errors.ReuseError, r"clean_up\.parameters='no' is neither true"),
        ({"clean_up": {"parameters": 0}}, errors.ReuseError, r"takes key=true\|false"),
        ({"clean_up": True}, errors.ReuseError, "reuse.clean_up=True names no key"),
        ({"clean_up": ["parameters"]}, errors.ReuseError, r"reuse.clean_up=\['parameters'\] names no key"),
    ],
)
def test_what_cannot_be_reused_is_named_before_work_starts(
    project: Any, reuse: dict[str, Any], error: type[Exception], problem: str
) -> None:
    made(project, "old", 1)
    with pytest.raises(error, match=problem):
        project.open("new", reuse=reuse)
    with pytest.raises(errors.NoManagerError):
        MMLFileManager.instance()


@pytest.mark.parametrize("harm", ["cut", "flipped", "removed", "linked", "record"])
def test_g05_a_damaged_file_is_named_and_never_used(project: Any, harm: str) -> None:
    path = made(project, "old", 1)[0]
    manager = project.open("new", reuse={"parameters": "old"})
    if harm == "cut":
        path.write_bytes(b"x")
    elif harm == "flipped":
        path.write_bytes(b"OLD 0")
    elif harm == "record":
        record = next((path.parents[2] / ".mml" / "artefacts" / "parameters" / "digits").glob("*.json"))
        record.write_bytes(record.read_bytes()[:-20])
    else:
        path.unlink()
        if harm == "linked":
            path.symlink_to("/etc/hostname")
    with pytest.raises(errors.DamagedArtefactError, match="old"):
        manager._reuse.paths("digits")


def test_g05_every_cut_and_flipped_bit_of_a_reused_file_or_its_record_is_found_or_harmless(
    project: Any,
) -> None:
    """A file cut at every byte and flipped at every bit is never used, and its record leads to no other."""
    path = made(project, "old", 2)[-1]
    folder = path.parents[2] / ".mml" / "artefacts" / "parameters" / "digits"
    record = max(folder.glob("*.json"))

    def reused() -> dict[str, Path]:
        return project.open("new", reuse={"parameters": "old"})._reuse.paths("digits")

    for damaged, harmless in ((path, False), (record, True)):
        whole = damaged.read_bytes()
        flips = range(0, 8 * len(whole), 5 if harmless else 1)
        contents = [whole[:length] for length in range(len(whole))]
        contents += [(int.from_bytes(whole, "big") ^ 1 << bit).to_bytes(len(whole), "big") for bit in flips]
        for content in contents:
            damaged.write_bytes(content)
            try:
                found = reused()
            except errors.DamagedArtefactError as error:
                assert "old" in str(error)
            else:
                assert harmless
                assert found == {"parameters": path}
        damaged.write_bytes(whole)
        assert reused() == {"parameters": path}


def test_content_is_compared_once(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made(project, "old", 1)
    manager = project.open("new", reuse={"parameters": "old"})
    manager._reuse.paths("digits")
    monkeypatch.setattr(artefacts, "sha256_file", lambda path: pytest.fail("was read again"))
    manager._reuse.paths("digits")


def save_model(project: Any, manager: MMLFileManager, fold: int) -> ModelStorage:
    """Commit a model with all files it refers to, as one step does."""
    saved = []

    def work(fm: MMLFileManager) -> None:
        paths = [fm.construct_saving_path(b"", key, "digits") for key in ("parameters", "pipeline")]
        predictions = fm.construct_saving_path(b"", "predictions", "digits", "test.parquet")
        for path in (*paths, predictions):
            path.write_bytes(b"content %d" % fold)
        model = ModelStorage(
            weights=paths[0],
            pipeline=paths[1],
            task="digits",
            fold=fold,
            predictions={"test": predictions},
        )
        stored = fm.construct_saving_path(model, "models", task_name="digits")
        stored.write_text(json.dumps(model.to_json(fm.project_path)))
        saved.append(model)

    artefacts = project.step(manager, f"s{fold}", work)
    places = [manager.project_path / artefact.path for artefact in artefacts]
    return dataclasses.replace(
        saved[0], weights=places[0], pipeline=places[1], predictions={"test": places[2]}
    )


def test_all_models_are_reused_from_all_projects(project: Any) -> None:
    saved = []
    for name in ("p1", "p2"):
        manager = project.open(name, run="r1")
        saved += [save_model(project, manager, fold) for fold in range(2)]
    assert project.open("new", reuse={"models": ["p1", "p2"]})._reuse.models("digits") == saved
    assert project.open("new", reuse={"models": "p2#1"})._reuse.models("digits") == saved[2:3]


@pytest.mark.parametrize("what", ["weights", "pipeline", "predictions"])
def test_g05_a_model_over_a_damaged_file_is_never_used(project: Any, what: str) -> None:
    model = save_model(project, project.open("old", run="r1"), 0)
    path = {"weights": model.weights, "pipeline": model.pipeline, **model.predictions}.get(what)
    (path or model.predictions["test"]).write_bytes(b"CONTENT 0")
    with pytest.raises(errors.DamagedArtefactError, match="another content than was committed"):
        project.open("new", reuse={"models": "old"})._reuse.models("digits")


def test_g05_a_model_over_a_file_that_was_never_committed_is_not_used(project: Any) -> None:
    manager = project.open("old", run="r1")
    stranger = manager.project_path / "PARAMETERS" / "digits" / "model_0009.safetensors"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"x")
    model = ModelStorage(weights=stranger, pipeline=stranger, task="digits", fold=0)

    def work(fm: MMLFileManager) -> None:
        path = fm.construct_saving_path(model, "models", task_name="digits")
        path.write_text(json.dumps(model.to_json(fm.project_path)))

    project.step(manager, "s", work)
    with pytest.raises(errors.DamagedArtefactError, match=r"model_0009\.safetensors', which no step has"):
        project.open("new", reuse={"models": "old"})._reuse.models("digits")


def test_a_model_whose_predictions_were_cleaned_up_is_used(project: Any) -> None:
    manager = project.open("old", run="r1")
    model = save_model(project, manager, 0)
    manager.clean_up([record.artefact for record in manager.store.records()], ["predictions"])
    assert project.open("new", reuse={"models": "old"})._reuse.models("digits") == [model]


def test_only_the_records_of_the_key_and_task_are_read(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = project.open("old", run="r1")
    for task in ("a", "b", "c"):
        project.save(manager, "parameters", b"x", step=f"{task}1", task=task)
        project.save(manager, "parameters", b"x", step=f"{task}2", task=task)
    new = project.open("new", reuse={"parameters": "old"})
    read: list[Path] = []
    real = Path.read_bytes

    def recording(path: Path) -> bytes:
        read.append(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", recording)
    new._reuse.paths("b")
    assert len(read) == 1
