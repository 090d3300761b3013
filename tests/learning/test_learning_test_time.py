"""Test-time augmentation: what is averaged, and that masks are turned back."""

import pytest
import torch

from mml_core.data.augmentation import VIEWS
from mml_core.learning.test_time import averaged


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def corner(images: torch.Tensor) -> torch.Tensor:
    """Logits that depend on how an image lies."""
    return images[:, :, 0, :2].flatten(1) * 5


def test_without_views_the_image_alone_is_predicted(images) -> None:
    assert torch.equal(averaged(corner, images, "classification", ()), corner(images))


def test_probabilities_of_classes_are_averaged(images) -> None:
    found = averaged(corner, images, "classification", ("flip_horizontal", "rotate_180")).softmax(1)
    views = [images, images.flip(-1), images.flip(-1, -2)]
    expected = torch.stack([corner(view).softmax(1) for view in views]).mean(0)
    assert torch.allclose(found, expected, atol=1e-6)


def test_probabilities_of_labels_are_averaged(images) -> None:
    found = averaged(corner, images, "multilabel", ("flip_vertical",)).sigmoid()
    expected = (corner(images).sigmoid() + corner(images.flip(-2)).sigmoid()) / 2
    assert torch.allclose(found, expected, atol=1e-6)


def test_values_of_a_regression_are_averaged(images) -> None:
    found = averaged(corner, images, "regression", ("flip_vertical",))
    assert torch.allclose(found, (corner(images) + corner(images.flip(-2))) / 2)


@pytest.mark.parametrize("view", VIEWS)
def test_segmentations_of_views_are_turned_back(images, view) -> None:
    found = averaged(lambda seen: seen * 3, images, "semantic_segmentation", (view,))
    assert torch.allclose(found, (images * 3).log_softmax(1), atol=1e-6)


def test_certain_predictions_stay_finite() -> None:
    logits = torch.tensor([[500.0, -500.0]])
    assert averaged(lambda _: logits, torch.zeros(1, 1, 2, 2), "multilabel", VIEWS).isfinite().all()
