"""What splits, folds and tasks share is found: equal files, images that look the same, and subjects."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data as photos

from mml_core.plugins import PluginManager
from mml_core.storage import atomic
from mml_core.tasks import image_hashes
from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.creation import import_task
from mml_core.tasks.finishing import CreationOptions
from mml_core.tasks.image_hashes import HashCache, hash_image
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.near_duplicates import near_images, near_pairs
from mml_core.tasks.overlaps import find_overlaps

pytest_plugins = ["mml_core.testing.fixtures"]

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins", "page", "moon", "brick", "grass")


def photo(name: str, size: int = 128) -> Image.Image:
    return Image.fromarray(getattr(photos, name)()).resize((size, size))


def as_array(image: Image.Image) -> np.ndarray:
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array


def saved_again(image: Image.Image, folder) -> Image.Image:
    image.save(folder / "again.jpg", quality=60)
    return Image.open(folder / "again.jpg")


@pytest.mark.parametrize("name", NAMES)
def test_a_photograph_resembles_its_copies_and_no_other(name, tmp_path):
    original = photo(name)
    copies = [
        saved_again(original, tmp_path),
        original.resize((97, 75)),
        original.point(lambda value: int(value * 0.85 + 10)),
        original.convert("L"),
    ]
    others = [photo(other) for other in NAMES if other != name]
    images = np.array([hash_image(as_array(each)) for each in (original, *copies, *others)])
    near = {tuple(pair) for pair in near_images(images).tolist()}
    assert {(0, 1), (0, 2), (0, 3), (0, 4)} <= near
    assert all(right <= len(copies) for _, right in near)


def test_sixteen_bits_look_like_eight(tmp_path):
    array = as_array(photo("moon"))
    wide = array.astype(np.uint16) * 257
    assert hash_image(wide) == hash_image(array)


def test_images_without_contrast_resemble_none():
    flat = np.array([hash_image(np.full((8, 8, 1), value, np.uint8)) for value in (0, 0, 255)])
    assert len(near_images(flat)) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 8), st.integers(0, 2**32), st.integers(0, 12))
def test_near_pairs_are_those_of_a_comparison_of_all_with_all(distance, seed, flips):
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, 60, dtype=np.uint64)
    for row in range(20):  # neighbours of some, at all distances
        for bit in random.choice(64, flips, replace=False):
            hashes[row + 20] = hashes[row] ^ np.uint64(1 << int(bit))
            hashes[row] = hashes[row + 20]
    hashes[50:] = hashes[49]
    found = [tuple(pair) for pairs in near_pairs(hashes, distance) for pair in pairs.tolist()]
    expected = {
        (left, right)
        for left in range(60)
        for right in range(left + 1, 60)
        if (int(hashes[left]) ^ int(hashes[right])).bit_count() <= distance
    }
    assert len(found) == len(set(found))
    assert set(found) == expected


@pytest.fixture
def library(mml_project):
    return Library(mml_project.data)


class Library:
    """A data folder with tasks of photographs."""

    def __init__(self, data):
        self.data = data

    def add(self, task, rows, *, on_leakage="warn"):
        """A task; of each row: image (a name or a picture), split, fold, and subject."""

        def fill(folder) -> TaskBuilder:
            builder = TaskBuilder(name=task, task_type="classification", dataset=task, dataset_root=folder)
            builder.describe(idx_to_class=["a", "b"])
            for number, (image, split, fold, subject) in enumerate(rows):
                picture = photo(image, 64) if isinstance(image, str) else image
                picture.save(folder / f"{number}.png")
                builder.add(
                    sample_id=f"{task}{number}",
                    image=f"{number}.png",
                    label=number % 2,
                    split=split,
                    fold=fold,
                    group=subject,
                )
            return builder

        import_task(fill, task, self.data, CreationOptions(on_leakage=on_leakage, force=True))
        return self.get(task)

    def get(self, name):
        return TaskIndex(self.data).get(name, plugins=PluginManager(builtin=True))


CLEAN = [
    ("astronaut", "train", 0, "p0"),
    ("chelsea", "train", 0, "p1"),
    ("coffee", "train", 1, "p2"),
    ("rocket", "train", 1, "p3"),
    ("camera", "test", None, "p4"),
    ("coins", "unlabelled", None, "p0"),
]


def lines(*tasks, hashes=None):
    return [str(overlap) for overlap in find_overlaps(tasks, hashes)]


def test_a_task_with_disjoint_splits_and_folds_has_no_overlap(library):
    task = library.add("clean", CLEAN)
    assert lines(task, hashes={"clean": HashCache(library.data).get(task)}) == []


def test_what_splits_and_folds_share_is_named_with_samples(library):
    brighter = photo("chelsea", 64).point(lambda value: int(value * 0.9))
    rows = [
        *CLEAN,
        ("astronaut", "train", 1, "p5"),
        ("coffee", "test", None, "p6"),
        (brighter, "test", None, "p3"),
    ]
    task = library.add("leaky", rows)
    assert lines(task, hashes={"leaky": HashCache(library.data).get(task)}) == [
        "1 image in two folds of 'leaky' (leaky0 = leaky6)",
        "1 image in train of 'leaky' and test of 'leaky' (leaky2 = leaky7)",
        "1 pair of similar images in train of 'leaky' and test of 'leaky' (leaky1 = leaky8)",
        "1 subject in train of 'leaky' and test of 'leaky' (p3)",
    ]


def test_other_tasks_are_compared_by_their_images_and_not_by_names_of_subjects(library):
    one = library.add("one", CLEAN)
    other = library.add(
        "other",
        [
            ("camera", "train", 0, "p0"),
            ("page", "train", 0, "p1"),
            ("moon", "train", 1, "p2"),
            ("coins", "test", None, "p3"),
            ("rocket", "test", None, "p4"),
        ],
    )
    assert lines(one, other) == [
        "1 image in train of 'one' and test of 'other' (one3 = other4)",
        "1 image in test of 'one' and train of 'other' (one4 = other0)",
    ]


def test_tags_decide_what_is_compared(library):
    library.add("leaky", [*CLEAN, ("astronaut", "train", 2, "p7"), ("brick", "train", 2, "p8")])
    assert lines(library.get("leaky")) == ["1 image in two folds of 'leaky' (leaky0 = leaky6)"]
    assert lines(library.get("leaky+nested?2")) == [
        "1 image in train of 'leaky+nested?2' and test of 'leaky+nested?2' (leaky0 = leaky6)"
    ]
    assert lines(library.get("leaky+duplicate?3")) == [
        "1 image in two folds of 'leaky+duplicate?3' (leaky0 = leaky6)"
    ]


def test_images_are_hashed_once_whatever_becomes_of_the_cache(library, monkeypatch):
    monkeypatch.setattr(image_hashes, "_CHUNK", 4)
    task = library.add("clean", CLEAN)
    read = []
    monkeypatch.setattr(
        image_hashes, "read_image", lambda path, real=image_hashes.read_image: read.append(path) or real(path)
    )
    cache = HashCache(library.data)
    assert cache.cached(task) is None
    first = cache.get(task)
    assert len(read) == len(first) == 6
    assert cache.get(task).tobytes() == first.tobytes()
    assert len(read) == 6
    one, other = sorted(
        path for path in (library.data / "cache" / "image_hashes").rglob("*") if path.is_file()
    )
    content = bytearray(one.read_bytes())
    content[40] ^= 1
    one.write_bytes(content)
    assert cache.missing(task) == 4
    assert cache.get(task).tobytes() == first.tobytes()
    assert len(read) == 10
    other.unlink()
    assert cache.get(task).tobytes() == first.tobytes()
    assert len(read) == 12
    assert cache.get(library.get("clean+duplicate?2")).tobytes() == first.repeat(2).tobytes()
    assert len(read) == 12


def test_a_killed_writer_of_the_cache_leaves_nothing_that_counts(library, monkeypatch):
    task = library.add("clean", CLEAN)
    monkeypatch.setattr(atomic, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    assert len(HashCache(library.data).get(task)) == 6


def test_an_image_that_cannot_be_read_resembles_none(library):
    task = library.add("clean", CLEAN)
    (task.dataset_root / "0.png").write_bytes(b"gone")
    assert lines(task, hashes={"clean": HashCache(library.data).get(task)}) == []


def test_the_command_prints_what_it_finds_and_says_so_by_its_code(library, mml):
    library.add("clean", CLEAN)
    found = mml("tasks", "leakage")
    assert (found.code, found.out) == (0, "Nothing is shared by the splits and folds of clean.\n")
    library.add("leaky", [*CLEAN, ("astronaut", "test", None, "p9")])
    found = mml("tasks", "leakage", "leaky", "--exact", "--json")
    assert found.code == 1
    assert json.loads(found.out) == [
        {
            "found": "same image",
            "left": "leaky train",
            "right": "leaky test",
            "count": 1,
            "examples": ["leaky0 = leaky6"],
        }
    ]
    assert mml("tasks", "leakage").out.splitlines()[1].split()[:3] == ["same", "image", "clean"]


@pytest.mark.parametrize(
    ("arguments", "says"), [(["lost"], "'lost'"), (["--distance", "9"], "--distance 9 has to be from 0 to 8")]
)
def test_misuse_is_one_line(library, mml, arguments, says):
    library.add("clean", CLEAN)
    refused = mml("tasks", "leakage", *arguments)
    assert refused.code == 2
    assert says in refused.err and refused.err.count("\n") == 1
