"""A run says, or refuses, what it would evaluate on images and subjects that it trains on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.creation import import_task
from mml_core.tasks.finishing import CreationOptions

pytest_plugins = ["mml_core.testing.fixtures"]

TRAIN = ("run", "--mode=train", "trainer.max_epochs=1", "preprocessing=none", "mode.folds=1")


@pytest.fixture
def add(mml_project):
    """Makes a task of eight training and four test images; some test images are those of other numbers."""

    def make(name: str, *, darker: int | None = None, **same: int) -> None:
        def fill(folder) -> TaskBuilder:
            builder = TaskBuilder(name=name, task_type="classification", dataset=name, dataset_root=folder)
            builder.describe(idx_to_class=["a", "b"])
            for number in range(12):
                seed = same.get(f"s{number}", number + 100 * len(name))
                pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
                if number == darker:
                    first = np.random.default_rng(100 * len(name)).integers(0, 256, (8, 8), dtype=np.uint8)
                    pixels = (first * 0.9).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
                builder.add(
                    sample_id=f"{name}{number}",
                    image=f"{number}.png",
                    label=number % 2,
                    split="train" if number < 8 else "test",
                )
            return builder

        import_task(fill, name, mml_project.data, CreationOptions(num_folds=3, on_leakage="warn"))

    return make


def test_what_leaks_is_a_notice_of_the_run(add, mml):
    add("leaky", s9=505, s5=505)
    trained = mml(*TRAIN, "--tasks=leaky")
    assert trained.code == 0
    says = "trained on: 1 image in train of 'leaky' and test of 'leaky' (leaky5 = leaky9)."
    assert says in trained.err
    shown = mml("runs", "show", mml("runs", "list", "--json").out.split('"run": "')[1].split('"')[0])
    assert "notice: leakage: what is evaluated was " + says in shown.out


def test_stop_refuses_before_there_is_a_run(add, mml, mml_project):
    add("leaky", s9=505, s5=505)
    refused = mml(*TRAIN, "--tasks=leaky", "leakage=stop")
    assert refused.code == 2
    assert "1 image in train of 'leaky' and test of 'leaky'" in refused.err and refused.err.count("\n") == 1
    assert mml_project.runs() == [] and mml_project.files() == {}


@pytest.mark.parametrize("leakage", ["leakage=ignore", "leakage=stop"])
def test_nothing_is_said_where_nothing_leaks_or_it_is_ignored(add, mml, leakage):
    add("tidy", **({"s9": 505, "s5": 505} if leakage == "leakage=ignore" else {}))
    trained = mml(*TRAIN, "--tasks=tidy", leakage)
    assert trained.code == 0
    assert "leakage" not in trained.err


def test_another_word_is_refused(add, mml):
    add("tidy")
    refused = mml(*TRAIN, "--tasks=tidy", "leakage=hide")
    assert refused.code == 2
    assert "leakage is 'hide'; warn, stop or ignore is needed." in refused.err


def test_similar_images_count_once_they_are_hashed(add, mml):
    add("alike", darker=9)
    assert "leakage" not in mml(*TRAIN, "--tasks=alike", "mode.subroutines=[train]").err
    assert mml("tasks", "leakage").code == 1
    trained = mml(*TRAIN, "--tasks=alike", "mode.subroutines=[train]")
    assert "1 pair of similar images in train of 'alike' and test of 'alike' (alike0 = alike9)" in trained.err


def test_tags_decide_what_is_trained_on(add, mml):
    add("leaky", s9=505, s5=505)
    assert mml(*TRAIN, "--tasks=leaky", "--plan", "leakage=stop").code == 2
    assert mml(*TRAIN, "--tasks=leaky+nested?0", "--plan", "leakage=stop").code == 0
