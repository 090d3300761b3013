"""A metric under weights is that of samples that occur so often, whatever the metric."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mml_core.learning.metrics import BY_TYPE, statistics_of
from mml_core.learning.statistics import Ranking

SAMPLES = 24
CASES = [(task_type, name) for task_type, names in BY_TYPE.items() for name in names]


def evidence(task_type: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = (2 * torch.randn(SAMPLES, 3, generator=generator)).round() / 2
    if task_type == "classification":
        return outputs, torch.randint(0, 3, (SAMPLES,), generator=generator)
    if task_type == "semantic_segmentation":
        counts = torch.randint(0, 9, (SAMPLES, 4, 2), generator=generator).double()
        counts[:, 0] = torch.minimum(counts[:, 1], counts[:, 2])
        return counts, torch.empty(SAMPLES)
    targets = torch.rand(SAMPLES, 3, generator=generator)
    targets[4, 1] = torch.nan
    return outputs, targets


def of_samples(task_type: str, name: str, rows: Any) -> list[float]:
    outputs, targets = evidence(task_type)
    chosen = statistics_of(task_type, [name], outputs[rows], targets[rows], per_class=True)[name]
    values: list[float] = chosen.under(np.ones((len(rows), 1)))[:, 0].tolist()
    return values


@pytest.mark.parametrize(("task_type", "name"), CASES)
def test_a_sample_of_weight_n_is_n_samples(task_type: str, name: str) -> None:
    statistic = statistics_of(task_type, [name], *evidence(task_type), per_class=True)[name]
    weights = np.random.default_rng(1).integers(0, 4, (SAMPLES, 5))
    found = statistic.under(weights.astype(float))
    expected = [of_samples(task_type, name, np.repeat(np.arange(SAMPLES), times)) for times in weights.T]
    assert found.T.tolist() == [pytest.approx(values, abs=1e-12, nan_ok=True) for values in expected]


@pytest.mark.parametrize(("task_type", "name"), CASES)
def test_the_jackknife_leaves_out_one_unit_at_a_time(task_type: str, name: str) -> None:
    statistic = statistics_of(task_type, [name], *evidence(task_type), per_class=True)[name]
    units = np.arange(SAMPLES) % 5
    found = statistic.leaving_out(units, 5)
    expected = [of_samples(task_type, name, np.flatnonzero(units != unit)) for unit in range(5)]
    assert found.T.tolist() == [pytest.approx(values, abs=1e-12, nan_ok=True) for values in expected]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=1, max_size=12))
def test_areas_are_those_of_pairs_and_thresholds(samples: list[tuple[int, bool]]) -> None:
    scores = np.array([float(score) for score, _ in samples])
    positive = np.array([each for _, each in samples])
    ranking, once = Ranking(scores, positive), np.ones((len(samples), 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        area, precision = ranking.auroc(once)[0], ranking.average_precision(once)[0]
    pairs = [(one > other) + (one == other) / 2 for one in scores[positive] for other in scores[~positive]]
    assert area == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)
    at_each = [positive[scores >= score].mean() for score in scores[positive]]
    assert precision == pytest.approx(np.mean(at_each) if at_each else np.nan, nan_ok=True)
