"""What models say of new images, by the names of classes: a row for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mml_core.learning.outputs import CLASSIFICATION, REGRESSION, SEGMENTATION
from mml_core.learning.probabilities import as_array, probabilities

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions


def answers(predictions: Predictions, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is said of each image, in their order.

    Args:
        predictions: What models have put out.
        classes: Names of the classes, labels or values in the order of the outputs.

    Returns:
        JSON objects with ``image`` and, by the type of the task, ``class``, ``probability`` and
        ``probabilities``; ``labels`` (those above 0.5) and ``probabilities``; ``values``; or ``height``,
        ``width`` and ``shares``, the parts of the image that the classes cover.
    """
    task_type = predictions.output.task_type
    if task_type == SEGMENTATION:
        return [
            {"image": name, "height": mask.shape[0], "width": mask.shape[1], "shares": _shares(mask, classes)}
            for name, mask in zip(predictions.sample_ids, predictions.outputs, strict=True)
        ]
    numbers = as_array(predictions.outputs)
    if task_type == REGRESSION:
        return [
            {"image": name, "values": _named(value_names(classes), values)}
            for name, values in zip(predictions.sample_ids, numbers.tolist(), strict=True)
        ]
    rows = []
    for name, chances in zip(
        predictions.sample_ids,
        probabilities(task_type, numbers).tolist() if len(numbers) else [],
        strict=True,
    ):
        row: dict[str, Any] = {"image": name}
        if task_type == CLASSIFICATION:
            best = max(range(len(classes)), key=chances.__getitem__)
            row |= {"class": classes[best], "probability": chances[best]}
        else:
            row["labels"] = [label for label, chance in zip(classes, chances, strict=True) if chance > 0.5]
        rows.append({**row, "probabilities": _named(classes, chances)})
    return rows


def value_names(classes: Sequence[str]) -> list[str]:
    """Return what the values of a regression are called that has so many."""
    return ["value"] if len(classes) == 1 else [f"value {number}" for number in range(1, len(classes) + 1)]


def _named(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    return dict(zip(names, values, strict=True))


def _shares(mask: Any, classes: Sequence[str]) -> dict[str, float]:
    return {name: float((mask == index).float().mean()) for index, name in enumerate(classes)}
