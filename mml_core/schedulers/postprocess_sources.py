"""Which files of predictions a run of the mode ``postprocess`` works on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.files.artefacts import ArtefactRecord, ArtefactStore
from mml_core.learning.ensembling import ALL_FOLDS
from mml_core.learning.predictions import Contents, contents_of
from mml_core.schedulers.holdouts import Holdout
from mml_core.schedulers.postprocess_options import Choice

if TYPE_CHECKING:
    from mml_core.files.manager import MMLFileManager
    from mml_core.tasks.models import ModelStorage

KEY = "predictions"
OWN = "mml_core.schedulers.postprocess:PostprocessScheduler"
MADE_BY = {"calibrated": "calibrate_fold", "ensemble": "ensemble_task"}
_NUMBER = re.compile(r"_\d{4,}$")
_SLOT = re.compile(r"fold\d+(-outer\d+)?")


class NoSourceError(MMLError):
    """There are no predictions to work on."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file of predictions, of one model on its validation fold and on others.

    Attributes:
        model: Which of the models it is of, ``model1``, ``model2``, …: a model is what one run made for all
            folds.
        slot: What its name begins with, ``fold0``: which folds the model has not seen.
        project: Name of the project.
        path: Of the file, in the project.
        sha256: Of its content.
        holds: What is in it.
    """

    model: str
    slot: str
    project: str
    path: str
    sha256: str
    holds: Contents

    @property
    def params(self) -> list[str]:
        """What the step that takes it is called with: what it is, and how the hash of its content begins."""
        return [self.model, self.slot, f"{self.project}/{self.path}", self.sha256[:12]]


def find_sources(
    fm: MMLFileManager, task: str, choice: Choice, models: Sequence[ModelStorage] | None
) -> list[Source]:
    """Find the predictions of a task, oldest first; of equal ones only the first.

    Ensembles over all folds are left out: no sample validates them.

    Args:
        fm: Knows what there is, and what is to be reused.
        task: Name of the task.
        choice: Which of them are taken.
        models: Only those of these models; None for all there are.

    Raises:
        NoSourceError: There are none.
        PredictionsError: One cannot be read.
        DamagedArtefactError: One is not what was committed.
    """
    there = fm.committed(KEY, task) if models is None else _of_models(models, fm.project_path.parent, task)
    found = _of_runs([each for each in there if _made_as(each[1]) == choice.kind], choice)
    sources: dict[str, Source] = {}
    names: dict[tuple[Path, str, str], str] = {}
    for project, record in found:
        artefact = record.artefact
        if artefact.sha256 in sources:
            continue
        holds = contents_of(ArtefactStore(project).verify(record))
        if holds.fold == ALL_FOLDS or (choice.folds is not None and holds.fold not in choice.folds):
            continue
        stem = _NUMBER.sub("", PurePosixPath(artefact.path).stem)
        match = _SLOT.match(stem)
        slot = match[0] if match else stem
        family = (project, record.run, stem.removeprefix(slot))
        sources[artefact.sha256] = Source(
            model=names.setdefault(family, f"model{len(names) + 1}"),
            slot=slot,
            project=project.name,
            path=artefact.path,
            sha256=artefact.sha256,
            holds=holds,
        )
    if not sources:
        raise NoSourceError(_nothing(task, choice, [record for _, record in there], fm.project_path.name))
    return list(sources.values())


def _made_as(record: ArtefactRecord) -> str:
    if record.extra.get("scheduler") != OWN:
        return "raw"
    made_by = record.extra.get("method")
    return next((kind for kind, method in MADE_BY.items() if method == made_by), "")


def _of_runs(found: list[tuple[Path, ArtefactRecord]], choice: Choice) -> list[tuple[Path, ArtefactRecord]]:
    if choice.runs == "all" or not found:
        return found
    newest = max(found, key=lambda each: each[1].artefact.created)[1].run
    wanted = [newest] if isinstance(choice.runs, str) else choice.runs
    return [(project, record) for project, record in found if record.run in wanted]


def _of_models(models: Iterable[ModelStorage], results: Path, task: str) -> list[tuple[Path, ArtefactRecord]]:
    """Return the newest predictions made with each model, in its own project."""
    found = []
    for model in models:
        project = results / model.weights.relative_to(results).parts[0]
        weights = model.weights.relative_to(project).as_posix()
        stem = f"fold{Holdout(fold=model.fold, outer=model.outer).key}"
        for record in ArtefactStore(project).newest_first(KEY, task):
            used: dict[str, Any] = record.extra.get("inputs", {}).get("files", {})
            named = project / record.artefact.path in model.predictions.values()
            if named or (weights in used and _NUMBER.sub("", Path(record.artefact.path).stem) == stem):
                found.append((project, record))
                break
    return found


def _nothing(task: str, choice: Choice, there: Sequence[ArtefactRecord], project: str) -> str:
    if not there:
        return (
            f"Task '{task}' has no predictions in project '{project}' or the models named; run the mode train"
            " with the subroutine predict, or set reuse.predictions=<project>."
        )
    kinds = sorted({_made_as(record) or "other" for record in there})
    runs = sorted({record.run for record in there})
    return (
        f"Task '{task}' has no predictions with mode.predictions={choice.kind}, mode.runs={choice.runs} and"
        f" mode.folds={'all' if choice.folds is None else choice.folds}; there are {len(there)} files"
        f" ({', '.join(kinds)}) of the runs {', '.join(runs[-5:])}."
    )
