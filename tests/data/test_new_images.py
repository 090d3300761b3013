"""Images of no task are read as tasks read theirs, and masks are brought back to their pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mml_core.data.new_images import ChannelsError, find_images, prepare, read_new_image
from mml_core.data.placement import Placement
from mml_core.data.preprocessing import Preprocessing

NONE = Preprocessing(id="none")
GREY = np.arange(35, dtype=np.uint8).reshape(5, 7, 1)


def blocks(height: int, width: int) -> np.ndarray:
    """A mask of four large areas."""
    rows, columns = np.mgrid[:height, :width]
    return ((rows >= height // 2) * 2 + (columns >= width // 2)).astype(np.uint8)


def scores(mask: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(mask).long(), 4).permute(2, 0, 1).float()


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize("extent", [(32, 32), (40, 64), (64, 24), (16, 16)])
def test_masks_return_to_the_pixels_of_the_image(fit: str, extent: tuple[int, int]) -> None:
    preprocessing = Preprocessing(id="x", height=32, width=32, fit=fit)
    mask = blocks(*extent)
    placement = Placement.of(preprocessing, extent)
    found = placement.classes(scores(preprocessing.mask(mask)), unseen=255).numpy()
    assert found.shape == extent
    assert (found == mask).mean() > 0.9


def test_pixels_outside_of_a_crop_are_marked() -> None:
    preprocessing = Preprocessing(id="x", height=32, width=32, fit="crop")
    mask = blocks(32, 64)
    placement = Placement.of(preprocessing, (32, 64))
    found = placement.classes(scores(preprocessing.mask(mask)), unseen=255).numpy()
    np.testing.assert_array_equal(found[:, 16:48], mask[:, 16:48])
    assert set(np.unique(found[:, :16])) == set(np.unique(found[:, 48:])) == {255}


def test_without_a_size_each_pixel_is_its_own() -> None:
    mask = blocks(5, 7)
    np.testing.assert_array_equal(Placement.of(NONE, (5, 7)).classes(scores(mask), 255).numpy(), mask)


def test_all_depths_are_on_one_scale() -> None:
    eight = prepare(GREY, NONE, 1, Path("x.png"))
    sixteen = prepare(GREY.astype(np.uint16) * 257, NONE, 1, Path("x.png"))
    np.testing.assert_array_equal(eight, sixteen)
    assert eight.shape == (1, 5, 7)
    assert eight.max() == np.float32(34) / np.float32(255)


@pytest.mark.parametrize(
    ("found", "wanted", "channels"), [(1, 3, None), (3, 1, "grey"), (1, 3, "rgb"), (3, 3, None)]
)
def test_channels_that_a_task_would_convert_are_converted(
    found: int, wanted: int, channels: str | None
) -> None:
    preprocessing = Preprocessing(id="x", channels=channels)
    assert prepare(np.repeat(GREY, found, 2), preprocessing, wanted, Path("x.png")).shape == (wanted, 5, 7)


@pytest.mark.parametrize(("found", "wanted"), [(3, 1), (4, 3), (2, 1), (1, 4)])
def test_other_channels_are_refused(found: int, wanted: int) -> None:
    with pytest.raises(ChannelsError, match=rf"x\.png has {found} channels?, the model takes {wanted}"):
        prepare(np.repeat(GREY, found, 2), NONE, wanted, Path("x.png"))


def test_transparency_is_left_out_and_kept_in_arrays(tmp_path: Path) -> None:
    pixels = np.repeat(GREY, 4, 2)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.save(tmp_path / "x.npy", pixels)
    assert read_new_image(tmp_path / "x.png").shape == (5, 7, 3)
    assert read_new_image(tmp_path / "x.npy").shape == (5, 7, 4)


def test_a_folder_is_searched_for_images(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/c.jpg", "a/.hidden.png", ".cache/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found, others = find_images(tmp_path)
    assert [image.name for image in found] == ["a/c.jpg", "b.PNG"]
    assert others == [tmp_path / "notes.txt"]
