"""Operations of kornia: by name, each sample by its own seed, masks along, whatever the batch."""

import pickle

import pytest
import torch

from mml_core.data.errors import LoaderError
from mml_core.data.kornia_operations import Operation

OPERATIONS = [
    {"name": "RandomGaussianBlur", "kernel_size": [3, 3], "sigma": [0.1, 2.0], "p": 0.5},
    {"name": "ColorJitter", "brightness": 0.2, "contrast": 0.2, "hue": 0.1, "p": 0.8},
    {"name": "RandomAffine", "degrees": 20.0, "p": 0.5},
    {"name": "RandomErasing", "p": 0.5},
    {"name": "RandomElasticTransform", "kernel_size": [5, 5], "sigma": [2.0, 2.0], "p": 0.5},
    {"name": "RandomGaussianNoise", "p": 0.5},
    {"name": "RandomResizedCrop", "size": [16, 16]},
    {"name": "RandomMotionBlur", "kernel_size": [3, 5], "angle": 35.0, "direction": 0.5},
    {"name": "RandomSharpness", "p": 0.5},
    {"name": "RandomHorizontalFlip"},
]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def masks() -> torch.Tensor:
    return torch.randint(0, 2, (5, 16, 16), generator=torch.Generator().manual_seed(4)) * 7


@pytest.mark.parametrize("config", OPERATIONS, ids=lambda config: config["name"])
def test_what_happens_to_a_sample_does_not_depend_on_its_batch(images, masks, config) -> None:
    operation = Operation.from_config(config)
    seeds = [11, 2**63, 13, 14, 15]
    together, moved = operation(images, masks, seeds)
    assert not torch.equal(together, images)
    for row in (4, 0, 2):
        alone, mask = operation(images[row : row + 1], masks[row : row + 1], seeds[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1e-5)
        assert torch.equal(moved[row], mask[0])
    assert torch.equal(operation(images, None, seeds)[0], together)


@pytest.mark.parametrize("config", OPERATIONS, ids=lambda config: config["name"])
def test_masks_hold_no_class_that_was_not_there(images, masks, config) -> None:
    _, moved = Operation.from_config(config)(images, masks, [1, 2, 3, 4, 5])
    assert moved.dtype == masks.dtype
    assert set(moved.unique().tolist()) <= {0, 7}


def test_masks_go_through_the_geometry_of_their_images() -> None:
    masks = torch.zeros(4, 16, 16, dtype=torch.int64)
    masks[:, 2:9, 3:7] = 1
    images = masks[:, None].float()
    operation = Operation.from_config({"name": "RandomRotation", "degrees": 90.0, "p": 1.0})
    changed, moved = operation(images, masks, [1, 2, 3, 4])
    assert not torch.equal(moved, masks)
    assert ((changed[:, 0] > 0.5) == (moved == 1)).float().mean() > 0.97


def test_the_global_generator_is_left_alone(images) -> None:
    before = torch.get_rng_state()
    Operation.from_config(OPERATIONS[0])(images, None, [1, 2, 3, 4, 5])
    assert torch.equal(torch.get_rng_state(), before)


def test_an_operation_is_sent_to_workers(images) -> None:
    operation = Operation.from_config(OPERATIONS[0])
    sent = pickle.loads(pickle.dumps(operation))
    assert torch.equal(sent(images, None, [1] * 5)[0], operation(images, None, [1] * 5)[0])


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("RandomAffine", "needs a name"),
        ({"name": "RandomGausianBlur"}, "RandomGaussianBlur"),
        ({"name": "RandomMixUpV2"}, "no 'RandomMixUpV2'"),
        ({"name": "Normalize", "mean": 0.5, "std": 0.5}, "no 'Normalize'"),
        ({"name": "RandomAffine", "degree": 3.0}, "degrees"),
        ({"name": "RandomAffine", "degrees": 3.0, "same_on_batch": True}, "same_on_batch"),
        ({"name": "RandomAffine"}, "refuses its arguments"),
    ],
)
def test_impossible_operations_are_named(config, named) -> None:
    with pytest.raises(LoaderError, match=named):
        Operation.from_config(config)


def test_operations_that_do_not_fit_the_images_are_refused() -> None:
    with pytest.raises(LoaderError, match=r"set its size to \[16, 16\]"):
        Operation.from_config({"name": "RandomCrop", "size": [8, 8]}).check(3, (16, 16))
    with pytest.raises(LoaderError, match="1 channels"):
        Operation.from_config({"name": "RandomPlanckianJitter", "p": 0.5}).check(1, (16, 16))
