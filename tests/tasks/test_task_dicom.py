"""DICOM images are read with all grey levels, brighter always larger; what is no single image is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mml_core.cli.main import main
from mml_core.tasks.errors import ImageError
from mml_core.tasks.images import read_image, read_mask
from mml_core.tasks.index import TaskIndex

pydicom = pytest.importorskip("pydicom")

RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8)


def save(path: Path, pixels: np.ndarray, photometric: str = "MONOCHROME2", **fields) -> Path:
    """Write a DICOM file; ``fields`` are further elements of it."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset = pydicom.dataset.FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    colour = pixels.ndim == 3
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.PhotometricInterpretation = photometric
    dataset.SamplesPerPixel = 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_eight_bits_are_kept_as_they_are(tmp_path):
    pixels = RAMP.astype(np.uint8)
    found = read_image(save(tmp_path / "x.dcm", pixels))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[:, :, 0], pixels)


def test_sixteen_bits_are_kept_as_they_are(tmp_path):
    found = read_image(save(tmp_path / "x.dcm", RAMP * 1000))
    np.testing.assert_array_equal(found[:, :, 0], RAMP * 1000)


def test_the_whole_range_of_the_stored_bits_is_one_scale(tmp_path):
    found = read_image(save(tmp_path / "x.dcm", RAMP, BitsStored=12))
    np.testing.assert_array_equal(found[:, :, 0], np.rint(RAMP / 4095 * 65535))
    assert len(np.unique(found)) == RAMP.size


def test_a_rescale_and_a_window_give_the_window(tmp_path):
    stored = np.array([[0, 984, 1024, 1064, 2000]], dtype=np.uint16)  # -1024, -40, 0, 40 and 976 HU
    window = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 0.5, "WindowWidth": 81}
    found = read_image(save(tmp_path / "x.dcm", stored, BitsStored=12, **window))
    np.testing.assert_allclose(found[0, :, 0], [0, 0, 32768, 65535, 65535], atol=1)


def test_signed_values_without_a_window_keep_their_order(tmp_path):
    pixels = (RAMP.astype(np.int16) - 24) * 1000
    found = read_image(save(tmp_path / "x.dcm", pixels))
    np.testing.assert_array_equal(found[:, :, 0], pixels.astype(np.int32) + 32768)


def test_luts_are_applied(tmp_path):
    def sequence(values: list[int]) -> "pydicom.Sequence":
        item = pydicom.Dataset()
        item.LUTDescriptor = [len(values), 0, 8]
        item.add_new("LUTData", "US", values)
        item.ModalityLUTType = "US"
        return pydicom.Sequence([item])

    stored = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    modality = sequence([3, 2, 1, 0])
    found = read_image(save(tmp_path / "m.dcm", stored, ModalityLUTSequence=modality))
    np.testing.assert_array_equal(found[0, :, 0], np.array([3, 2, 1, 0]) * 257)
    found = read_image(save(tmp_path / "v.dcm", stored, VOILUTSequence=sequence([0, 10, 200, 255])))
    np.testing.assert_array_equal(found[0, :, 0], np.array([0, 10, 200, 255]) * 257)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_monochrome1_is_inverted(tmp_path, kind):
    pixels = RAMP.astype(kind)
    found = read_image(save(tmp_path / "x.dcm", pixels, "MONOCHROME1"))
    np.testing.assert_array_equal(found[:, :, 0], np.iinfo(kind).max - pixels)


def test_colours_become_rgb(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path / "x.dcm", pixels, "RGB")), pixels)
    ybr = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    found = read_image(save(tmp_path / "y.dcm", ybr, "YBR_FULL"))
    assert np.abs(found.astype(int) - pixels).max() <= 3


def test_jpeg_within_dicom_is_decoded(tmp_path):
    pixels = np.repeat(np.repeat(RAMP.astype(np.uint8) * 5, 8, 0), 8, 1)
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, format="JPEG", quality=95)
    dataset = pydicom.dcmread(save(tmp_path / "x.dcm", pixels))
    dataset.PixelData = pydicom.encaps.encapsulate([jpeg.getvalue()])
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    dataset.save_as(tmp_path / "x.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "x.dcm")[:, :, 0], np.asarray(Image.open(jpeg)))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"NumberOfFrames": 2}, "a DICOM file of 2 frames: save each as a file"),
        ({"PhotometricInterpretation": "HSV"}, "has the DICOM colours HSV; read are"),
        ({"Rows": 60000, "Columns": 60000}, "is too large: 60000x60000 pixels"),
        ({"Rows": 600}, "cannot be decoded: The number of bytes of pixel data is less than expected"),
        ({"WindowCenter": 5, "WindowWidth": -1}, "cannot be decoded: The .*Window Width"),
    ],
)
def test_what_is_no_single_image_is_refused_by_name(tmp_path, fields, why):
    with pytest.raises(ImageError, match=rf"x\.dcm.*{why}"):
        read_image(save(tmp_path / "x.dcm", RAMP, **fields))


def test_a_file_without_pixels_is_refused(tmp_path):
    dataset = pydicom.dcmread(save(tmp_path / "x.dcm", RAMP, Modality="SR"))
    del dataset.PixelData
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(ImageError, match=r"x\.dcm is a DICOM file without pixels \(SR\)"):
        read_image(tmp_path / "x.dcm")


def test_a_deflated_file_is_refused_before_it_is_inflated(tmp_path):
    dataset = pydicom.dcmread(save(tmp_path / "x.dcm", np.zeros((2000, 2000), np.uint16)))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(ImageError, match=r"x\.dcm is a deflated DICOM file"):
        read_image(tmp_path / "x.dcm")


def test_a_file_cut_anywhere_is_refused_by_name(tmp_path):
    data = save(tmp_path / "x.dcm", RAMP).read_bytes()
    for end in range(0, len(data) - 1, 37):
        (tmp_path / "cut.dcm").write_bytes(data[:end])
        with pytest.raises(ImageError, match=r"cut\.dcm"):
            read_image(tmp_path / "cut.dcm")


def test_a_mask_is_no_dicom(tmp_path):
    with pytest.raises(ImageError, match=r"x\.dcm is a DICOM file: save the class of each pixel as PNG"):
        read_mask(save(tmp_path / "x.dcm", RAMP))


def test_a_task_is_made_of_dicom_files(tmp_path, monkeypatch):
    pytest.importorskip("mml_tasks")
    monkeypatch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
    for number in range(8):
        folder = tmp_path / "in" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        save(folder / f"{number}.dcm", RAMP * 100 + number, BitsStored=14)
    assert main(["tasks", "add", "folder", str(tmp_path / "in"), "--name", "scans", "--folds", "2"]) == 0
    task = TaskIndex(tmp_path / "data").get("scans")
    assert (task.channels, task.bit_depth, task.num_samples["train"]) == (1, 16, 8)
