"""Finding the predictions of a model: by a file of them, a stored model, or a project."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from mml_core.errors import MMLError
from mml_core.files.artefacts import ArtefactRecord, ArtefactStore
from mml_core.files.stored_models import near_projects
from mml_core.learning.predictions import Predictions, contents_of, load_predictions
from mml_core.tasks.models import ModelStorage

KEY = "predictions"
PREFERENCE = ("test", "outer", "val", "train")
"""Which split is taken where none is named: the one that training has seen least of."""
_OF_TRAINING = "fold*"
"""What the mode train names its files, with the fold in place of the star."""


class NoPredictionsError(MMLError):
    """There are no predictions where they were looked for."""


def find_predictions(source: str, results: Path) -> dict[str, list[Path]]:
    """Return the files with the predictions of a model, by task, one of each fold.

    Args:
        source: A Parquet file of predictions, the JSON file of a stored model, or the name of a project. Of a
            project, the newest file of each task and fold is taken, of those that training made where there
            are others, too.
        results: Where projects are.

    Raises:
        NoPredictionsError: There are none, or no such file or project.
        DamagedArtefactError: A file of a project is not what its step committed.
        ModelReferenceError: The JSON file is no stored model.
        PredictionsError: The Parquet file holds no predictions.
    """
    path = Path(source)
    if path.suffix == ".parquet":
        return {contents_of(path).output.task: [path]}
    if path.suffix == ".json":
        return _of_model(path)
    project = results / source
    if project.parent != results or not project.is_dir():
        raise NoPredictionsError(
            f"'{source}' is neither a file of predictions (.parquet), nor a stored model (.json), nor a"
            f" project in {results}.{near_projects(source, results)}"
        )
    store = ArtefactStore(project)
    tasks = sorted({str(each.artefact.task) for each in store.records() if each.artefact.key == KEY})
    if not tasks:
        raise NoPredictionsError(
            f"No run of the project '{source}' has committed predictions; run the mode train there."
        )
    return {task: _newest(store, task) for task in tasks}


def parts_of(files: Sequence[Path], split: str) -> list[Predictions]:
    """Read the predictions of one split from files of one model, one of each fold."""
    return [part for file in files for part in load_predictions(file) if part.split == split]


def common_split(first: Sequence[Path], second: Sequence[Path]) -> str:
    """Return the split to compare two models on: test, else outer, val or train, whichever both have.

    Raises:
        NoPredictionsError: They have none in common.
    """
    splits = [{split for file in files for split in contents_of(file).splits} for files in (first, second)]
    for split in PREFERENCE:
        if all(split in found for found in splits):
            return split
    raise NoPredictionsError(
        f"The first model has predictions of {', '.join(sorted(splits[0]))}, the second of"
        f" {', '.join(sorted(splits[1]))}: no split with targets is in both; predict again."
    )


def _of_model(path: Path) -> dict[str, list[Path]]:
    project = next((each for each in path.absolute().parents if (each / ".mml").is_dir()), None)
    if project is None or not path.is_file():
        raise NoPredictionsError(f"There is no stored model {path} in a project; give its path or a project.")
    try:
        stored = json.loads(path.read_bytes())
    except ValueError as error:
        raise NoPredictionsError(f"The stored model {path} cannot be read: {error}.") from error
    model = ModelStorage.from_json(stored, project)
    files = list(dict.fromkeys(model.predictions.values())) or _made_with(model, project)
    if not files:
        raise NoPredictionsError(
            f"No step has predicted with the model {path}; run the mode train with"
            f" mode.subroutines=[predict] and reuse.models={project.name}."
        )
    return {model.task: files}


def _made_with(model: ModelStorage, project: Path) -> list[Path]:
    """Return the newest predictions that a step made from the weights of a model."""
    weights = model.weights.relative_to(project).as_posix() if model.weights.is_relative_to(project) else None
    store = ArtefactStore(project)
    for record in store.newest_first(KEY, model.task):
        used = record.extra.get("inputs", {}).get("files", {})
        if weights in used:
            path = store.verify(record)
            if contents_of(path).folds == (model.fold,):
                return [path]
    return []


def _newest(store: ArtefactStore, task: str) -> list[Path]:
    found: dict[str, dict[str, ArtefactRecord]] = {}
    for record in store.newest_first(KEY, task):
        stem = re.sub(r"_\d{4,}$", "", Path(record.artefact.path).stem)
        family = re.sub(r"fold\d+", "fold*", stem)
        found.setdefault(family, {}).setdefault(stem, record)
    if len(found) > 1 and _OF_TRAINING not in found:
        raise NoPredictionsError(
            f"The project '{store.project.name}' has several kinds of predictions of task '{task}':"
            f" {', '.join(sorted(found))}; give the path of one file in {store.project / 'PREDICTIONS'}."
        )
    family = _OF_TRAINING if _OF_TRAINING in found else next(iter(found))
    return [store.verify(record) for _, record in sorted(found[family].items())]
