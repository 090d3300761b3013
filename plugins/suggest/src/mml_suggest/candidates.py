"""Candidates: the blueprints that models of a task were trained with, and how good those are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from statistics import fmean
from typing import Any

from mml_core.api import ModelStorage, load_blueprint


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A blueprint that was trained with on a task.

    Attributes:
        id: What tells it from other blueprints, on whatever task.
        architecture: For readers.
        score: Mean of the metric over its models.
        models: How many those are: folds, and repetitions.
        groups: The groups of the config that it holds.
    """

    id: str
    architecture: str
    score: float
    models: int
    groups: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def candidates_of(models: Sequence[ModelStorage], metrics: Sequence[str]) -> list[Candidate]:
    """Return the blueprints of some models of a task, in the order of their ids.

    Args:
        models: The models; those without any of the metrics are left out.
        metrics: By which they are compared: the first that all the models with any of them have.

    Raises:
        BlueprintError: A stored pipeline cannot be read.
    """
    scored = [model for model in models if any(_has(model, metric) for metric in metrics)]
    metric = next((each for each in metrics if all(_has(model, each) for model in scored)), None)
    if metric is None:
        return []
    found: dict[str, tuple[dict[str, Any], list[float]]] = {}
    for model in scored:
        groups = load_blueprint(model.pipeline)
        _, scores = found.setdefault(identity(groups), (groups, []))
        scores.append(model.metrics[metric])
    return [
        Candidate(
            id=key,
            architecture=str((groups.get("arch") or {}).get("name")),
            score=fmean(sorted(scores)),
            models=len(scores),
            groups=groups,
        )
        for key, (groups, scores) in sorted(found.items())
    ]


def identity(groups: dict[str, Any]) -> str:
    """Return the name of a blueprint: the same for the same content."""
    return sha256(json.dumps(groups, sort_keys=True, default=str).encode()).hexdigest()[:10]


def _has(model: ModelStorage, metric: str) -> bool:
    return math.isfinite(model.metrics.get(metric, math.nan))
