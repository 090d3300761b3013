"""Metrics are those of scikit-learn and MONAI on the same predictions, or NaN where they are not defined."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor
from torchmetrics.functional import classification as torchmetrics

from mml_core.learning.image_metrics import HD95, dice_of, image_scores, iou_of
from mml_core.learning.metrics import BY_TYPE, compute_metrics, statistics_of
from mml_core.learning.surface import hausdorff95

SAMPLES = 300
EXACT = 1e-12
SINGLE = 1e-6
"""What libraries that compute in float32 can be held to."""


def classified(classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, classes, (SAMPLES,), generator=generator)
    noise = torch.randn(SAMPLES, classes, generator=generator, dtype=torch.float64)
    logits = noise + torch.nn.functional.one_hot(targets, classes)
    return (4 * logits).round() / 4 if classes == 2 else logits, targets  # of two classes, with ties


def of_classes(task_type: str, name: str, outputs: Tensor, targets: Tensor) -> list[float]:
    """The values of classes, without that of all."""
    statistic = statistics_of(task_type, [name], outputs, targets, per_class=True)[name]
    values: list[float] = statistic.under(np.ones((len(outputs), 1)))[1:, 0].tolist()
    return values


@pytest.mark.parametrize("classes", [2, 5])
def test_classification(classes: int) -> None:
    logits, targets = classified(classes)
    truth, chosen, stated = targets.numpy(), logits.argmax(1).numpy(), logits.softmax(1).numpy()
    hot = np.eye(classes)[truth]
    scores, positive = (stated[:, 1], truth) if classes == 2 else (stated, hot)
    matrix = reference.multilabel_confusion_matrix(truth, chosen)
    expected = {
        "accuracy": reference.accuracy_score(truth, chosen),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, chosen),
        "auroc": reference.roc_auc_score(truth, scores, multi_class="ovr"),
        "average_precision": reference.average_precision_score(positive, scores),
        "f1": reference.f1_score(truth, chosen, average="macro"),
        "precision": reference.precision_score(truth, chosen, average="macro"),
        "recall": reference.recall_score(truth, chosen, average="macro"),
        "specificity": np.mean([cell[0, 0] / cell[0].sum() for cell in matrix]),
        "mcc": reference.matthews_corrcoef(truth, chosen),
        "cohen_kappa": reference.cohen_kappa_score(truth, chosen),
        "brier": reference.brier_score_loss(truth, scores),
        "nll": reference.log_loss(truth, stated),
    }
    found = compute_metrics("classification", list(BY_TYPE["classification"]), logits, targets)
    ece = torchmetrics.multiclass_calibration_error(torch.as_tensor(stated), targets, classes, n_bins=15)
    assert found.pop("ece") == pytest.approx(float(ece), abs=SINGLE)
    assert found == pytest.approx(expected, abs=EXACT)


def test_classes_of_a_classification() -> None:
    logits, targets = classified(4)
    truth, chosen, stated = targets.numpy(), logits.argmax(1).numpy(), logits.softmax(1).numpy()
    hot = np.eye(4)[truth]
    expected = {
        "auroc": reference.roc_auc_score(hot, stated, average=None),
        "average_precision": reference.average_precision_score(hot, stated, average=None),
        "f1": reference.f1_score(truth, chosen, average=None),
        "precision": reference.precision_score(truth, chosen, average=None),
        "recall": reference.recall_score(truth, chosen, average=None),
        "specificity": [reference.recall_score(truth != k, chosen != k) for k in range(4)],
        "brier": ((stated - hot) ** 2).mean(0),
    }
    for name, values in expected.items():
        assert of_classes("classification", name, logits, targets) == pytest.approx(list(values), abs=EXACT)
    bins = np.floor(stated * 15) == np.arange(15)[:, None, None]  # (bins, samples, classes)
    gaps = np.abs((bins * (stated - hot)).sum(1))
    expected_errors = gaps.sum(0) / SAMPLES
    assert of_classes("classification", "ece", logits, targets) == pytest.approx(list(expected_errors))
    assert of_classes("classification", "mcc", logits, targets) == []


def labelled(*, soft: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shares = torch.rand(SAMPLES, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(SAMPLES, 3, generator=generator, dtype=torch.float64)
    targets = shares if soft else (shares > 0.5).double()
    return ((noise + targets) * 4).round() / 4, targets


def test_multilabel() -> None:
    logits, targets = labelled()
    truth, chosen, stated = targets.int().numpy(), (logits > 0).int().numpy(), logits.sigmoid().numpy()
    labels = range(3)
    expected = {
        "accuracy": (truth == chosen).mean(),
        "exact_match": reference.accuracy_score(truth, chosen),
        "auroc": reference.roc_auc_score(truth, stated),
        "average_precision": reference.average_precision_score(truth, stated),
        "f1": reference.f1_score(truth, chosen, average="macro"),
        "precision": reference.precision_score(truth, chosen, average="macro"),
        "recall": reference.recall_score(truth, chosen, average="macro"),
        "specificity": reference.recall_score(1 - truth, 1 - chosen, average="macro"),
        "mcc": np.mean([reference.matthews_corrcoef(truth[:, k], chosen[:, k]) for k in labels]),
        "cohen_kappa": np.mean([reference.cohen_kappa_score(truth[:, k], chosen[:, k]) for k in labels]),
        "brier": np.mean([reference.brier_score_loss(truth[:, k], stated[:, k]) for k in labels]),
        "nll": np.mean([reference.log_loss(truth[:, k], stated[:, k]) for k in labels]),
    }
    found = compute_metrics("multilabel", list(BY_TYPE["multilabel"]), logits, targets)
    ece = [
        torchmetrics.binary_calibration_error(
            torch.as_tensor(stated[:, k].copy()), targets[:, k].int(), n_bins=15
        )
        for k in labels
    ]
    assert found.pop("ece") == pytest.approx(float(sum(ece) / 3), abs=SINGLE)
    assert found == pytest.approx(expected, abs=EXACT)
    assert of_classes("multilabel", "auroc", logits, targets) == pytest.approx(
        list(reference.roc_auc_score(truth, stated, average=None)), abs=EXACT
    )


def test_soft_labels_enter_errors_of_probability_as_they_are() -> None:
    logits, targets = labelled(soft=True)
    stated = logits.sigmoid()
    found = compute_metrics("multilabel", ["brier", "nll", "accuracy", "auroc"], logits, targets)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    hard = (targets > 0.5).double()
    decided = compute_metrics("multilabel", ["accuracy", "auroc"], logits, hard)
    assert found == pytest.approx(
        {"brier": ((stated - targets) ** 2).mean().item(), "nll": loss.item(), **decided}, abs=EXACT
    )
    sure = torch.where(targets > 0.5, math.inf, -math.inf).double()
    assert compute_metrics("multilabel", ["nll", "brier", "ece"], sure, hard) == pytest.approx(
        {"nll": 0, "brier": 0, "ece": 0}
    )


def test_labels_that_are_not_known_do_not_count() -> None:
    logits, targets = labelled()
    targets[:200, 0] = math.nan
    for name in set(BY_TYPE["multilabel"]) - {"exact_match"}:
        rest = compute_metrics("multilabel", [name], logits[200:, :1], targets[200:, :1])[name]
        assert of_classes("multilabel", name, logits, targets)[0] == pytest.approx(rest, abs=EXACT)
    unknown = torch.full_like(targets, math.nan)
    found = compute_metrics("multilabel", list(BY_TYPE["multilabel"]), logits, unknown)
    assert all(map(math.isnan, found.values()))


def test_regression_of_several_values() -> None:
    generator = torch.Generator().manual_seed(2)
    targets = torch.randn(SAMPLES, 2, generator=generator, dtype=torch.float64) * 5 + 100
    values = targets + torch.randn(SAMPLES, 2, generator=generator, dtype=torch.float64)
    functions = {
        "mae": reference.mean_absolute_error,
        "mse": reference.mean_squared_error,
        "rmse": reference.root_mean_squared_error,
        "r2": reference.r2_score,
    }
    for name, function in functions.items():
        found = compute_metrics("regression", [name], values, targets)[name]
        assert found == pytest.approx(function(targets, values), abs=EXACT * 100)
        each = function(targets, values, multioutput="raw_values")
        assert of_classes("regression", name, values, targets) == pytest.approx(list(each), abs=EXACT * 100)
    targets[5:, 1] = math.nan
    expected = reference.mean_absolute_error(targets[:5, 1], values[:5, 1])
    assert of_classes("regression", "mae", values, targets)[1] == pytest.approx(expected)


masks = st.integers(0, 2**32 - 1).map(
    lambda seed: torch.as_tensor(np.random.default_rng(seed).integers(0, 3, (2, 9, 7)).clip(0, 2))
)


def monai_distances(predicted: Tensor, target: Tensor, percentile: float | None = 95) -> Tensor:
    from monai.metrics import compute_hausdorff_distance

    hot = [torch.nn.functional.one_hot(mask.long(), 3).movedim(-1, 1) for mask in (predicted, target)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distances: Tensor = compute_hausdorff_distance(*hot, percentile=percentile)
    return distances


@settings(max_examples=25, deadline=None)
@given(masks, masks)
def test_segmentation_is_that_of_monai(predicted: Tensor, target: Tensor) -> None:
    from monai.metrics import compute_dice, compute_iou

    predicted[:, 4:] = 0  # some outline beyond single pixels
    target[0, :, 3:] = 0
    scores = image_scores(predicted, target, 3, surface=True).numpy()
    hot = [torch.nn.functional.one_hot(mask.long(), 3).movedim(-1, 1) for mask in (predicted, target)]
    dice, iou = (
        function(*hot, include_background=False, ignore_empty=False).numpy()
        for function in (compute_dice, compute_iou)
    )
    expected = monai_distances(predicted, target).numpy()
    there = ~np.isnan(dice_of(scores))  # where both masks are empty, MONAI says 1
    assert dice_of(scores)[there] == pytest.approx(dice[there], abs=SINGLE)
    assert iou_of(scores)[there] == pytest.approx(iou[there], abs=SINGLE)
    finite = np.isfinite(expected)
    assert scores[:, HD95][finite] == pytest.approx(expected[finite], abs=SINGLE * 10)


@pytest.mark.parametrize("empty", ["neither", "predicted", "target", "both"])
def test_distances_of_empty_masks_are_those_of_monai(empty: str) -> None:
    found, there = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
    found[1:4, 1:5] = empty not in ("predicted", "both")
    there[2:6, 3:8] = empty not in ("target", "both")
    # MONAI takes a percentile of infinite distances, and that is NaN; without one it is infinite.
    percentile = 95 if empty in ("neither", "both") else None
    pair = torch.as_tensor(found)[None].int(), torch.as_tensor(there)[None].int()
    expected = monai_distances(*pair, percentile)[0, 0]
    assert hausdorff95(found, there) == pytest.approx(float(expected), nan_ok=True)


def test_a_class_that_one_mask_lacks_is_as_far_as_the_image_is_wide() -> None:
    predicted = torch.zeros(2, 4, 5, dtype=torch.int64)
    target = torch.zeros_like(predicted)
    predicted[0, 0, 0] = 1  # a false alarm in the first image; the second is empty, and rightly so
    found = compute_metrics(
        "semantic_segmentation",
        ["dice", "iou", "hd95"],
        image_scores(predicted, target, 2, surface=True),
        torch.empty(2),
    )
    assert found == pytest.approx({"dice": 0, "iou": 0, "hd95": 5})


def test_ignored_pixels_do_not_count() -> None:
    generator = torch.Generator().manual_seed(3)
    predicted = torch.randint(0, 3, (4, 8, 8), generator=generator)
    target = torch.randint(0, 3, (4, 8, 8), generator=generator)
    whole = image_scores(predicted[:, :, :5], target[:, :, :5], 3, surface=False)
    target[:, :, 5:] = 255
    assert torch.equal(image_scores(predicted, target, 3, ignore_index=255)[:, :HD95], whole[:, :HD95])
    target[:] = 255
    nothing = image_scores(predicted, target, 3, ignore_index=255, surface=True)
    found = compute_metrics("semantic_segmentation", ["dice", "iou", "hd95"], nothing, torch.empty(4))
    assert all(map(math.isnan, found.values()))


def test_a_class_that_is_absent_does_not_count_unless_it_is_found() -> None:
    logits = torch.eye(3)[[0, 1, 0, 1]] * 9
    targets = torch.tensor([0, 1, 0, 1])
    found = compute_metrics("classification", list(BY_TYPE["classification"]), logits, targets)
    perfect = {"accuracy", "balanced_accuracy", "auroc", "average_precision", "f1", "precision", "recall"}
    assert {found[name] for name in perfect | {"specificity", "mcc", "cohen_kappa"}} == {1}
    for name in ("recall", "auroc", "average_precision", "f1", "precision"):
        assert math.isnan(of_classes("classification", name, logits, targets)[2])
    wrong = torch.eye(3)[[0, 1, 0, 2]] * 9
    assert of_classes("classification", "precision", wrong, targets)[2] == 0
    assert of_classes("classification", "f1", wrong, targets)[2] == 0
    never = torch.eye(3)[[0, 0, 0, 0]] * 9
    assert of_classes("classification", "precision", never, targets)[:2] == [0.5, 0]


def test_one_sample() -> None:
    found = compute_metrics(
        "classification", list(BY_TYPE["classification"]), torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    )
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert undefined == {"auroc", "average_precision", "cohen_kappa"}
    assert (found["accuracy"], found["mcc"]) == (1, 0)


def test_all_scores_alike() -> None:
    targets = torch.tensor([0, 1, 1, 0, 1])
    found = compute_metrics(
        "classification", ["auroc", "average_precision", "mcc"], torch.zeros(5, 2), targets
    )
    assert found == pytest.approx({"auroc": 0.5, "average_precision": 0.6, "mcc": 0})


def test_a_constant_truth() -> None:
    found = compute_metrics(
        "regression", list(BY_TYPE["regression"]), torch.full((4, 1), 0.1), torch.full((4, 1), 0.1)
    )
    assert found == {"mae": 0, "mse": 0, "rmse": 0, "r2": 1}
    values = torch.full((4, 1), 0.2)
    assert compute_metrics("regression", ["r2"], values, torch.full((4, 1), 0.1))["r2"] == 0


@pytest.mark.parametrize(
    ("task_type", "bad"),
    [
        ("classification", math.nan),
        ("classification", math.inf),
        ("multilabel", math.nan),
        ("regression", math.nan),
        ("regression", math.inf),
    ],
)
def test_outputs_that_are_none_have_no_metrics(task_type: str, bad: float) -> None:
    outputs = torch.zeros(4, 2)
    outputs[2, 1] = bad
    targets: Any = torch.tensor([0, 1, 0, 1]) if task_type == "classification" else torch.ones(4, 2)
    found = compute_metrics(task_type, list(BY_TYPE[task_type]), outputs, targets)
    assert all(map(math.isnan, found.values()))


def test_a_probability_of_zero_is_a_logit_of_minus_infinity() -> None:
    logits = torch.tensor([[0.0, -math.inf, -math.inf], [0.0, 0.0, -math.inf], [0.0, 1.0, 0.0]])
    targets = torch.tensor([0, 1, 1])
    found = compute_metrics("classification", ["auroc", "brier", "nll", "ece"], logits, targets)
    assert all(map(math.isfinite, found.values()))
    assert compute_metrics("classification", ["nll"], logits, torch.tensor([0, 2, 1]))["nll"] == math.inf
