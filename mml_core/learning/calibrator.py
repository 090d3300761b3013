"""A fitted calibration: a map of a model's outputs, kept as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from mml_core.learning.isotonic import Steps
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.probabilities import as_array, logits_of, probabilities
from mml_core.learning.scaling import CalibrationError, scaled_logits
from mml_core.learning.statistics import Array

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions
    from mml_core.learning.prior_shift import PriorShift

LEAST = 1e-7
"""Isotonic probabilities keep this distance from 0 and 1: a single surprise would cost an infinite loss."""

Parameters: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """A fitted map of a model's outputs.

    Attributes:
        method: How it was fitted.
        output: The head whose outputs it maps.
        fold: Validation fold of the model.
        samples: How many samples it was fitted on.
        parameters: ``weight`` (one factor, one for each class or value, or a matrix) and ``bias`` of logits,
            or of regression values; or ``curves``, for each class or label the knots ``at`` and ``values`` of
            a function of its probability, None where it stays as it is.
        notes: What is to be known of the fit, in words.
    """

    method: str
    output: TaskOutput
    fold: int
    samples: int
    parameters: Parameters
    notes: tuple[str, ...] = ()

    def apply(self, predictions: Predictions) -> Predictions:
        """Return predictions of any split with their outputs mapped; targets are not looked at.

        Raises:
            CalibrationError: They come from another head.
        """
        theirs = predictions.output
        if theirs != self.output:
            raise CalibrationError(
                f"This calibration is for task '{self.output.task}' of type {self.output.task_type} with"
                f" {self.output.width} outputs, and the predictions are of task '{theirs.task}',"
                f" {theirs.task_type} with {theirs.width}; use its own."
            )
        outputs = torch.from_numpy(self.mapped(as_array(predictions.outputs))).float()
        return replace(predictions, outputs=outputs)

    def mapped(self, outputs: Array) -> Array:
        """Return outputs (samples, classes, labels or values) as they are mapped."""
        if "curves" not in self.parameters:
            weight, bias = (np.asarray(self.parameters[name], np.float64) for name in ("weight", "bias"))
            return scaled_logits(outputs, weight, bias)
        stated = probabilities(self.output.task_type, outputs)
        columns = [
            column
            if curve is None
            else Steps(at=np.asarray(curve["at"]), values=np.asarray(curve["values"]))(column)
            for curve, column in zip(self.parameters["curves"], stated.T, strict=True)
        ]
        return logits_of(self.output.task_type, np.stack(columns, axis=1), least=LEAST)

    def to_json(self) -> dict[str, Any]:
        """Return the calibrator as a JSON object."""
        return {**asdict(self), "notes": list(self.notes)}


def save_calibrator(path: Path, calibrator: Calibrator, **more: Any) -> None:
    """Write a calibrator as JSON, atomically, with further entries."""
    from mml_core.storage.atomic import write_json

    write_json(path, {**calibrator.to_json(), **more})


def load_calibrator(path: Path) -> Calibrator:
    """Read what :func:`save_calibrator` wrote; further entries are left out.

    Raises:
        CalibrationError: It is no stored calibrator.
    """
    with _reading(path) as stored:
        calibrator = Calibrator(
            method=str(stored["method"]),
            output=TaskOutput.from_json(stored["output"]),
            fold=int(stored["fold"]),
            samples=int(stored["samples"]),
            parameters=dict(stored["parameters"]),
            notes=tuple(map(str, stored["notes"])),
        )
        calibrator.mapped(np.zeros((1, calibrator.output.width)))
    return calibrator


def load_prior_shift(path: Path) -> PriorShift | None:
    """Read how the calibrated predictions were corrected for other frequencies of classes; None: not at all.

    Raises:
        CalibrationError: The file is no stored calibration.
    """
    from mml_core.learning.prior_shift import PriorShift

    with _reading(path) as stored:
        found = stored.get("prior_shift")
        if found is not None:
            return PriorShift.from_json(found)
    return None


@contextmanager
def _reading(path: Path) -> Iterator[dict[str, Any]]:
    import msgspec

    try:
        yield msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"{path} is no stored calibration ({error!r}); fit it again.") from error
