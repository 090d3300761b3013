"""Plots of predictions: what they show is right, and they are the same bytes each time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from mml_core.learning.binning import BINS
from mml_core.learning.class_metrics import ClassOutcome
from mml_core.learning.metrics import BY_TYPE
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.plots import PLOTS, calibration_curve, confusion_matrix, draw_plot, roc_curve
from mml_core.learning.predictions import Predictions

SAMPLES = 80


def predictions(task_type: str, width: int = 3) -> Predictions:
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(SAMPLES, width, generator=generator)).round() / 4
    targets: Any = torch.randint(0, width, (SAMPLES,), generator=generator)
    outputs: Any = logits
    if task_type == "semantic_segmentation":
        masks = torch.randint(0, width, (SAMPLES, 2, 5, 5), generator=generator, dtype=torch.uint8)
        outputs, targets = list(masks[:, 0]), list(masks[:, 1])
    elif task_type != "classification":
        targets = (torch.rand(SAMPLES, width, generator=generator) > 0.5).float()
    return Predictions(
        output=TaskOutput(task="tiny $x_1$", task_type=task_type, width=width),
        fold=0,
        split="test",
        sample_ids=[str(row) for row in range(SAMPLES)],
        outputs=outputs,
        targets=targets,
    )


@pytest.mark.parametrize("task_type", BY_TYPE)
@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_the_same_each_time(name: str, task_type: str) -> None:
    first = draw_plot(name, predictions(task_type), ["a_b", "_c", "d$"])
    assert first == draw_plot(name, predictions(task_type), ["a_b", "_c", "d$"])
    assert (first is not None) == (task_type in PLOTS[name][0])
    assert first is None or (first.startswith(b"\x89PNG") and b"matplotlib" not in first.lower())


def test_many_classes_are_drawn_without_names() -> None:
    assert draw_plot("confusion_matrix", predictions("classification", 40)) is not None


def test_a_model_that_has_diverged_has_no_plots() -> None:
    made = predictions("classification")
    made.outputs[0] = torch.nan
    assert all(draw_plot(name, made) is None for name in PLOTS)


@pytest.mark.parametrize("task_type", BY_TYPE)
def test_each_type_of_task_has_a_plot_and_none_without_targets(task_type: str) -> None:
    fitting = [name for name, (task_types, _) in PLOTS.items() if task_type in task_types]
    assert fitting
    unlabelled = replace(predictions(task_type), targets=None)
    assert all(draw_plot(name, unlabelled) is None for name in fitting)


def test_what_is_drawn_is_that_of_sklearn() -> None:
    from sklearn.calibration import calibration_curve as expected_curve

    made = predictions("classification")
    outcome = ClassOutcome(made.outputs.double().numpy(), made.targets.numpy())
    expected = reference.confusion_matrix(outcome.targets, outcome.chosen)
    assert (confusion_matrix(outcome) == expected).all()
    scores, positive = outcome.logits[:, 1], outcome.targets == 1
    false, true, _ = reference.roc_curve(positive, scores, drop_intermediate=False)
    assert [list(each) for each in roc_curve(scores, positive)] == [list(false), list(true)]
    stated = outcome.probabilities[:, 1]
    mean, share, counts = calibration_curve(stated, positive.astype(float))
    shares, means = expected_curve(positive, stated, n_bins=BINS)
    assert list(mean) == pytest.approx(list(means))
    assert list(share) == pytest.approx(list(shares))
    assert counts.sum() == SAMPLES
    assert np.all(counts > 0)
