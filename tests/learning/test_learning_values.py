"""Losses, heads and metrics give the numbers of scikit-learn, or of a closed form."""

import math
from typing import Any

import pytest
import torch
from sklearn import metrics as reference
from torch.nn import functional

from mml_core.learning.heads import RegressionHead, build_heads, head_key
from mml_core.learning.image_metrics import dice_of, image_scores
from mml_core.learning.losses import DiceCELoss, build_loss
from mml_core.learning.metrics import BY_TYPE, compute_metrics, metric_names
from mml_core.learning.module import MMLModule, Recipe
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput

SAMPLES = 200
EXACT = 1e-12


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("scale", [1, 6], ids=["unsure", "sure"])
@pytest.mark.parametrize("classes", [2, 5])
def test_classification_metrics_are_those_of_sklearn(classes: int, scale: float) -> None:
    targets = torch.randint(0, classes, (SAMPLES,), generator=generator())
    logits = torch.randn(SAMPLES, classes, generator=generator(1)) + functional.one_hot(targets, classes)
    logits *= scale
    found = compute_metrics(
        "classification", ["accuracy", "balanced_accuracy", "auroc", "f1"], logits, targets
    )
    chosen, truth = logits.argmax(1).numpy(), targets.numpy()
    probabilities = logits.double().softmax(1).numpy()
    scores = probabilities[:, 1] if classes == 2 else probabilities
    assert found == pytest.approx(
        {
            "accuracy": reference.accuracy_score(truth, chosen),
            "balanced_accuracy": reference.balanced_accuracy_score(truth, chosen),
            "auroc": reference.roc_auc_score(truth, scores, multi_class="ovr"),
            "f1": reference.f1_score(truth, chosen, average="macro"),
        },
        abs=EXACT,
    )


def test_multilabel_metrics_are_those_of_sklearn() -> None:
    targets = torch.randint(0, 2, (SAMPLES, 4), generator=generator()).float()
    logits = torch.randn(SAMPLES, 4, generator=generator(1)) + targets
    logits[:, 3] = logits[:, 3].round()  # ties
    found = compute_metrics("multilabel", ["accuracy", "auroc", "f1"], logits, targets)
    chosen, truth = (logits > 0).int().numpy(), targets.int().numpy()
    assert found == pytest.approx(
        {
            "accuracy": (chosen == truth).mean(),
            "auroc": reference.roc_auc_score(truth, logits.numpy(), average="macro"),
            "f1": reference.f1_score(truth, chosen, average="macro"),
        },
        abs=EXACT,
    )


def test_a_net_that_is_sure_of_all_is_ranked_by_its_logits() -> None:
    truth = torch.randint(0, 2, (SAMPLES,), generator=generator())
    margin = 60 + 10 * torch.randn(SAMPLES, generator=generator(1)) + 10 * truth  # every probability is 1.0
    area = pytest.approx(reference.roc_auc_score(truth, margin), abs=EXACT)
    logits = torch.stack([torch.zeros(SAMPLES), margin], 1)
    assert compute_metrics("classification", ["auroc"], logits, truth)["auroc"] == area
    assert compute_metrics("multilabel", ["auroc"], margin[:, None], truth[:, None].float())["auroc"] == area


@pytest.mark.parametrize(("mean", "std"), [(0, 1e-4), (100, 3), (2000, 5), (1e5, 10)])
def test_regression_metrics_are_those_of_sklearn(mean: float, std: float) -> None:
    targets = torch.randn(SAMPLES, 2, generator=generator()) * std + mean
    values = targets + torch.randn(SAMPLES, 2, generator=generator(1)) * std / 2
    found = compute_metrics("regression", ["mae", "mse", "r2"], values, targets)
    truth, predicted = targets.double().numpy(), values.double().numpy()
    assert found == pytest.approx(
        {
            "mae": reference.mean_absolute_error(truth, predicted),
            "mse": reference.mean_squared_error(truth, predicted),
            "r2": reference.r2_score(truth, predicted),
        },
        rel=EXACT,
    )


@pytest.mark.parametrize("predicted", [[3.0, 3.0, 3.0], [3.0, 3.1, 3.0]])
def test_r2_of_constant_targets_is_that_of_sklearn(predicted: list[float]) -> None:
    values, targets = torch.tensor(predicted)[:, None], torch.full((3, 1), 3.0)
    found = compute_metrics("regression", ["r2"], values, targets)
    assert found["r2"] == reference.r2_score(targets, values)


@pytest.mark.parametrize("task_type", ["classification", "multilabel", "regression"])
def test_a_model_that_has_diverged_has_no_scores(task_type: str) -> None:
    outputs = torch.zeros(4, 2)
    outputs[3, 1] = math.nan
    targets = torch.tensor([0, 1, 0, 1]) if task_type == "classification" else torch.eye(2).repeat(2, 1)
    found = compute_metrics(task_type, list(BY_TYPE[task_type]), outputs, targets)
    assert all(map(math.isnan, found.values()))


