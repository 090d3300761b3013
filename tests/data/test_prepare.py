"""Making stores: whole or not at all, kept while they are up to date, equal however they were made."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mml_core.data.errors import ChangedSourceError
from mml_core.data.pixel_sums import PixelSums
from mml_core.data.prepare import prepare_task
from mml_core.data.prepared import find_store
from mml_core.data.preprocessing import SHIPPED, Preprocessing
from mml_core.data.store import Store
from mml_core.storage.leases import Lease, LeaseHeldError
from mml_core.tasks.description import TaskDescription, TaskType
from mml_core.tasks.errors import ImageError
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.samples import SampleTable

SIZE32 = SHIPPED["size32"]


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def folder_of(task: TaskDescription, prep_id: str = "size32") -> Path:
    return task.data / "preprocessed" / prep_id / task.name


def test_a_preprocessed_task_is_found_by_the_index(make_task) -> None:
    task = make_task(channels=3, unequal=True)
    prepare_task(task, Preprocessing(id="grey", height=6, width=8, channels="grey"))
    prep_id = Preprocessing(id="grey", height=6, width=8, channels="grey").prep_id
    found = TaskIndex(task.data).get("toy", preprocessing=prep_id)
    assert (found.channels, found.sizes.max_height, found.sizes.min_width) == (1, 6, 8)
    assert found.preprocessing == prep_id
    found.verify()
    assert found.samples.column("sample_id").equals(task.samples.column("sample_id"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("extent", [(1, 1), (16, 16), (7, 9), (1025, 1025)])
def test_sums_over_the_brightest_pixels_are_exact(dtype, extent) -> None:
    image = np.full((2, *extent), np.iinfo(dtype).max, dtype=dtype)
    image[:, 0, 0] -= 1
    pixels, unit = extent[0] * extent[1], 257 if dtype is np.uint8 else 1
    expected = PixelSums(
        [65535 * pixels - unit] * 2, [65535**2 * (pixels - 1) + (65535 - unit) ** 2] * 2, pixels
    )
    assert PixelSums.of(image) == expected


def test_sums_over_many_images_are_those_over_each() -> None:
    rng = np.random.default_rng(0)
    extents = [(9, 8)] * 5 + [(300, 301)] * 4 + [(1, 1), (9, 8), (512, 600)]
    images = [rng.integers(0, 256, (3, *extent)).astype(np.uint8) for extent in extents]
    images += [rng.integers(0, 2**16, (1, 9, 8)).astype(np.uint16) for _ in range(3)]
    for image, found in zip(images, PixelSums.of_each(images), strict=True):
        exact = image.reshape(len(image), -1).astype(object) * (257 if image.dtype == np.uint8 else 1)
        assert found == (exact.sum(1).tolist(), (exact**2).sum(1).tolist(), exact.shape[1])


def test_the_header_states_the_statistics_of_the_preprocessed_training_samples(make_task) -> None:
    task = make_task(task_type=TaskType.SEGMENTATION, channels=3)
    prepare_task(task, SIZE32)
    header = TaskIndex(task.data).get("toy", preprocessing="size32").header
    store = Store.open(folder_of(task))
    train = task.samples.indices("train")
    pixels = store.images.gather(train).astype(np.float64) / 255
    assert header.means == pytest.approx(pixels.mean(axis=(0, 2, 3)))
    assert header.stds == pytest.approx(pixels.std(axis=(0, 2, 3)))
    counts = np.bincount(store.masks.gather(train).ravel())
    assert list(header.class_counts.values()) == counts.tolist()


def test_statistics_of_untouched_images_stay_those_of_the_task(make_task) -> None:
    task = make_task()
    prepare_task(task, SHIPPED["none"])
    _, header = find_store(task.data, task.header, SHIPPED["none"])
    assert (header.means, header.stds) == (task.means, task.stds)


def test_a_store_that_is_up_to_date_is_kept(make_task) -> None:
    task = make_task()
    assert prepare_task(task, SIZE32).outcome == "made"
    before = folder_of(task).stat()
    assert prepare_task(task, SIZE32).outcome == "kept"
    assert folder_of(task).stat() == before


def test_a_store_of_another_sample_table_is_made_anew(make_task) -> None:
    task = make_task()
    prepare_task(task, SIZE32)
    columns = {name: task.samples.column(name).to_pylist() for name in task.samples.column_names}
    columns["sample_id"] = [f"other {name}" for name in columns["sample_id"]]
    digest = SampleTable.write(task.folder / "samples.arrow", columns)
    changed = TaskDescription(task.replace(samples_sha256=digest).header, task.folder, task.data)
    assert find_store(task.data, changed.header, SIZE32) == (None, None)
    assert prepare_task(changed, SIZE32).outcome == "remade"
    assert find_store(task.data, changed.header, SIZE32)[0] is not None


@pytest.mark.parametrize("file", ["image.bin", "manifest.json", "samples.arrow", "task.json"])
def test_a_store_that_lost_a_file_is_made_anew(make_task, file: str) -> None:
    task = make_task()
    prepare_task(task, SIZE32)
    whole = content(folder_of(task))
    (folder_of(task) / file).unlink()
    assert prepare_task(task, SIZE32).outcome == "repaired"
    assert content(folder_of(task)) == whole


def test_the_number_of_threads_changes_no_byte(make_task) -> None:
    task = make_task(task_type=TaskType.SEGMENTATION, samples=60, unequal=True)
    prepare_task(task, SIZE32, workers=1)
    alone = content(folder_of(task))
    for file in folder_of(task).iterdir():
        file.unlink()
    prepare_task(task, SIZE32, workers=4)
    assert content(folder_of(task)) == alone


def test_progress_counts_every_sample(make_task) -> None:
    task = make_task()
    for _ in range(2):  # made, then kept
        done: list[int] = []
        prepare_task(task, SIZE32, advance=done.append)
        assert sum(done) == 20


def test_an_image_that_was_changed_is_named_and_nothing_published(make_task) -> None:
    task = make_task()
    (task.dataset_root / "3.png").write_bytes((task.dataset_root / "4.png").read_bytes())
    with pytest.raises(ChangedSourceError, match=r"3\.png"):
        prepare_task(task, SIZE32, workers=3)
    assert not folder_of(task).exists()


def test_an_image_that_is_missing_is_named(make_task) -> None:
    task = make_task()
    (task.dataset_root / "3.png").unlink()
    with pytest.raises(ImageError, match=r"3\.png"):
        prepare_task(task, SIZE32)


def test_a_live_process_that_makes_the_same_store_is_named(make_task) -> None:
    task = make_task()
    code = (
        "import sys, time; from pathlib import Path; from mml_core.storage.leases import Lease\n"
        "with Lease.acquire(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    lease = folder_of(task).parent / ".toy.lease"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lease)], stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        with pytest.raises(LeaseHeldError, match=str(other.pid)):
            prepare_task(task, SIZE32)
        other.kill()
        other.wait()
    assert prepare_task(task, SIZE32).outcome == "made"


PREPARE = """
import sys
from pathlib import Path
from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED
from mml_core.tasks.index import TaskIndex
task = TaskIndex(Path(sys.argv[1])).get("toy")
print("go", flush=True)
print(prepare_task(task, SHIPPED["size32"]).outcome, flush=True)
"""


def test_g16_a_kill_at_any_moment_leaves_a_whole_store_or_none(make_task) -> None:
    task = make_task(samples=120, task_type=TaskType.SEGMENTATION)
    prepare_task(task, SIZE32)
    whole = content(folder_of(task))
    seed = random.randrange(2**32)
    print(f"seed of the kill points: {seed}")
    generator = random.Random(seed)
    seen = set()
    for _ in range(8):
        for file in folder_of(task).iterdir() if folder_of(task).exists() else ():
            file.unlink()
        with subprocess.Popen(
            [sys.executable, "-c", PREPARE, str(task.data)], stdout=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            time.sleep(generator.uniform(0, 0.08))
            os.kill(process.pid, signal.SIGKILL)
        stored = folder_of(task).exists() and any(folder_of(task).iterdir())
        seen.add(stored)
        if stored:
            assert content(folder_of(task)) == whole
    assert False in seen
    prepare_task(task, SIZE32)
    assert content(folder_of(task)) == whole
    assert sorted(path.name for path in folder_of(task).parent.iterdir() if path.name[0] != ".") == ["toy"]
    assert not [
        path
        for path in folder_of(task).parent.iterdir()
        if path.suffix in (".partial", ".journal", ".outdated")
    ]


def test_a_lease_is_given_back(make_task) -> None:
    task = make_task()
    prepare_task(task, SIZE32)
    with Lease.acquire(folder_of(task).parent / ".toy.lease"):
        pass
