"""Clean-up removes what this run made of the chosen keys, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mml_core.files import errors


def test_g13_only_the_chosen_keys_of_this_run_go(project: Any) -> None:
    other = project.open(run="r0")
    kept = project.save(other, "parameters", b"other run", step="s")
    manager = project.open(run="r1", reuse={"clean_up": {"parameters": True, "pipeline": False}})
    gone = project.save(manager, "parameters", b"1", step="s1")
    pipeline = project.save(manager, "pipeline", b"2", step="s2")
    checkpoint = manager.layout.attempts / "s1-dead" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"3")
    removed = manager.clean_up([kept, gone, pipeline])
    assert removed == [manager.project_path / gone.path]
    assert manager.clean_up([kept, gone, pipeline]) == []
    left = {path.name for path in manager.project_path.rglob("*") if path.is_file()}
    assert {"model_0001.safetensors", "pipeline_0001.yaml"} <= left
    assert not {"model_0002.safetensors", "last.ckpt"} & left


def test_a_removed_number_is_not_given_again(project: Any) -> None:
    manager = project.open(run="r1")
    artefact = project.save(manager, "parameters", b"1", step="s1")
    manager.clean_up([artefact], ["parameters"])
    assert project.save(manager, "parameters", b"1", step="s2").number == 2


def test_g13_what_another_run_replaced_stays(project: Any) -> None:
    mine, theirs = project.open(run="r1"), project.open(run="r2")
    first = project.save(mine, "img_examples", b"1", step="s")
    project.save(theirs, "img_examples", b"2", step="s")
    assert mine.clean_up([first], ["img_examples"]) == []
    assert (mine.project_path / first.path).read_bytes() == b"2"


def test_g13_a_reused_file_stays(project: Any) -> None:
    first = project.open(run="r1")
    artefact = project.save(first, "parameters", b"1", step="s")
    again = project.open(run="r2", reuse={"parameters": "proj", "clean_up": {"parameters": True}})
    path = again._reuse.paths("digits")["parameters"]
    again.clean_up([artefact])
    assert path.exists()


@pytest.mark.parametrize("path", ["../precious", "/etc/hostname", "A/../../precious", ""])
def test_g13_a_path_out_of_the_project_is_refused(project: Any, path: str) -> None:
    manager = project.open(run="r1")
    artefact = msgspec.structs.replace(project.save(manager, "parameters", b"1", step="s"), path=path)
    (project.root / "results" / "precious").write_bytes(b"")
    with pytest.raises(errors.UnsafePathError, match="leads out of the project"):
        manager.clean_up([artefact], ["parameters"])
    assert (project.root / "results" / "precious").exists()


def test_g13_symbolic_links_are_not_followed(project: Any) -> None:
    manager = project.open(run="r1")
    artefact = project.save(manager, "parameters", b"1", step="s")
    outside = project.root / "outside"
    (manager.project_path / "PARAMETERS").rename(outside)
    (manager.project_path / "PARAMETERS").symlink_to(outside)
    with pytest.raises(errors.UnsafePathError, match="symbolic link"):
        manager.clean_up([artefact], ["parameters"])
    assert (outside / "digits" / "model_0001.safetensors").exists()


def test_g13_a_linked_temp_folder_is_not_followed(project: Any) -> None:
    manager = project.open(run="r1")
    outside = project.root / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"")
    manager.layout.temp.parent.mkdir(parents=True)
    manager.layout.temp.symlink_to(outside)
    with pytest.raises(errors.UnsafePathError, match="symbolic link"):
        manager.clean_up([])
    assert (outside / "precious").exists()


def test_g13_odd_names_are_removed_exactly(project: Any) -> None:
    manager = project.open(run="r1")
    odd = project.save(manager, "parameters", b"1", step="s", task="a:b\nc/../d")
    plain = project.save(manager, "parameters", b"1", step="s2", task="a")
    assert manager.clean_up([odd], ["parameters"]) == [manager.project_path / odd.path]
    assert (manager.project_path / plain.path).exists()
