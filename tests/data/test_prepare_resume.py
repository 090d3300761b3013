"""A preprocessing that was killed goes on with the chunk it was at: what is finished is not decoded again."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mml_core.data.prepare import Prepared, prepare_task
from mml_core.data.preprocessing import Preprocessing
from mml_core.tasks.description import TaskDescription, TaskType

# A chunk of a store, 1 MiB, holds four such images.
LARGE = Preprocessing(id="large", height=512, width=512)


class Killed(Exception):
    """What the test raises where a process would have been killed."""


def content(task: TaskDescription) -> dict[str, str]:
    folder = task.data / "preprocessed" / LARGE.prep_id / task.name
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def beside(task: TaskDescription, kind: str) -> Path:
    return task.data / "preprocessed" / LARGE.prep_id / f".{task.name}.{kind}"


def stop_after(samples: int) -> Callable[[int], None]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if done >= samples:
            raise Killed

    return advance


@pytest.fixture(params=[TaskType.CLASSIFICATION, TaskType.SEGMENTATION])
def pair(make_task, request) -> tuple[TaskDescription, dict[str, str]]:
    """A task, and the store of an uninterrupted preprocessing of it."""
    task = make_task(task_type=request.param, samples=12, size=(9, 7), unequal=True)
    prepare_task(task, LARGE)
    expected = content(task)
    return task, expected


def again(task: TaskDescription, **options: int) -> Prepared:
    return prepare_task(task, LARGE, **options)


def interrupted(task: TaskDescription, samples: int) -> None:
    for path in (task.data / "preprocessed" / LARGE.prep_id / task.name).iterdir():
        path.unlink()
    with pytest.raises(Killed):
        prepare_task(task, LARGE, advance=stop_after(samples))


@pytest.mark.parametrize("workers", [1, 3])
def test_finished_chunks_are_not_decoded_again(pair, workers: int) -> None:
    task, expected = pair
    interrupted(task, 9)
    finished = [name for row in range(8) for name in (f"{row}.png", f"{row}.mask.png")]
    for name in finished:  # whoever decoded them again would not find them
        (task.dataset_root / name).unlink(missing_ok=True)
    assert again(task, workers=workers).taken_up == 8
    assert content(task) == expected


def test_progress_counts_what_was_taken_up(pair) -> None:
    task, _ = pair
    interrupted(task, 9)
    done: list[int] = []
    prepare_task(task, LARGE, advance=done.append)
    assert sum(done) == 12


def test_several_interruptions_add_up(pair) -> None:
    task, expected = pair
    interrupted(task, 5)
    with pytest.raises(Killed):
        prepare_task(task, LARGE, advance=stop_after(9))
    assert again(task).taken_up == 8
    assert content(task) == expected


def test_chunks_that_were_damaged_since_are_decoded_again(pair) -> None:
    task, expected = pair
    interrupted(task, 9)
    with (beside(task, "partial") / "image.bin").open("r+b") as file:
        file.seek(5 * 512 * 512)
        byte = file.read(1)[0]
        file.seek(5 * 512 * 512)
        file.write(bytes([byte ^ 1]))
    assert again(task).taken_up == 4
    assert content(task) == expected


@pytest.mark.parametrize("file", ["image.bin", "journal"])
def test_what_a_loss_of_power_cut_off_is_decoded_again(pair, file: str) -> None:
    task, expected = pair
    interrupted(task, 9)
    path = beside(task, "journal") if file == "journal" else beside(task, "partial") / file
    for length in (path.stat().st_size - 1, path.stat().st_size // 2, 0):
        interrupted(task, 9)
        os.truncate(path, length)
        assert again(task).taken_up < 8 or file == "image.bin"
        assert content(task) == expected


@pytest.mark.parametrize(
    "line", ["{}", "[1]", '{"shapes": {"image": [[1, -5, 3]]}, "checksums": {"image": [1]}}', "\x80"]
)
def test_a_journal_with_a_line_of_something_else_is_read_up_to_there(pair, line: str) -> None:
    task, expected = pair
    interrupted(task, 9)
    lines = beside(task, "journal").read_text().splitlines()
    beside(task, "journal").write_text("\n".join([*lines[:2], line, *lines[2:], ""]))
    assert again(task).taken_up == 4
    assert content(task) == expected


def test_samples_of_an_older_version_of_the_task_are_not_taken_up(pair) -> None:
    task, _ = pair
    interrupted(task, 9)
    changed = TaskDescription(task.replace(dataset_sha256="0" * 64).header, task.folder, task.data)
    assert prepare_task(changed, LARGE).taken_up == 0


def test_nothing_of_an_interruption_is_left(pair) -> None:
    task, _ = pair
    interrupted(task, 9)
    assert json.loads(beside(task, "journal").read_text().splitlines()[0])
    again(task)
    assert not beside(task, "journal").exists()
    assert not beside(task, "partial").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import Preprocessing
from mml_core.tasks.index import TaskIndex
done = 0
def advance(count):
    global done
    done += count
    if done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
large = Preprocessing(id="large", height=512, width=512)
prepare_task(TaskIndex(Path(sys.argv[1])).get("toy"), large, workers=2, advance=advance)
"""


def test_g16_a_killed_preprocessing_is_finished_chunk_by_chunk(pair) -> None:
    task, expected = pair
    for path in (task.data / "preprocessed" / LARGE.prep_id / task.name).iterdir():
        path.unlink()
    for samples in (5, 9):
        killed = subprocess.run([sys.executable, "-c", KILLED, str(task.data), str(samples)], check=False)
        assert killed.returncode == -signal.SIGKILL
    assert again(task).taken_up == 8
    assert content(task) == expected


@pytest.mark.parametrize("verify", [False, True])
def test_a_store_is_read_in_full_only_where_that_is_asked_for(pair, verify: bool) -> None:
    task, expected = pair
    path = task.data / "preprocessed" / LARGE.prep_id / task.name / "image.bin"
    damaged = bytearray(path.read_bytes())
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    assert prepare_task(task, LARGE, verify=verify).outcome == ("repaired" if verify else "kept")
    assert (content(task) == expected) is verify
