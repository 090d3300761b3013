"""Stored models that predict new images, from files or arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.data.new_images import NewImage, find_images
from mml_core.errors import MMLError
from mml_core.learning.answers import answers
from mml_core.learning.applying import Ensemble
from mml_core.learning.outputs import SEGMENTATION
from mml_core.learning.stored_calibrations import StoredCalibration, find_calibrations
from mml_core.tasks.models import ModelStorage

Image = str | Path | NDArray[Any]
"""An image file, or an array (H, W) or (H, W, C) of uint8 or uint16."""


class PredictionError(MMLError):
    """An image cannot be predicted."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one image; fields that its type of task does not have are empty.

    Attributes:
        image: Name of the image.
        task: The task it was predicted for.
        label: Of a classification: the most probable class.
        labels: Of a multilabel task: the labels whose probability is above 0.5.
        probabilities: Of both: class or label → probability.
        values: Of a regression: name → value, on the scale of the targets.
        mask: Of a segmentation: the class number of each pixel of the image, (H, W).
        shares: Of a segmentation: class → part of the image that it covers.
        calibration: Which run's calibration the numbers went through; empty: none.
    """

    image: str
    task: str
    label: str | None = None
    labels: Sequence[str] = ()
    probabilities: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    mask: NDArray[Any] | None = field(default=None, repr=False)
    shares: dict[str, float] = field(default_factory=dict)
    calibration: str = ""


class Model:
    """One stored model, or all folds of a training, which predict together by the mean of what they say.

    Args:
        ensemble: The models, ready to predict.
        models: Where they are stored, in the same order.
        results: Where projects are.

    Attributes:
        task: Name of the task whose head is asked.
        task_type: Its type.
        classes: Names of its classes or labels, in the order of the outputs.
    """

    def __init__(self, ensemble: Ensemble, models: Sequence[ModelStorage], results: Path) -> None:
        self._ensemble = ensemble
        self._models, self._results = models, results
        self.task: str = ensemble.task
        self.task_type: str = ensemble.output.task_type
        self.classes: list[str] = list(ensemble.classes)

    def __repr__(self) -> str:
        return f"<Model of {self.task}, {self.task_type}, {len(self.classes)} outputs>"

    def predict(self, image: Image, *, calibrated: bool | str = False) -> Prediction:
        """Predict one image, preprocessed and normalised as those that the model was trained on.

        Args:
            image: A file, or an array (H, W) or (H, W, C) of uint8 or uint16.
            calibrated: See :meth:`predict_all`.

        Raises:
            NoStoredCalibrationError: There is no calibration of the model.
            CalibrationError: It needs more images than one.
            PredictionError: It cannot be read, or the model cannot take it.
        """
        if isinstance(image, (str, Path)) and Path(image).is_dir():
            raise PredictionError(f"'{image}' is a folder; model.predict_all takes all images in it.")
        return self.predict_all([image], calibrated=calibrated)[0]

    def predict_all(
        self,
        images: str | Path | Iterable[Image],
        *,
        batch_size: int = 32,
        calibrated: bool | str = False,
    ) -> list[Prediction]:
        """Predict several images.

        Args:
            images: A folder, or files and arrays.
            batch_size: How many are predicted at once.
            calibrated: Whether what each model says is mapped by the calibration that the newest run of the
                mode postprocess has stored for it; or which run's: ``"RUN"``, ``"PROJECT/RUN"``, or
                ``"PROJECT"`` for its newest.

        Returns:
            A prediction for each, in the order given; of a folder sorted by name.

        Raises:
            NoImagesError: There are no images in the folder.
            NoStoredCalibrationError: There is no calibration of the model.
            CalibrationError: It cannot be used, or needs more images.
            PredictionError: One of them cannot be predicted; nothing is left out silently.
        """
        if batch_size < 1:
            raise PredictionError(f"batch_size is {batch_size}; at least one image is predicted at once.")
        found = self._images(images)
        calibrations = self._calibrations(calibrated)
        applied = self._ensemble.apply(found, batch_size=batch_size, calibrations=calibrations)
        if applied.problems:
            more = len(applied.problems) - 1
            raise PredictionError(applied.problems[0] + (f" ({more} more like this)" if more else ""))
        masks: Iterable[Any] = (None for _ in found)
        if self.task_type == SEGMENTATION:
            masks = (np.asarray(mask) for mask in applied.predictions.outputs)
        rows = answers(applied.predictions, self.classes)
        by = f"{calibrations[0].project}/{calibrations[0].run}" if calibrations else ""
        return [self._prediction(*each, by) for each in zip(rows, found, masks, strict=True)]

    def _calibrations(self, calibrated: bool | str) -> list[StoredCalibration]:
        if calibrated is False:
            return []
        source = None if calibrated is True else calibrated
        return find_calibrations(self._models, self._ensemble.output, self._results, source)

    def _prediction(
        self, row: dict[str, Any], image: NewImage, mask: NDArray[Any] | None, calibration: str
    ) -> Prediction:
        return Prediction(
            image=str(image.path),
            task=self.task,
            label=row.get("class"),
            labels=tuple(row.get("labels", ())),
            probabilities=row.get("probabilities", {}),
            values=row.get("values", {}),
            mask=mask,
            shares=row.get("shares", {}),
            calibration=calibration,
        )

    @staticmethod
    def _images(images: str | Path | Iterable[Image]) -> list[NewImage]:
        if isinstance(images, (str, Path)):
            return find_images(Path(images))[0]
        found = []
        for number, image in enumerate(images):
            name = f"{number:09d}"
            if isinstance(image, (str, Path)):
                found.append(NewImage(name=name, path=find_images(Path(image))[0][0].path))
            else:
                path = Path(f"number {number}")
                found.append(NewImage(name=name, path=path, pixels=np.asarray(image)))
        return found
