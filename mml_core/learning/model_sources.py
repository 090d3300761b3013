"""Finding stored models to predict with: by the file of one, or all folds of a project's newest training."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mml_core.errors import MMLError, near_matches
from mml_core.files.artefacts import ArtefactStore
from mml_core.files.stored_models import near_projects
from mml_core.tasks.models import ModelStorage

KEY = "models"


class NoStoredModelError(MMLError):
    """There is no stored model where one was looked for."""


def find_models(source: str, results: Path) -> list[ModelStorage]:
    """Return the models that a user names, by fold.

    Args:
        source: The JSON file of a stored model, ``PROJECT/TASK``, or the project alone where it has models of
            one task only. Of a project these are all models of the run that made the newest one.
        results: Where projects are.

    Raises:
        NoStoredModelError: There is none.
        DamagedArtefactError: A file of a model is not what its step committed.
        ModelReferenceError: The JSON file is no stored model.
    """
    if source.endswith(".json"):
        return [_of_file(Path(source))]
    name, _, task = source.partition("/")
    project = results / name
    if not name or project.parent != results or not project.is_dir():
        raise NoStoredModelError(
            f"'{source}' is neither a stored model (.json) nor a project in {results}."
            f"{near_projects(name, results)} Give a model's file, or PROJECT/TASK."
        )
    store = ArtefactStore(project)
    tasks = sorted({str(each.artefact.task) for each in store.records() if each.artefact.key == KEY})
    chosen = task or (tasks[0] if len(tasks) == 1 else "")
    if chosen not in tasks:
        what = (
            f"no models of task '{task}'.{near_matches(task, tasks)}" if task else "models of several tasks."
        )
        raise NoStoredModelError(
            f"The project '{name}' has {what if tasks else 'no models: run the mode train there.'}"
            + (f" Tasks: {', '.join(tasks)}; write '{name}/{tasks[0]}'." if tasks else "")
        )
    records = list(store.newest_first(KEY, chosen))
    newest = [record for record in records if record.run == records[0].run]
    return sorted(
        (_load(store.verify(record), project) for record in newest),
        key=lambda model: (-1 if model.outer is None else model.outer, model.fold),
    )


def _of_file(path: Path) -> ModelStorage:
    if not path.is_file():
        candidates = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NoStoredModelError(f"There is no stored model {path}.{near_matches(path.name, candidates)}")
    place = path.absolute()
    # A model that was handed on without its project's records lies in the folders it had there.
    above = place.parents[min(2, len(place.parents) - 1)]
    return _load(path, next((each for each in place.parents if (each / ".mml").is_dir()), above))


def _load(path: Path, project: Path) -> ModelStorage:
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=dict)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoStoredModelError(f"The stored model {path} cannot be read: {error}.") from error
    if {"members", "weights"} <= stored.keys():
        raise NoStoredModelError(
            f"{path} is an ensemble of saved predictions, as postprocess stores it, and no network: predict"
            f" with all folds of a training by PROJECT/{stored.get('task')}, or with the file of one model."
        )
    model = ModelStorage.from_json(stored, project)
    for file in (path.absolute(), model.weights, model.pipeline):
        _verify(file, project)
    return model


def _verify(file: Path, project: Path) -> None:
    """Refuse a file that is not what was committed; what has no record is taken as it is."""
    owner = project
    if not file.is_relative_to(project):  # of a project beside it
        owner = project.parent / file.relative_to(project.parent).parts[0]
    store = ArtefactStore(owner)
    record = store.find_path(file.relative_to(owner).as_posix()) if store.root.is_dir() else None
    if record is not None:
        store.verify(record)
