"""Images are read whole or refused by name; nothing is cut down silently."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from mml_core.tasks.errors import ImageError
from mml_core.tasks.images import decode_image, decode_mask, read_image, read_mask

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
RGB = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
WIDE = RANDOM.integers(0, 65536, (5, 7), dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
def test_eight_bits(tmp_path, pixels, suffix):
    Image.fromarray(pixels).save(tmp_path / f"x{suffix}")
    found = read_image(tmp_path / f"x{suffix}")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels.reshape(5, 7, -1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits(tmp_path, suffix):
    Image.fromarray(WIDE).save(tmp_path / f"x{suffix}")
    found = read_image(tmp_path / f"x{suffix}")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[:, :, 0], WIDE)


@pytest.mark.parametrize("pixels", [GREY, RGB, WIDE, GREY > 9], ids=["grey", "rgb", "wide", "bool"])
def test_npy(tmp_path, pixels):
    np.save(tmp_path / "x.npy", pixels)
    expected = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    np.testing.assert_array_equal(read_image(tmp_path / "x.npy"), expected.reshape(5, 7, -1))


def test_jpeg_lies_as_its_exif_says(tmp_path):
    image = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.jpg", exif=exif)
    assert read_image(tmp_path / "x.jpg").shape == (7, 5, 3)


def test_palettes_transparency_and_bits(tmp_path):
    palette = Image.fromarray(RGB).quantize(4)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), np.asarray(palette.convert("RGB")))
    rgba = np.dstack([RGB, GREY])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rgba)
    Image.fromarray(GREY > 100).save(tmp_path / "b.png")
    assert set(np.unique(read_image(tmp_path / "b.png"))) == {0, 255}


def png16(pixels):
    """A PNG of 16 bits a channel, which Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    kind = {2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_of_sixteen_bits_is_read_whole(tmp_path, channels):
    pixels = RANDOM.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    (tmp_path / "x.png").write_bytes(png16(pixels))
    found = read_image(tmp_path / "x.png")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize(
    "options", [{}, {"planarconfig": "separate"}, {"compression": "zlib", "predictor": True}]
)
@pytest.mark.parametrize("channels", [3, 4])
def test_tiff_colour_of_sixteen_bits_is_read_whole(tmp_path, channels, options):
    pixels = RANDOM.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    stored = np.moveaxis(pixels, 2, 0) if options.get("planarconfig") else pixels
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", **options)
    found = read_image(tmp_path / "x.tif")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, pixels)
    with pytest.raises(ImageError, match=r"x\.tif holds colours"):
        read_mask(tmp_path / "x.tif")


def test_tiff_of_wide_colour_is_refused_where_it_would_not_be_shown_as_it_is(tmp_path, monkeypatch):
    pixels = RANDOM.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    with pytest.raises(ImageError, match=r"x\.tif is a TIFF file of RGB .* orientation 6"):
        read_image(tmp_path / "x.tif")
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb")
    data = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[:-60])
    with pytest.raises(ImageError, match=r"cut\.tif is a TIFF file that cannot be decoded"):
        read_image(tmp_path / "cut.tif")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 34)
    with pytest.raises(ImageError, match=r"x\.tif is too large"):
        read_image(tmp_path / "x.tif")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ImageError, match=r"x\.tif .* pip install 'mml-core\[tiff\]'"):
        read_image(tmp_path / "x.tif")


def test_what_claims_to_be_huge_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    header = io.BytesIO()
    shape = (10**6, 10**6, 3)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    (tmp_path / "huge.npy").write_bytes(header.getvalue())
    with pytest.raises(ImageError, match=r"huge\.npy is damaged .*0 of 3000000000000 bytes are there"):
        read_image(tmp_path / "huge.npy")
    Image.fromarray(GREY).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 34)
    with pytest.raises(ImageError, match=r"huge\.png is too large"):
        read_image(tmp_path / "huge.png")


def test_what_would_be_cut_down_is_refused(tmp_path):
    (tmp_path / "wide.png").write_bytes(png16(np.zeros((2, 2, 2), np.uint16)))
    with pytest.raises(ImageError, match=r"wide\.png holds colour of 16 bits"):
        read_image(tmp_path / "wide.png")
    pages = [Image.fromarray(GREY), Image.fromarray(GREY)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match=r"pages\.tif has 2 pages"):
        read_image(tmp_path / "pages.tif")
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(
        ImageError, match=r"float\.tif holds float32 values, of a range that the file does not tell"
    ):
        read_image(tmp_path / "float.tif")
    np.save(tmp_path / "float.npy", GREY.astype(np.float32))
    with pytest.raises(ImageError, match=r"float\.npy holds float32 values, .* save it as uint16"):
        read_image(tmp_path / "float.npy")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match=r"object\.npy is damaged or no plain array"):
        read_image(tmp_path / "object.npy")


def test_an_image_cut_anywhere_is_named(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(buffer, format="PNG")
    data = buffer.getvalue()
    for end in range(0, len(data) - 60, 211):
        (tmp_path / "cut.png").write_bytes(data[:end])
        with pytest.raises(ImageError, match=r"cut\.png"):
            read_image(tmp_path / "cut.png")
    with pytest.raises(ImageError, match=r"none\.png cannot be read"):
        read_image(tmp_path / "none.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # what Pillow says of damaged metadata
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "TIFF16", "BMP", "WEBP", "npy"])
def test_an_image_with_changed_bytes_is_read_or_refused_by_name(form):
    buffer = io.BytesIO()
    pixels = RANDOM.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    if form == "npy":
        np.save(buffer, pixels)
    elif form == "TIFF16":
        tifffile.imwrite(buffer, pixels.astype(np.uint16), photometric="rgb")
    else:
        Image.fromarray(pixels).save(buffer, format=form)
    random = np.random.default_rng(1)
    for _ in range(150):
        data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
        data[random.integers(0, min(len(data), 200), 3)] = random.integers(0, 256, 3)
        for decode in (decode_image, decode_mask):
            with suppress(ImageError):
                decode(data[: random.integers(1, 2 * len(data))].tobytes(), Path("x.png"))


def test_masks_are_classes_not_colours(tmp_path):
    classes = GREY % 3
    Image.fromarray(classes).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), classes)
    palette = Image.fromarray(classes, mode="L").convert("P")
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    palette.putdata(classes.ravel().tolist())
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png"), classes)
    np.save(tmp_path / "n.npy", classes.astype(np.int64))
    np.testing.assert_array_equal(read_mask(tmp_path / "n.npy"), classes)
    Image.fromarray(RGB).save(tmp_path / "c.png")
    with pytest.raises(ImageError, match=r"c\.png has the mode RGB"):
        read_mask(tmp_path / "c.png")
    Image.fromarray(GREY).save(tmp_path / "j.jpg")
    with pytest.raises(ImageError, match=r"j\.jpg"):
        read_mask(tmp_path / "j.jpg")
