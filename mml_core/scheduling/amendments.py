"""What a run did to a model after it was stored, such as its predictions, by the records of the run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mml_core.config.run_directory import RUNS
from mml_core.errors import MMLError
from mml_core.files.artefacts import ArtefactStore
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.verifying import records_of
from mml_core.tasks.models import ModelStorage

log = logging.getLogger(__name__)


def amended(models: Sequence[ModelStorage], results: Path) -> list[ModelStorage]:
    """Return stored models as the last step of the runs that made them left them.

    Those of a run that was removed are returned as they were stored.

    Args:
        models: The models.
        results: The folder of all projects, in which the models lie.
    """
    edits: dict[tuple[Path, str], dict[str, dict[str, Any]]] = {}
    found = []
    for model in models:
        project = results / model.weights.relative_to(results).parts[0]
        place = project / RUNS / model.run
        if model.run and (place, model.task) not in edits:
            edits[place, model.task] = _edits(place, model.task)
        stored = model.to_json(project)
        edited = edits.get((place, model.task), {}).get(stored["weights"])
        found.append(_edited(stored | edited, project) if edited else model)
    return found


def _edited(stored: dict[str, Any], project: Path) -> ModelStorage:
    """Return a model with edited fields; predictions that are not in place yet are left out."""
    store = ArtefactStore(project)
    changed = ModelStorage.from_json(stored, project)
    for split, path in list(changed.predictions.items()):
        if store.find_path(path.relative_to(project).as_posix()) is None:
            del changed.predictions[split]
    return changed


def _edits(place: Path, task: str) -> dict[str, dict[str, Any]]:
    """Return the fields of models that steps of a run changed, by the models' weights."""
    edits: dict[str, dict[str, Any]] = {}
    for edited in _changes(RunDirectory(place), task):
        for weights, fields in edited.items():
            edits.setdefault(weights, {}).update(fields)
    return edits


def _changes(run: RunDirectory, task: str) -> Iterator[dict[str, dict[str, Any]]]:
    if not run.plan_path.exists():
        return
    try:
        changes = [record.structs[task].edited for record in records_of(run) if task in record.structs]
    except (MMLError, OSError, msgspec.DecodeError) as error:
        log.warning("models of the run %s are taken as they were stored: %s", run.id, error)
        return
    yield from changes
