"""Where the affine augmentations move things to."""

import pytest
import torch

from mml_core.data.augmentation import Augmentation
from mml_core.data.draws import DRAWS

SIZE = 9
SHEAR = 6
"""The column of the draws that says how far a sample is sheared."""


def sheared(degrees: float, draw: float) -> torch.Tensor:
    """A vertical line through the centre, sheared."""
    line = torch.zeros(1, 1, SIZE, SIZE)
    line[..., SIZE // 2] = 1
    draws = torch.full((1, DRAWS), 0.5)
    draws[0, SHEAR] = draw
    images, _ = Augmentation.from_config({"shear": degrees})(line, draws)
    return images[0, 0]


@pytest.mark.parametrize(("draw", "expected"), [(1.0, torch.eye(SIZE)), (0.0, torch.eye(SIZE).flip(1))])
def test_shear_leans_a_line_by_its_degrees_to_either_side(draw, expected) -> None:
    torch.testing.assert_close(sheared(45.0, draw), expected, atol=1e-4, rtol=0)


def test_shear_leaves_a_line_whose_draw_is_in_the_middle() -> None:
    assert sheared(45.0, 0.5)[:, SIZE // 2].sum() == pytest.approx(SIZE, abs=1e-4)
