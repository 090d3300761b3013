"""Losses, heads and metrics give the numbers of scikit-learn, or of a closed form."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch.nn import functional

from mml_core.learning.heads import RegressionHead, build_head, head_key
from mml_core.learning.losses import DiceCELoss, build_loss
from mml_core.learning.metrics import compute_metrics, dice_per_image, metric_names
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput

SAMPLES = 200


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("classes", [2, 5])
def test_classification_metrics_are_those_of_sklearn(classes: int) -> None:
    targets = torch.randint(0, classes, (SAMPLES,), generator=generator())
    logits = torch.randn(SAMPLES, classes, generator=generator(1)) + functional.one_hot(targets, classes)
    found = compute_metrics(
        "classification", ["accuracy", "balanced_accuracy", "auroc", "f1"], logits, targets
    )
    chosen, truth = logits.argmax(1).numpy(), targets.numpy()
    probabilities = logits.softmax(1).numpy().astype(np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    scores = probabilities[:, 1] if classes == 2 else probabilities
    assert found == pytest.approx(
        {
            "accuracy": reference.accuracy_score(truth, chosen),
            "balanced_accuracy": reference.balanced_accuracy_score(truth, chosen),
            "auroc": reference.roc_auc_score(truth, scores, multi_class="ovr"),
            "f1": reference.f1_score(truth, chosen, average="macro"),
        },
        abs=1e-6,
    )


def test_multilabel_metrics_are_those_of_sklearn() -> None:
    targets = torch.randint(0, 2, (SAMPLES, 4), generator=generator()).float()
    logits = torch.randn(SAMPLES, 4, generator=generator(1)) + targets
    found = compute_metrics("multilabel", ["accuracy", "auroc", "f1"], logits, targets)
    chosen, truth = (logits > 0).int().numpy(), targets.int().numpy()
    assert found == pytest.approx(
        {
            "accuracy": (chosen == truth).mean(),
            "auroc": reference.roc_auc_score(truth, logits.numpy(), average="macro"),
            "f1": reference.f1_score(truth, chosen, average="macro"),
        },
        abs=1e-6,
    )


def test_regression_metrics_are_those_of_sklearn_and_leave_gaps_out() -> None:
    targets = torch.randn(SAMPLES, 2, generator=generator()) * 3 + 100
    values = targets + torch.randn(SAMPLES, 2, generator=generator(1))
    targets[:50, 1] = math.nan
    found = compute_metrics("regression", ["mae", "mse", "r2"], values, targets)
    pairs = [
        (truth[~np.isnan(truth)], predicted[~np.isnan(truth)])
        for truth, predicted in zip(targets.T.numpy(), values.T.numpy(), strict=True)
    ]
    for name, function in {
        "mae": reference.mean_absolute_error,
        "mse": reference.mean_squared_error,
        "r2": reference.r2_score,
    }.items():
        assert found[name] == pytest.approx(np.mean([function(*pair) for pair in pairs]), rel=1e-4), name


def test_dice_and_iou_count_pixels() -> None:
    truth = torch.zeros(2, 4, 4, dtype=torch.int64)
    predicted = torch.zeros_like(truth)
    truth[0, :2] = 1  # 8 pixels of class 1
    predicted[0, 1:3] = 1  # 8, of which 4 are right: Dice 8 / 16, IoU 4 / 12
    predicted[0, 3] = 2  # class 2 where there is none: Dice 0
    truth[1, 0, 0] = predicted[1, 0, 0] = 1  # image 2 has class 1 only, and it is right
    scores = dice_per_image(predicted, truth, 3)
    assert scores[0].tolist() == pytest.approx([0.5, 0.0])
    assert scores[1, 0] == 1
    assert scores[1, 1].isnan()
    found = compute_metrics("semantic_segmentation", ["dice", "iou"], scores, torch.empty(2))
    assert found == pytest.approx({"dice": (0.25 + 1) / 2, "iou": ((4 / 12 + 0) / 2 + 1) / 2})
    one = reference.f1_score((truth[0] == 1).flatten(), (predicted[0] == 1).flatten())
    assert scores[0, 0] == pytest.approx(one)


def test_what_is_not_defined_is_nan() -> None:
    none = compute_metrics("classification", ["accuracy"], torch.empty(0, 3), torch.empty(0).long())
    assert math.isnan(none["accuracy"])
    single = compute_metrics(
        "classification", ["auroc", "accuracy"], torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    )
    assert math.isnan(single["auroc"])
    assert single["accuracy"] == 1
    assert math.isnan(compute_metrics("regression", ["r2"], torch.ones(1, 1), torch.ones(1, 1))["r2"])


def test_metric_names_are_checked() -> None:
    assert metric_names({"regression": ["mae"]}, "regression") == ("mae",)
    assert metric_names({}, "regression") == ()
    with pytest.raises(OptionError, match="Did you mean 'accuracy'"):
        metric_names({"classification": ["acuracy"]}, "classification")
    with pytest.raises(OptionError, match="write \\[auroc\\]"):
        metric_names({"classification": "auroc"}, "classification")
    with pytest.raises(OptionError, match="Did you mean 'regression'"):
        metric_names({"regresion": ["mae"]}, "regression")


def test_a_regression_head_learns_standardised_values_and_turns_them_back() -> None:
    values = torch.randn(500, 2, generator=generator()) * torch.tensor([3.0, 1e-3]) + torch.tensor([100.0, 7])
    values[:20, 0] = math.nan
    head = build_head(TaskOutput(task="t", task_type="regression", width=2), 4)
    assert isinstance(head, RegressionHead)
    head.fit_targets(values)
    standardised = head.standardise(values)
    known = standardised[20:, 0]
    assert known.mean().item() == pytest.approx(0, abs=1e-4)
    assert known.std(correction=0).item() == pytest.approx(1, rel=1e-4)
    assert torch.allclose(head.restore(standardised)[20:], values[20:], rtol=1e-6)
    constant = RegressionHead(torch.nn.Identity(), 1)
    constant.fit_targets(torch.full((5, 1), 3.0))
    assert constant.restore(constant.standardise(torch.tensor([[4.0]]))).item() == 4
    assert set(head.state_dict()) == {"target_mean", "target_std", "body.weight", "body.bias"}


def test_names_of_heads_are_reversible() -> None:
    names = ["a.b", "a%2Eb", "a", "train", "a+nested?0", "forward"]
    keys = [head_key(name) for name in names]
    assert len(set(keys)) == len(names)
    torch.nn.ModuleDict({key: torch.nn.Identity() for key in keys})


def test_dice_ce_is_its_closed_form() -> None:
    target = torch.zeros(1, 2, 2, dtype=torch.int64)
    target[0, 0] = 1
    logits = torch.zeros(1, 2, 2, 2)  # probability one half everywhere
    overlap, total, smooth = 0.5 * 2, 0.5 * 4 + 2, 1e-5
    expected = math.log(2) + 1 - (2 * overlap + smooth) / (total + smooth)
    assert DiceCELoss()(logits, target).item() == pytest.approx(expected, rel=1e-6)
    sure = functional.one_hot(target, 2).movedim(-1, 1) * 100.0
    assert DiceCELoss()(sure, target).item() == pytest.approx(0, abs=1e-5)
    absent = torch.zeros_like(target)
    nothing = functional.one_hot(absent, 2).movedim(-1, 1) * 200.0
    assert DiceCELoss()(nothing, absent).item() == pytest.approx(0, abs=1e-5)


def test_losses_by_name_take_their_arguments() -> None:
    logits, target = torch.randn(6, 3, generator=generator()), torch.tensor([0, 1, 2, 0, 1, 2])
    weight = [1.0, 2.0, 5.0]
    loss = build_loss(
        "classification", {"classification": {"name": "cross_entropy", "kwargs": {"weight": weight}}}
    )
    expected = functional.cross_entropy(logits, target, weight=torch.tensor(weight))
    assert loss(logits, target) == pytest.approx(expected)
    by_ref = build_loss("regression", {"regression": {"name": "torch.nn:HuberLoss", "kwargs": {"delta": 2}}})
    assert by_ref(torch.tensor([[1.0]]), torch.tensor([[4.0]])).item() == pytest.approx(2 * (3 - 1))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"name": "cros_entropy"}, "Did you mean 'cross_entropy'"),
        ({"name": "cross_entropy", "kwargs": {"label_smothing": 0.1}}, "Did you mean 'label_smoothing'"),
        ({"name": "cross_entropy", "kwarg": {}}, "Did you mean 'kwargs'"),
        ({"name": None}, "name is empty"),
    ],
)
def test_wrong_losses_are_refused(chosen: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_loss("classification", {"classification": chosen})
