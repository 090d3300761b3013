"""Calibrations that the mode postprocess has stored, found again for the models whose outputs they map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError, near_matches
from mml_core.files.artefacts import ArtefactRecord, ArtefactStore
from mml_core.files.stored_models import near_projects, project_of
from mml_core.learning.calibration import METHODS
from mml_core.learning.calibrator import Calibrator, load_calibrator, load_prior_shift
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.prior_shift import PriorShift
from mml_core.learning.scaling import CalibrationError
from mml_core.tasks.models import ModelStorage

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions

KEY, PREDICTIONS, WEIGHTS = "calibration", "predictions", ".safetensors"


class NoStoredCalibrationError(MMLError):
    """There is no calibration of a model where one was asked for."""


@dataclass(frozen=True, kw_only=True)
class StoredCalibration:
    """A calibration of one model.

    Attributes:
        calibrator: Maps the model's outputs.
        shift: Corrects them for the frequencies of classes where the model is used; None for nothing.
        project: Where it is stored.
        run: Which run of the mode postprocess made it.
        file: Its JSON file, relative to the project.
    """

    calibrator: Calibrator
    shift: PriorShift | None
    project: str
    run: str
    file: str

    @property
    def name(self) -> str:
        """What was done, as the tables of the mode postprocess say it."""
        return self.calibrator.method + (", prior shift" if self.shift else "")

    def apply(self, predictions: Predictions) -> Predictions:
        """Return predictions of new images, mapped and corrected.

        Raises:
            CalibrationError: They come from another head, or there are too few images to estimate priors on.
        """
        mapped = self.calibrator.apply(predictions)
        return self.shift.apply(mapped) if self.shift else mapped

    def to_json(self) -> dict[str, Any]:
        """Return where it comes from, as a JSON object."""
        return {
            "method": self.calibrator.method,
            "prior_shift": self.shift is not None,
            "fold": self.calibrator.fold,
            "project": self.project,
            "run": self.run,
            "file": self.file,
        }


def find_calibrations(
    models: Sequence[ModelStorage], output: TaskOutput, results: Path, source: str | None = None
) -> list[StoredCalibration]:
    """Find one calibration for each model, all of the newest run that calibrated every one of them.

    That a calibration belongs to a model is known by hashes: it was fitted on predictions, which were made
    with these weights.

    Args:
        models: Models of one task.
        output: What is calibrated.
        results: Where projects are, if the models lie in none.
        source: A run, a project, or ``PROJECT/RUN``; None for the models' own project.

    Raises:
        NoStoredCalibrationError: There is none of one of the models.
        DamagedArtefactError: A file is not what its step committed.
        CalibrationError: It cannot be read, or was fitted on outputs that are made in another way.
    """
    if not METHODS[output.task_type]:
        raise NoStoredCalibrationError(
            f"Predictions of task '{output.task}', {output.task_type}, are masks, without the probabilities"
            " to calibrate; predict as they are."
        )
    project, run = _placed(source, project_of(models[0].weights.absolute()), results)
    wanted = [_weights_hash(model) for model in models]
    of_run: dict[str, dict[str, ArtefactRecord]] = {}
    for record in ArtefactStore(project).newest_first(KEY, output.task):
        for predictions in _fitted_on(record, project):
            for name, used in _inputs(predictions).items():
                if name.endswith(WEIGHTS):
                    of_run.setdefault(record.run, {}).setdefault(used["sha256"], record)
    whole = [name for name, found in of_run.items() if all(each in found for each in wanted)]
    if not whole or run not in ("", *whole):
        raise NoStoredCalibrationError(_nothing(output.task, project.name, run, whole, models))
    found = of_run[run or whole[0]]
    return [_load(found[weights], project) for weights in wanted]


def _placed(source: str | None, own: Path | None, results: Path) -> tuple[Path, str]:
    """Return the project to look in, and the run; an empty string for the newest."""
    folder = own.parent if own else results
    name, slash, run = (source or "").partition("/")
    if name and (folder / name).is_dir():
        return folder / name, run
    if slash or (source and own is None):
        raise NoStoredCalibrationError(
            f"There is no project '{name}' in {folder}.{near_projects(name, folder)} Give a run, a project,"
            " or PROJECT/RUN."
        )
    if own is None:
        raise NoStoredCalibrationError(
            "The model lies in no project of mml any more, so that nothing tells which calibration is of it;"
            " predict in the project where it was trained and calibrated."
        )
    return own, name


def _weights_hash(model: ModelStorage) -> str:
    project = project_of(model.weights.absolute())
    if project is None:
        return ""
    record = ArtefactStore(project).find_path(model.weights.absolute().relative_to(project).as_posix())
    return record.artefact.sha256 if record else ""


def _fitted_on(record: ArtefactRecord, project: Path) -> Iterator[ArtefactRecord]:
    """Yield the records of the predictions that a calibration was fitted on."""
    for path, used in _inputs(record).items():
        owner = project.parent / used.get("project", project.name)
        if not (owner / path).is_relative_to(owner):  # of other projects paths are absolute
            continue
        found = ArtefactStore(owner).find_path((owner / path).relative_to(owner).as_posix())
        if found and found.artefact.key == PREDICTIONS and found.artefact.sha256 == used["sha256"]:
            yield found


def _inputs(record: ArtefactRecord) -> Mapping[str, Mapping[str, str]]:
    files: Mapping[str, Mapping[str, str]] = record.extra.get("inputs", {}).get("files", {})
    return files


def _load(record: ArtefactRecord, project: Path) -> StoredCalibration:
    path = ArtefactStore(project).verify(record)
    for predictions in _fitted_on(record, project):
        views = predictions.extra.get("config", {}).get("augmentations", {}).get("test_time")
        if views:
            raise CalibrationError(
                f"The calibration {path} was fitted on means over augmentations.test_time={views}, and new"
                " images are predicted once, as they are: predict the folds without test-time augmentation,"
                " and calibrate that."
            )
    return StoredCalibration(
        calibrator=load_calibrator(path),
        shift=load_prior_shift(path),
        project=project.name,
        run=record.run,
        file=record.artefact.path,
    )


def _nothing(task: str, project: str, run: str, whole: Sequence[str], models: Sequence[ModelStorage]) -> str:
    folds = ", ".join(str(model.fold) for model in models)
    of = f"task '{task}', fold{'' if len(models) == 1 else 's'} {folds}"
    if run:
        there = f" Runs that have: {', '.join(whole[:5])}." if whole else " No other run has."
        return f"Run '{run}' of project '{project}' has not calibrated {of}.{near_matches(run, whole)}{there}"
    return (
        f"No run of project '{project}' has calibrated {of}: mml run --mode=postprocess --proj={project}"
        f" --tasks={task} 'mode.subroutines=[calibrate]' does."
    )
