"""Memory-mapped stores: what was written is read, and what was damaged is named and not read."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from mml_core.data.errors import DamagedStoreError, UnequalSizesError
from mml_core.data.manifest import MANIFEST
from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED
from mml_core.data.store import CHUNK_BYTES, SampleArray, Store
from mml_core.data.store_writer import ModalityWriter
from mml_core.tasks.description import TaskType


def written(folder: Path, samples: list[np.ndarray]) -> SampleArray:
    with ModalityWriter(folder, "image", samples[0].dtype if samples else np.uint8) as writer:
        for sample in samples:
            writer.add(sample)
        return SampleArray(folder, writer.finish())


def noise(count: int, *shape: int, dtype: type = np.uint8) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return list(generator.integers(0, np.iinfo(dtype).max, (count, *shape), dtype=dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gather_gives_the_samples_that_were_written(tmp_path: Path, dtype: type) -> None:
    samples = noise(9, 2, 5, 3, dtype=dtype)
    rows = np.array([8, 0, 0, 3])
    gathered = written(tmp_path, samples).gather(rows)
    assert gathered.dtype == dtype
    assert (gathered == np.stack(samples)[rows]).all()


def test_samples_of_unequal_sizes_are_kept_apart(tmp_path: Path) -> None:
    samples = [*noise(2, 1, 4, 4), *noise(2, 1, 6, 3)]
    array = written(tmp_path, samples)
    assert array.shape is None
    for row, sample in enumerate(samples):
        assert (array.sample(row) == sample).all()
    assert (array.gather(np.array([0, 1])) == np.stack(samples[:2])).all()
    with pytest.raises(UnequalSizesError, match=r"4x4 and 6x3.*preprocessing=default"):
        array.gather(np.array([1, 2]))


def test_an_empty_store_is_legal(tmp_path: Path) -> None:
    assert len(written(tmp_path, [])) == 0


def test_chunks_that_samples_straddle_are_all_checked(tmp_path: Path) -> None:
    samples = noise(3, 1, CHUNK_BYTES // 1000, 1500)
    array = written(tmp_path, samples)
    assert len(array.entry.chunks) == 5
    _flip(tmp_path / "image.bin", CHUNK_BYTES + 5)  # within the first sample, in its second chunk
    with pytest.raises(DamagedStoreError, match=r"image\.bin"):
        array.gather(np.array([0]))
    assert (array.gather(np.array([2])) == samples[2]).all()


def test_workers_map_a_store_again_instead_of_getting_it(tmp_path: Path) -> None:
    samples = noise(4, 1, 100, 100)
    sent = pickle.dumps(written(tmp_path, samples))
    assert len(sent) < 2_000
    assert (pickle.loads(sent).gather(np.array([3])) == samples[3]).all()


@pytest.fixture
def store(make_task) -> Path:
    task = make_task(task_type=TaskType.SEGMENTATION, samples=6, size=(5, 4))
    prepare_task(task, SHIPPED["none"])
    return task.data / "preprocessed" / "none" / "toy"


@pytest.mark.parametrize("file", ["image.bin", "mask.bin"])
def test_any_flipped_byte_is_found_before_it_is_used(store: Path, file: str) -> None:
    for offset in range((store / file).stat().st_size):
        _flip(store / file, offset)
        opened = Store.open(store)
        array = opened.images if file == "image.bin" else opened.masks
        with pytest.raises(DamagedStoreError, match=str(store)):
            array.gather(np.arange(6))
        with pytest.raises(DamagedStoreError):
            opened.verify()
        _flip(store / file, offset)
    Store.open(store).verify()


@pytest.mark.parametrize("file", ["image.bin", "mask.bin", MANIFEST])
def test_a_store_that_was_cut_at_any_byte_is_not_opened(store: Path, file: str) -> None:
    content = (store / file).read_bytes()
    for length in range(len(content) - (file == MANIFEST)):  # the manifest's last byte is a line feed
        (store / file).write_bytes(content[:length])
        with pytest.raises(DamagedStoreError, match="mml run --mode=preprocess"):
            Store.open(store)


def test_a_flipped_bit_in_the_manifest_is_found(store: Path) -> None:
    content = (store / MANIFEST).read_bytes()
    for offset in range(len(content) - 1):
        _flip(store / MANIFEST, offset)
        with pytest.raises(DamagedStoreError):
            Store.open(store)
        _flip(store / MANIFEST, offset)
    assert (store / MANIFEST).read_bytes() == content


def test_a_missing_file_is_named(store: Path) -> None:
    (store / "mask.bin").unlink()
    with pytest.raises(DamagedStoreError, match=r"mask\.bin"):
        Store.open(store)


def test_a_damaged_index_of_unequal_sizes_is_found(make_task) -> None:
    task = make_task(unequal=True)
    prepare_task(task, SHIPPED["none"])
    folder = task.data / "preprocessed" / "none" / "toy"
    _flip(folder / "image.index.npy", 200)
    with pytest.raises(DamagedStoreError, match=r"image\.index\.npy"):
        Store.open(folder)


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
