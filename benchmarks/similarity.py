"""Distances of mml-plugin-similarity between all pairs of 50 tasks of 1,000 features of 512 dimensions.

Run: `python benchmarks/similarity.py [--tasks 50] [DISTANCE…]`. Options are those that ship: ``emd``
moves all samples. The aim: a minute for each distance on two processors, as a step has it: two pairs at once,
each on one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from _common import Figure, report, seconds
from mml_similarity.measure import Described
from mml_similarity.measures import MEASURES
from mml_similarity.options import RANKS

from mml_core.api import Features
from mml_core.scheduling.threads import limit_threads

TASKS, SAMPLES, WIDTH, CLASSES = 50, 1000, 512, 10
AIM = 60.0
FEATURES_ALONE = {"fisher": {"parameters": "head"}}


def tasks_of(count: int) -> list[Described]:
    """Draw tasks whose features have covariances of their own, and classes that can be told apart."""
    random = np.random.default_rng(0)
    names = tuple(f"class {number}" for number in range(CLASSES))
    found = []
    for number in range(count):
        mixing = random.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5
        targets = random.integers(0, CLASSES, SAMPLES)
        centres = 0.5 * random.standard_normal((CLASSES, WIDTH))
        values = random.standard_normal((SAMPLES, WIDTH)) @ mixing + centres[targets]
        features = Features(
            task=f"task {number}",
            task_type="classification",
            sample_ids=[f"{row:04d}" for row in range(SAMPLES)],
            splits=["train"] * SAMPLES,
            values=values.astype(np.float32),
            targets=targets,
            classes=names,
        )
        struct: Any = SimpleNamespace(name=features.task, keywords=names[: 2 + number % 5])
        found.append(Described(struct=struct, features=features))
    return found


def figures(names: Sequence[str], count: int) -> Iterator[Figure]:
    from mml_similarity.distances.combined import combine

    tasks = tasks_of(count)
    limit_threads(1)
    pairs = count * (count - 1) // 2
    matrices = []
    for name in names:
        measure = MEASURES[name](FEATURES_ALONE.get(name, {}), 1)
        value = seconds(lambda measure=measure: matrices.append(measure.matrix(tasks)))
        yield Figure(name=name, value=value, unit="s", at_most=AIM, note=f"{pairs} pairs, {measure.options}")
    yield Figure(
        name="ensemble of these", value=seconds(lambda: combine(matrices, RANKS)), unit="s", at_most=AIM
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("distances", nargs="*", default=list(MEASURES), metavar="DISTANCE")
    chosen = parser.parse_args()
    sys.exit(report(figures(chosen.distances, chosen.tasks)))
