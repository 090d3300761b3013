"""Prior shift: classes are more or less frequent where a model is used than where it was calibrated."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mml_core.learning.metrics import NO_LABEL
from mml_core.learning.options import is_number
from mml_core.learning.outputs import CLASSIFICATION
from mml_core.learning.probabilities import as_array, probabilities
from mml_core.learning.scaling import CalibrationError
from mml_core.learning.statistics import Array

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions

log = logging.getLogger(__name__)

ROUNDS = 10_000
SETTLED = 1e-10
LEAST = 1e-9
"""A class that is estimated not to be there keeps this prior, so that its logit stays a number."""
FEWEST = 10
"""Images for each class that priors are estimated on where new images are predicted."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Priors that were estimated from predictions without targets.

    Attributes:
        priors: Probability of each class, (classes,).
        rounds: How many rounds it took.
        converged: Whether the last round changed nothing any more.
    """

    priors: Array
    rounds: int
    converged: bool


def estimate_priors(posteriors: Array, source: Array) -> Estimate:
    """Estimate how frequent classes are among unlabelled samples, by expectation maximisation.

    The method of Saerens, Latinne and Decaestecker (2002): the likelihood of the samples is raised round by
    round. It needs posteriors that are calibrated under the source priors.

    Args:
        posteriors: (samples, classes); at least one sample.
        source: Priors under which the posteriors hold, (classes,), above 0.
    """
    priors = source
    for done in range(1, ROUNDS + 1):
        found = shifted(posteriors, source, priors).mean(axis=0)
        change = np.abs(found - priors).sum()
        priors = found
        if change < SETTLED:
            return Estimate(priors=priors, rounds=done, converged=True)
    return Estimate(priors=priors, rounds=ROUNDS, converged=False)


def shifted(posteriors: Array, source: Array, target: Array) -> Array:
    """Return posteriors under other priors, by Bayes' rule (Saerens et al., 2002, eq. 2.4).

    Args:
        posteriors: (samples, classes).
        source: Priors under which they hold, (classes,), above 0.
        target: Priors where they are used, (classes,).
    """
    joint = posteriors * (target / source)
    result: Array = joint / joint.sum(axis=1, keepdims=True)
    return result


def shift(predictions: Predictions, source: Array, target: Array) -> Predictions:
    """Return predictions of a classification under other priors; see :func:`shifted`."""
    logits = as_array(predictions.outputs) + np.log(target / source)
    return replace(predictions, outputs=torch.from_numpy(logits).float())


@dataclass(frozen=True, kw_only=True)
class PriorShift:
    """A correction for classes that are more or less frequent than where a model was calibrated.

    Attributes:
        source: Frequencies it was calibrated at, (classes,), above 0.
        target: Frequencies where it is used, (classes,), above 0; None: estimated from what is predicted.
    """

    source: Sequence[float]
    target: Sequence[float] | None

    def of(self, predictions: Predictions) -> tuple[Predictions, dict[str, Any]]:
        """Return corrected predictions, and what was done, as JSON values; no target is looked at."""
        source: Array = np.asarray(self.source)
        if self.target is not None:
            after: Array = np.asarray(self.target)
            return shift(predictions, source, after), {"priors": after.tolist()}
        posteriors = probabilities(CLASSIFICATION, as_array(predictions.outputs))
        estimate = estimate_priors(posteriors, source)
        after = np.maximum(estimate.priors, LEAST)
        if not estimate.converged:
            name = predictions.output.task
            log.warning("%s, %s: the estimate of priors has not settled", name, predictions.split)
        return shift(predictions, source, after), {"priors": after.tolist(), "rounds": estimate.rounds}

    def apply(self, predictions: Predictions) -> Predictions:
        """Return corrected predictions of new images.

        Raises:
            CalibrationError: Frequencies are estimated, and there are too few images.
        """
        count, least = len(predictions.sample_ids), FEWEST * len(self.source)
        if self.target is None and count < least:
            raise CalibrationError(
                f"The calibration of task '{predictions.output.task}' corrects for frequencies of classes"
                f" that it estimates, and {count} images are too few for that, at least {least} are needed:"
                " predict more at once, or calibrate with mode.calibration.priors=[…] or null."
            )
        return self.of(predictions)[0]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> PriorShift:
        """Read what :func:`correct` described.

        Raises:
            KeyError: Something is missing.
        """
        # Older files have only what was done to each split.
        done = list(stored["target"].values())
        fixed = done[0]["priors"] if done and "rounds" not in done[0] else None
        return cls(source=stored["source"], target=stored.get("given", fixed))


def correct(
    parts: Mapping[str, Predictions], priors: Sequence[float] | str | None, source: Sequence[float] | None
) -> tuple[dict[str, Predictions], dict[str, Any] | None]:
    """Correct the predictions of one calibrated model for the frequencies of classes where it is used.

    Training and validation samples stay as they are: they have the frequencies it was calibrated at. Of
    other splits no target is looked at.

    Args:
        parts: Split → predictions of a classification, ``val`` among them.
        priors: Frequencies to correct for; ``estimate`` for those of each split; None for no correction.
        source: Frequencies it was calibrated at; None for those of the validation samples.

    Returns:
        The predictions, and what was done as JSON values; None for nothing.

    Raises:
        CalibrationError: A class has no validation sample, and ``source`` is not given.
    """
    if priors is None:
        return dict(parts), None
    val = parts["val"]
    if source is not None:
        before: Array = np.asarray(source)
    elif val.targets is None:
        raise CalibrationError(
            f"The validation samples of task '{val.output.task}' have no targets, so that source priors are"
            " not known; give them by mode.calibration.source_priors=[…]."
        )
    else:
        targets = as_array(val.targets)
        before = frequencies(targets[targets != NO_LABEL], val.output.width)
    given = None if isinstance(priors, str) else [float(each) for each in priors]
    correction = PriorShift(source=before.tolist(), target=given)
    found, described = {}, {}
    for split, part in parts.items():
        if split in ("val", "train"):
            found[split] = part
        else:
            found[split], described[split] = correction.of(part)
    return found, {"source": before.tolist(), "given": given, "target": described}


def check_shiftable(task: str, task_type: str) -> None:
    """Refuse what has no priors of classes that exclude each other.

    Raises:
        CalibrationError: The task is no classification.
    """
    if task_type != CLASSIFICATION:
        raise CalibrationError(
            f"mode.calibration.priors: task '{task}' is of type {task_type}, which has no classes that"
            " exclude each other, and so no priors to correct for; leave it out, or set"
            " mode.calibration.priors=null."
        )


def checked_priors(given: object, classes: int, key: str) -> Array:
    """Return given priors as an array.

    Raises:
        CalibrationError: They are no probabilities above 0 of so many classes that sum to 1.
    """
    numbers = isinstance(given, list) and all(map(is_number, given))
    priors: Array = np.array(given if numbers else [], dtype=np.float64)
    if len(priors) != classes or not (priors > 0).all() or abs(priors.sum() - 1) > 1e-6:
        raise CalibrationError(
            f"{key}={given!r}: give the probability of each of the {classes} classes, above 0, that sum to 1."
        )
    result: Array = priors / priors.sum()
    return result


def frequencies(targets: Array, classes: int) -> Array:
    """Return how frequent each class is among targets (samples,).

    Raises:
        CalibrationError: A class is not there.
    """
    counts = np.bincount(targets, minlength=classes)
    if (counts == 0).any():
        raise CalibrationError(
            f"Class {int(np.argmin(counts))} has no validation sample, so that its source prior is not known;"
            " give all of them by mode.calibration.source_priors=[…]."
        )
    result: Array = counts / counts.sum()
    return result
