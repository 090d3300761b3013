"""Stored models by name: the JSON file of one, or a project and a number, with all files compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from mml_core.errors import near_matches
from mml_core.files.artefacts import ArtefactRecord, ArtefactStore
from mml_core.files.errors import DamagedArtefactError, ReuseError
from mml_core.files.reuse import MODELS
from mml_core.tasks.errors import TaskError
from mml_core.tasks.models import ModelStorage

_NUMBERED = re.compile(r"(?P<project>[^#/\\]+)#(?P<number>\d+)")


def near_projects(name: str, results: Path) -> str:
    """Return a sentence that proposes the projects most like ``name``, or an empty string."""
    there = results.iterdir() if results.is_dir() else ()
    return near_matches(name, sorted(each.name for each in there if each.is_dir()))


def find_stored_model(reference: str, results: Path, task: str | None = None) -> Path:
    """Return the JSON file of a stored model.

    Args:
        reference: Its path, absolute or relative to the folder of all projects or the working directory; or
            ``project#number``.
        results: The folder of all projects.
        task: Of which task it has to be; None where only one task of the project has a model of that number.

    Raises:
        ReuseError: There is none, or several tasks have one.
    """
    match = _NUMBERED.fullmatch(reference)
    if match is None:
        for place in (results / reference, Path(reference).absolute()):
            if place.is_file():
                return place
        raise ReuseError(
            f"'{reference}' is no stored model: there is no such file in {results} or the working directory;"
            " give the path of a model.json, or project#number."
        )
    project, number = results / match["project"], int(match["number"])
    if not project.is_dir():
        hint = near_projects(project.name, results)
        raise ReuseError(f"There is no project '{project.name}' in {results}.{hint}")
    models = list(_models_of(project))
    found = [
        record.artefact
        for record in models
        if record.artefact.number == number and task in (None, record.artefact.task)
    ]
    if len(found) == 1:
        return project / found[0].path
    of = "" if task is None else f" of task '{task}'"
    if found:
        tasks = ", ".join(sorted(str(each.task) for each in found))
        raise ReuseError(f"'{reference}': the tasks {tasks} each have a model of that number; name the task.")
    there = sorted(f"{each.artefact.number} of '{each.artefact.task}'" for each in models)
    listed = ", ".join(there[:10]) if there else "none at all"
    raise ReuseError(f"'{reference}': there is no such model{of} in project '{project.name}', but {listed}.")


def project_of(file: Path) -> Path | None:
    """Return the project whose records may tell of a file: the folder above it that has some."""
    return next((folder for folder in file.parents if (folder / ".mml" / "artefacts").is_dir()), None)


def load_stored_model(path: Path) -> ModelStorage:
    """Read a stored model, after comparing its file, its weights and its pipeline with what was committed.

    Args:
        path: Its JSON file, in the project of the run that made it.

    Raises:
        DamagedArtefactError: A file is not what was committed, or no step has committed it.
        ReuseError: The file lies in no project.
    """
    project = project_of(path)
    if project is None:
        raise ReuseError(
            f"The stored model '{path}' lies in no project of mml, so that nobody can tell whether its files"
            " are whole; give one in a folder of results."
        )
    _verify(path, project)
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        model = ModelStorage.from_json(stored, project)
    except (msgspec.DecodeError, TaskError) as error:
        raise DamagedArtefactError(f"The stored model '{path}' cannot be read: {error}") from error
    for file in (model.weights, model.pipeline):
        _verify(file, project.parent / file.relative_to(project.parent).parts[0])
    return model


def _verify(file: Path, project: Path) -> None:
    store = ArtefactStore(project)
    record = store.find_path(file.relative_to(project).as_posix())
    if record is None or record.state != "live":
        raise DamagedArtefactError(
            f"No step has committed '{file}', so it is not used; finish the run that makes it, or make it"
            " again."
        )
    store.verify(record)


def _models_of(project: Path) -> Iterator[ArtefactRecord]:
    for record in ArtefactStore(project).records():
        if record.artefact.key == MODELS and record.state == "live":
            yield record
