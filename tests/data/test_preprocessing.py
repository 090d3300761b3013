"""What preprocessing does to pixels, and how its results are named."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import mml_core.config
from mml_core.data.errors import ChangedSourceError, PreprocessingError
from mml_core.data.preprocessing import (
    CHANNELS,
    FITS,
    INTERPOLATIONS,
    SHIPPED,
    Preprocessing,
    convert_channels,
)

OPTIONS = Path(mml_core.config.__file__).parent / "conf" / "preprocessing"

preprocessings = st.builds(
    Preprocessing,
    id=st.sampled_from(["default", "none", "mine"]),
    height=st.just(None),
    width=st.just(None),
    interpolation=st.sampled_from(INTERPOLATIONS),
    channels=st.sampled_from([None, *CHANNELS]),
    fit=st.sampled_from(FITS),
) | st.builds(
    Preprocessing,
    id=st.sampled_from(["default", "size32"]),
    height=st.integers(1, 99),
    width=st.integers(1, 99),
    interpolation=st.sampled_from(INTERPOLATIONS),
)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def test_the_yaml_options_are_the_shipped_ones() -> None:
    files = OPTIONS.glob("*.yaml")
    options = {file.stem: Preprocessing.from_config(yaml.safe_load(file.read_text())) for file in files}
    assert options == SHIPPED


def test_an_option_as_shipped_is_named_by_its_id() -> None:
    assert {option.prep_id for option in SHIPPED.values()} == set(SHIPPED)


def test_other_parameters_get_a_readable_name_of_their_own() -> None:
    name = Preprocessing(id="default", height=32, width=48).prep_id
    assert name.startswith("default-32x48-") and name not in SHIPPED


@given(preprocessings, preprocessings)
def test_two_names_are_equal_where_the_parameters_are(one: Preprocessing, other: Preprocessing) -> None:
    if one.id == other.id:
        assert (one.prep_id == other.prep_id) == (one.parameters == other.parameters)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"id": "a", "hight": 3}, "height"),
        ({"id": "a", "height": 3}, "width"),
        ({"id": "a", "height": 0, "width": 3}, "height"),
        ({"id": "a", "interpolation": "bilinaer"}, "bilinear"),
        ({"id": "a", "fit": "strech"}, "stretch"),
        ({"id": "../a"}, "preprocessing.id"),
        ({}, "preprocessing=default"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_could_be_meant(config: dict, named: str) -> None:
    with pytest.raises(PreprocessingError, match=named):
        Preprocessing.from_config(config)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_fit_gives_the_size_asked_for(fit: str, interpolation: str, dtype: type, channels: int) -> None:
    preprocessing = Preprocessing(id="a", height=7, width=9, fit=fit, interpolation=interpolation)
    image = preprocessing.image(noise(20, 10, channels, dtype=dtype), channels, np.iinfo(dtype).bits)
    assert image.shape == (channels, 7, 9)
    assert image.dtype == dtype
    assert image.flags.c_contiguous


def test_padding_keeps_the_aspect_ratio_and_is_zero() -> None:
    image = Preprocessing(id="a", height=8, width=8, fit="pad").image(np.full((4, 2, 1), 9, np.uint8), 1)
    assert (image[0, :, 2:6] == 9).all()
    assert image.sum() == 9 * 8 * 4


def test_cropping_keeps_the_middle() -> None:
    pixels = np.zeros((2, 6, 1), np.uint8)
    pixels[:, 2:4] = 200
    image = Preprocessing(id="a", height=2, width=2, fit="crop").image(pixels, 1)
    assert (image == 200).all()


def test_sixteen_bits_survive_resizing() -> None:
    image = Preprocessing(id="a", height=4, width=4).image(np.full((8, 8, 1), 40001, np.uint16), 1, 16)
    assert (image == 40001).all()


def test_an_8_bit_image_in_a_16_bit_task_keeps_its_brightness() -> None:
    image = Preprocessing(id="none").image(np.array([[[0], [255]]], np.uint8), 1, 16)
    assert image.tolist() == [[[0, 65535]]]


def test_a_16_bit_image_in_an_8_bit_task_is_refused_not_cut() -> None:
    with pytest.raises(ChangedSourceError, match="uint16"):
        Preprocessing(id="none").image(noise(2, 2, 1, dtype=np.uint16), 1, 8)


def test_masks_hold_no_class_that_was_not_there() -> None:
    mask = noise(31, 17) % 2 * 7
    for fit in FITS:
        assert set(np.unique(Preprocessing(id="a", height=11, width=13, fit=fit).mask(mask))) <= {0, 7}


@pytest.mark.parametrize("found", [1, 2, 3, 4])
@pytest.mark.parametrize("wanted", [1, 3, 4])
def test_channels_are_converted(found: int, wanted: int) -> None:
    assert convert_channels(noise(3, 3, found), wanted).shape == (3, 3, wanted)


def test_grey_made_colour_and_back_is_the_same() -> None:
    grey = noise(5, 5, 1)
    assert (convert_channels(convert_channels(grey, 3), 1) == grey).all()


def test_preprocessing_a_task_imports_no_torch() -> None:
    code = "import sys, mml_core.data.prepare; assert not {'torch', 'lightning', 'kornia'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
