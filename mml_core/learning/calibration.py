"""Calibration: fitting, on validation samples alone, what makes probabilities mean what they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from mml_core.learning.calibrator import Calibrator, Parameters
from mml_core.learning.isotonic import Steps, fit_isotonic
from mml_core.learning.metrics import NO_LABEL, has_diverged
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TaskOutput
from mml_core.learning.probabilities import as_array, probabilities
from mml_core.learning.scaling import (
    AFFINE,
    SCALINGS,
    TEMPERATURE,
    VECTOR,
    CalibrationError,
    fit_classes,
    fit_label,
)
from mml_core.learning.statistics import Array

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions

ISOTONIC = "isotonic"
METHODS: dict[str, tuple[str, ...]] = {
    CLASSIFICATION: (*SCALINGS, ISOTONIC),
    MULTILABEL: (TEMPERATURE, AFFINE, VECTOR, ISOTONIC),
    REGRESSION: (AFFINE,),
    SEGMENTATION: (),
}
SPLIT = "val"
Fit: TypeAlias = tuple[Parameters, list[str]]


def check_method(method: str, output: TaskOutput) -> None:
    """Refuse a method that the type of a task does not have.

    Raises:
        CalibrationError: With the reason.
    """
    known = METHODS[output.task_type]
    if method in known:
        return
    every = METHODS[CLASSIFICATION]
    why = "there is no such method"
    if method in every:
        why = {
            SEGMENTATION: "predictions of segmentations are masks, without the probabilities to calibrate",
            REGRESSION: "values of a regression have no probabilities; a line, affine, can be fitted to them",
            MULTILABEL: "labels are calibrated one by one",
        }[output.task_type]
    advice = f"choose one of {', '.join(known)}" if known else "leave the task out"
    raise CalibrationError(
        f"mode.calibration.method={method} does not fit task '{output.task}' of type {output.task_type}:"
        f" {why}; {advice}."
    )


def fit(method: str, predictions: Predictions, *, l2: float = 1.0) -> Calibrator:
    """Fit a calibration on the validation samples of a model.

    Args:
        method: ``temperature``, ``affine``, ``vector``, ``matrix`` (see :func:`~.scaling.fit_classes`), or
            ``isotonic`` (each class against the rest, then normalised; Zadrozny and Elkan, 2002). Of
            multilabel tasks each label by itself; of a regression ``affine`` is the least-squares line.
        predictions: Of the split ``val``, with targets.
        l2: How strongly affine, vector and matrix scaling of logits are held to the identity.

    Raises:
        CalibrationError: The method does not fit the task, these are no validation samples, none has a
            target, the model has diverged, or there is no optimum.
    """
    output = predictions.output
    check_method(method, output)
    if predictions.split != SPLIT:
        raise CalibrationError(
            f"A calibration is fitted on the split {SPLIT} alone, found '{predictions.split}': what is"
            " reported must not be looked at."
        )
    outputs = as_array(predictions.outputs)
    if has_diverged(output.task_type, torch.from_numpy(outputs)):
        raise CalibrationError(
            f"The outputs of task '{output.task}', fold {predictions.fold}, are not finite: the model has"
            " diverged; train it again with a lower optimizer.lr."
        )
    targets = None if predictions.targets is None else as_array(predictions.targets)
    known = np.zeros(len(outputs), dtype=bool) if targets is None else _known(output.task_type, targets)
    if targets is None or not known.any():
        raise CalibrationError(
            f"Task '{output.task}', fold {predictions.fold}, has no validation sample with a target to fit a"
            " calibration on; predict the validation fold, too."
        )
    parameters, notes = _FITS[output.task_type](method, outputs[known], targets[known], l2)
    return Calibrator(
        method=method,
        output=output,
        fold=predictions.fold,
        samples=int(known.sum()),
        parameters=parameters,
        notes=tuple(notes),
    )


def known_classes(targets: Array, classes: int) -> Array:
    """Return the class numbers that are known, all of them classes of the model.

    Raises:
        CalibrationError: One is not.
    """
    kept: Array = targets[targets != NO_LABEL]
    if len(kept) and kept.max() >= classes:
        raise CalibrationError(
            f"A target is class {kept.max()}, and the model has classes 0 to {classes - 1}; take predictions"
            " of its own task."
        )
    return kept


def _known(task_type: str, targets: Array) -> Array:
    if task_type == CLASSIFICATION:
        return np.not_equal(targets, NO_LABEL)
    return np.asarray(~np.isnan(targets).all(axis=1))


def _fit_classification(method: str, logits: Array, targets: Array, l2: float) -> Fit:
    classes = logits.shape[1]
    absent = np.flatnonzero(np.bincount(known_classes(targets, classes), minlength=classes) == 0)
    notes = [f"class {index} has no validation sample" for index in absent]
    if method == ISOTONIC:
        chances = probabilities(CLASSIFICATION, logits)
        curves = [
            None if index in absent else fit_isotonic(chances[:, index], (targets == index).astype(float))
            for index in range(classes)
        ]
        if classes == 2 and curves[1] is not None:  # of two classes one curve says all
            curves[0] = Steps(at=1 - curves[1].at[::-1], values=1 - curves[1].values[::-1])
        return {"curves": [_stored(curve) for curve in curves]}, notes
    found = fit_classes(method, logits, targets, l2=l2)
    parameters: Parameters = {"weight": found.weight.tolist(), "bias": found.bias.tolist()}
    if method == TEMPERATURE:
        parameters["temperature"] = 1 / float(found.weight)
    if found.at_bound:
        notes.append("the temperature lies at its bound, as the likelihood has no optimum within")
    return parameters, notes


def _fit_multilabel(method: str, logits: Array, targets: Array, l2: float) -> Fit:
    labels = logits.shape[1]
    weight, bias = np.ones(labels), np.zeros(labels)
    curves: list[Parameters | None] = [None] * labels
    notes = []
    for index in range(labels):
        known = ~np.isnan(targets[:, index])
        shares = targets[known, index]
        if not len(shares) or shares.max() == 0 or shares.min() == 1:
            notes.append(f"label {index} is the same in all validation samples, and stays as it is")
        elif method == ISOTONIC:
            chances = probabilities(MULTILABEL, logits[known])[:, index]
            curves[index] = _stored(fit_isotonic(chances, shares))
        else:
            found = fit_label(method, logits[known, index], shares, l2=l2)
            weight[index], bias[index] = found.weight.item(), found.bias.item()
            if found.at_bound:
                notes.append(f"the temperature of label {index} lies at its bound")
    if method == ISOTONIC:
        return {"curves": curves}, notes
    parameters: Parameters = {"weight": weight.tolist(), "bias": bias.tolist()}
    if method == TEMPERATURE:
        parameters["temperature"] = (1 / weight).tolist()
    return parameters, notes


def _fit_regression(method: str, values: Array, targets: Array, l2: float) -> Fit:
    """Fit ``target ≈ weight * value + bias`` by least squares, each value by itself."""
    width = values.shape[1]
    slopes, bias, notes = np.ones(width), np.zeros(width), []
    for index in range(width):
        known = ~np.isnan(targets[:, index])
        found, true = values[known, index], targets[known, index]
        if not len(found):
            notes.append(f"value {index} has no target, and stays as it is")
            continue
        away = found - found.mean()
        spread = float(away @ away)
        if spread > 1e-12 * float(found @ found):
            slopes[index] = float(away @ (true - true.mean())) / spread
        else:
            notes.append(f"value {index} is the same for all validation samples: only its mean is put right")
        bias[index] = true.mean() - slopes[index] * found.mean()
        if not math.isfinite(bias[index]):
            raise CalibrationError(f"Value {index} has a target that is not finite; correct the task.")
    return {"weight": slopes.tolist(), "bias": bias.tolist()}, notes


def _stored(curve: Steps | None) -> Parameters | None:
    return None if curve is None else {"at": curve.at.tolist(), "values": curve.values.tolist()}


_FITS: Mapping[str, Callable[[str, Array, Array, float], Fit]] = {
    CLASSIFICATION: _fit_classification,
    MULTILABEL: _fit_multilabel,
    REGRESSION: _fit_regression,
}
