"""Blueprints: what an earlier training was made with, used again by the keys one chooses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mml_core.schedulers.blueprints import BlueprintError, load_blueprint

pytest_plugins = ["mml_core.testing.fixtures"]

ONE = ["mode.folds=1", "mode.subroutines=[train]"]
FIRST = ["optimizer=sgd", "optimizer.lr=0.123", "trainer.max_epochs=1", "augmentations=light"]


def pipeline(project: Path) -> dict[str, Any]:
    (path,) = project.glob("PIPELINES/a/*")
    return yaml.safe_load(path.read_text())  # type: ignore[no-any-return]


def record(project: Path) -> dict[str, Any]:
    (run,) = (project / "runs").iterdir()
    bodies = [json.loads(path.read_text())["body"] for path in (run / "steps").glob("*.json")]
    (found,) = (body["value"] for body in bodies if body["method"] == "train_fold")
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("key", ["blueprint", "pipeline"])
def test_the_chosen_keys_are_taken_and_the_others_are_not(train, install, mml_project, key) -> None:
    install("a")
    first = train("a", "--proj", "first", "mode.write_blueprint=true", *ONE, *FIRST)
    assert first.code == 0, first.err
    take = ["mode.use_blueprint=[optimizer,trainer]", f"reuse.{key}=first"]
    second = train("a", "--proj", "second", "trainer.max_epochs=3", *take, *ONE)
    assert second.code == 0, second.err
    found = pipeline(mml_project.path("second"))["training"]
    assert found["optimizer"]["lr"] == 0.123
    assert found["trainer"]["max_epochs"] == 1
    assert found["augmentations"]["name"] == "none"
    value = record(mml_project.path("second"))
    assert value["blueprint"]["keys"] == ["optimizer", "trainer"]
    assert Path(value["blueprint"]["file"]).is_relative_to(mml_project.path("first"))
    assert "takes optimizer, trainer from" in second.err + second.out


def test_a_blueprint_makes_the_same_model_again(train, install, mml_project) -> None:
    install("a")
    assert train("a", "--proj", "first", "mode.write_blueprint=true", *ONE, *FIRST).code == 0
    keys = "[arch,preprocessing,optimizer,lr_scheduler,loss,augmentations,sampling,trainer]"
    again = train("a", f"mode.use_blueprint={keys}", "reuse.blueprint=first", "trainer.max_epochs=5", *ONE)
    assert again.code == 0, again.err
    first, second = (mml_project.files(name) for name in ("first", "default"))
    (weights,) = (digest for path, digest in first.items() if path.startswith("PARAMETERS"))
    assert weights in second.values()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode.use_blueprint=[arch]"], "has no blueprint"),
        (["mode.use_blueprint=[arhc]", "reuse.pipeline=first"], "Did you mean 'arch'"),
        (["mode.use_blueprint=arch", "reuse.pipeline=first"], r"write \[arch\]"),
    ],
)
def test_what_cannot_be_taken_is_named(train, install, overrides, message) -> None:
    install("a")
    assert train("a", "--proj", "first", *ONE, *FIRST).code == 0
    result = train("a", *overrides, *ONE)
    assert result.code == 2
    import re

    assert re.search(message, result.err), result.err


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ("config: {}", "neither a blueprint nor a pipeline"),
        ("version: 99\nconfig: {}", "neither a blueprint nor a pipeline"),
        ("[1", "cannot be read"),
        ("!!python/object:os.system {}", "cannot be read"),
        ("version: 1\nconfig: {loss: {classification: {name: 'os:system'}}}", "names code"),
    ],
)
def test_nothing_but_plain_values_is_read(tmp_path, stored, message) -> None:
    path = tmp_path / "blueprint.yaml"
    path.write_text(stored)
    with pytest.raises(BlueprintError, match=message):
        load_blueprint(path)
