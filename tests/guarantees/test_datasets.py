"""Datasets are published whole or not at all, by the real command, killed at any image."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

from mml_core.storage.hashing import sha256_file
from mml_core.tasks.datasets import verify_dataset

Tell = Callable[[str], None]

CREATE = ("run", "--mode=create", "--tasks=dots", "mode.num_folds=2")
IMAGES = 12


def hashes(lab: Any) -> dict[str, str]:
    """What is published: every file of datasets and tasks, without the task's time of creation."""
    places = [lab.project.data / name for name in ("datasets", "tasks")]
    files = [path for place in places for path in sorted(place.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(lab.project.data)): sha256_file(path) for path in files if path.suffix != ".json"
    }


def kill_at_images(lab: Any, images: list[int], again: str, tell: Tell) -> None:
    """Kill a creation at some images, create again, and compare."""
    assert lab.process(*CREATE, "--proj=whole").code == 0
    whole = hashes(lab)
    assert len(whole) == IMAGES + 1
    for image in images:
        for name in ("datasets", "tasks"):
            (lab.project.data / name).rename(lab.project.root / f"{name}-{image}")
        options = (f"--proj=p{image}",)
        killed = lab.process(*CREATE, *options, env={"LAB_IMAGES": str(image)})
        assert killed.code == -signal.SIGKILL, killed
        assert not (lab.project.data / "datasets" / "dots").exists()
        made = lab.process(*CREATE, *options, *([again] if again else []))
        assert made.code == 0, made
        assert verify_dataset(lab.project.data / "datasets" / "dots") == []
        assert hashes(lab) == whole
        assert [path.name for path in (lab.project.data / "datasets").iterdir()] == ["dots"]
    tell(f"{len(images)} kill points of {IMAGES}")


@pytest.mark.parametrize("again", ["", "--continue"])
def test_g16_a_creation_killed_at_an_image_is_completed_by_the_next(
    lab: Any, again: str, chance: random.Random, tell: Tell
) -> None:
    """SIGKILL in the middle of an image; a second run, or the first continued, publishes all of it."""
    kill_at_images(lab, [chance.randrange(IMAGES)], again, tell)


@pytest.mark.long
def test_g16_a_creation_killed_at_any_image_is_completed_by_the_next(lab: Any, tell: Tell) -> None:
    """The same at every image."""
    kill_at_images(lab, list(range(IMAGES)), "--continue", tell)