def test_dice_and_iou_count_pixels() -> None:
    truth = torch.zeros(2, 4, 4, dtype=torch.int64)
    predicted = torch.zeros_like(truth)
    truth[0, :2] = 1  # 8 pixels of class 1
    predicted[0, 1:3] = 1  # 8, of which 4 are right: Dice 8 / 16, IoU 4 / 12
    predicted[0, 3] = 2  # class 2 where there is none: Dice 0
    truth[1, 0, 0] = predicted[1, 0, 0] = 1  # image 2 has class 1 only, and it is right
    images = image_scores(predicted, truth, 3)
    scores = torch.from_numpy(dice_of(images.numpy()))
    assert scores[0].tolist() == pytest.approx([0.5, 0.0])
    assert scores[1, 0] == 1
    assert scores[1, 1].isnan()
    found = compute_metrics("semantic_segmentation", ["dice", "iou"], images, torch.empty(2))
    assert found == pytest.approx({"dice": (0.25 + 1) / 2, "iou": ((4 / 12 + 0) / 2 + 1) / 2})
    one = reference.f1_score((truth[0] == 1).flatten(), (predicted[0] == 1).flatten())
    assert scores[0, 0] == pytest.approx(one, abs=EXACT)


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
    (head,) = build_heads([TaskOutput(task="t", task_type="regression", width=2)], 4).values()
    assert isinstance(head, RegressionHead)
    head.fit_targets(values)
    standardised = head.standardise(values)
    assert standardised[:, 0].mean().item() == pytest.approx(0, abs=1e-4)
    assert standardised[:, 0].std(correction=0).item() == pytest.approx(1, rel=1e-4)
    assert torch.allclose(head.restore(standardised), values, rtol=1e-6)
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


def test_the_cross_entropy_of_pixels_is_that_of_images() -> None:
    logits = torch.randn(2, 3, 5, 4, generator=generator())
    target = torch.randint(0, 3, (2, 5, 4), generator=generator())
    chosen = {"name": "cross_entropy", "kwargs": {"weight": [1.0, 2.0, 5.0], "label_smoothing": 0.1}}
    loss = build_loss("semantic_segmentation", {"semantic_segmentation": chosen})
    expected = functional.cross_entropy(
        logits, target, weight=torch.tensor([1.0, 2.0, 5.0]), label_smoothing=0.1
    )
    assert loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", ["dice_ce", "cross_entropy"])
def test_losses_of_masks_are_deterministic_on_cuda(name: str, operations: Any) -> None:
    loss = build_loss("semantic_segmentation", {"semantic_segmentation": {"name": name}})
    with operations() as used:
        loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))
    assert not [each for each in used if "nll_loss2d" in each]


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


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_a_loss_of_the_net_itself_is_added_in_training() -> None:
    class Regularised(torch.nn.Conv2d):
        own_loss = torch.tensor(5.0)

    output = TaskOutput(task="t", task_type="semantic_segmentation", width=2)
    recipe = Recipe(optimizer={"name": "sgd", "lr": 0.1}, loss={"semantic_segmentation": {"name": "dice_ce"}})
    model = MMLModule(Regularised(1, 2, 1), [output], recipe)
    batch = {"image": torch.randn(2, 1, 4, 4), "target": torch.zeros(2, 4, 4, dtype=torch.int64)}
    loss, _ = model.batch_loss(batch)
    assert model.training_step(batch, 0).item() == pytest.approx(loss.item() + 5)


def segmentation_loss(name: str, ignore_index: int | None = None, **kwargs: Any) -> torch.nn.Module:
    chosen = {"semantic_segmentation": {"name": name, "kwargs": kwargs}}
    return build_loss("semantic_segmentation", chosen, ignore_index)


@pytest.mark.parametrize("name", ["dice_ce", "cross_entropy"])
def test_ignored_pixels_have_no_part_in_the_loss(name: str) -> None:
    loss = segmentation_loss(name, 255)
    target = torch.randint(0, 3, (2, 4, 6), generator=generator())
    logits = torch.randn(2, 3, 4, 6, generator=generator(1))
    expected = segmentation_loss(name)(logits[..., :4], target[..., :4])
    target[..., 4:] = 255
    logits.requires_grad_()
    found = loss(logits, target)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert logits.grad is not None
    assert not logits.grad[..., 4:].any()
    assert logits.grad[..., :4].any()


@pytest.mark.parametrize("name", ["dice_ce", "cross_entropy"])
def test_a_batch_that_is_ignored_teaches_nothing(name: str) -> None:
    logits = torch.randn(2, 3, 4, 4, generator=generator(), requires_grad=True)
    loss = segmentation_loss(name, 255)(logits, torch.full((2, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_loss_that_cannot_ignore_pixels_is_refused_where_there_are_some() -> None:
    with pytest.raises(OptionError, match="takes no 'ignore_index'; choose one of dice_ce, cross_entropy"):
        segmentation_loss("torch.nn:MSELoss", 255)
    assert segmentation_loss("torch.nn:CrossEntropyLoss", 255).ignore_index == 255
