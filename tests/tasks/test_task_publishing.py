"""A folder appears whole or not at all, whoever is killed or makes it at the same time."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from _task_fixtures import fill_colours, manager
from PIL import Image

from mml_core.storage.errors import WriteFailedError
from mml_core.storage.hashing import sha256_file
from mml_core.tasks import publishing as module
from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.creation import create_task, import_task
from mml_core.tasks.datasets import create_dataset, verify_dataset
from mml_core.tasks.errors import CreationError
from mml_core.tasks.finishing import CreationOptions
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.publishing import publishing

HERE = Path(__file__).parent

KILL_AT = """
import os, signal, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from PIL import Image
from _task_fixtures import manager
from mml_core.tasks.datasets import create_dataset
real, left = Image.Image.save, [{images}]
def save(self, path, *args, **kwargs):
    if left[0] == 0:
        path.write_bytes(b"half an ima")
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    real(self, path, *args, **kwargs)
Image.Image.save = save
create_dataset(manager().datasets.get("paint"), Path({data!r}))
"""

KILL_TASK = """
import os, signal, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from _task_fixtures import manager
from mml_core.tasks.creation import create_task
def progress(done, total):
    os.kill(os.getpid(), signal.SIGKILL)
create_task(manager().tasks.get("colours"), Path({data!r}), progress=progress)
"""

CREATE = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from _task_fixtures import manager
from mml_core.tasks.datasets import create_dataset
print(create_dataset(manager().datasets.get("paint"), Path({data!r})).created)
"""


def start(code, **values):
    text = code.format(here=str(HERE), **values)
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("images", [0, 1, 11, 23])
def test_g16_a_kill_at_an_image_leaves_nothing_and_the_next_run_completes(tmp_path, images):
    killed = start(KILL_AT, data=str(tmp_path), images=images)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "datasets" / "paint").exists()
    assert create_dataset(manager().datasets.get("paint"), tmp_path).created
    assert verify_dataset(tmp_path / "datasets" / "paint") == []
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["paint"]


def test_g16_a_kill_while_a_task_is_checked_leaves_nothing(tmp_path):
    plugins = manager()
    create_dataset(plugins.datasets.get("paint"), tmp_path)
    killed = start(KILL_TASK, data=str(tmp_path))
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "tasks" / "colours").exists()
    assert create_task(plugins.tasks.get("colours"), tmp_path).created
    assert [path.name for path in (tmp_path / "tasks").iterdir()] == ["colours"]


def test_g16_of_several_at_once_one_creates_and_the_others_use_it(tmp_path):
    processes = [start(CREATE, data=str(tmp_path)) for _ in range(4)]
    answers = [process.communicate()[0].strip() for process in processes]
    assert sorted(answers) == ["False", "False", "False", "True"]
    assert verify_dataset(tmp_path / "datasets" / "paint") == []


def test_g16_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="in the middle"), publishing(tmp_path / "x") as private:
        (private / "file").write_text("x")
        raise RuntimeError("in the middle")
    assert list(tmp_path.iterdir()) == []


def test_what_is_replaced_stays_until_the_new_one_is_finished(tmp_path):
    with publishing(tmp_path / "x") as private:
        (private / "old").write_text("")
    with publishing(tmp_path / "x", replace=True) as private:
        assert (tmp_path / "x" / "old").exists()
        (private / "new").write_text("")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_g16_what_is_replaced_is_never_missing(tmp_path, monkeypatch):
    with publishing(tmp_path / "x") as private:
        (private / "old").write_text("")
    real = Path.rename
    there = []

    def rename(path, target):
        made = real(path, target)
        there.append((tmp_path / "x").exists())
        return made

    monkeypatch.setattr(Path, "rename", rename)
    with publishing(tmp_path / "x", replace=True) as private:
        if not module.exchange(private, private):
            pytest.skip("this file system cannot swap two names")
        (private / "new").write_text("")
    assert all(there)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["new"]


def test_g14_a_full_disk_is_named(tmp_path):
    with pytest.raises(WriteFailedError, match="x': no space left"), publishing(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteFailedError, match="a file lies where a folder is needed"):
        publishing(tmp_path / "file" / "x").__enter__()
    with pytest.raises(CreationError, match="file is no folder"):
        publishing(tmp_path / "file").__enter__()


def test_a_file_elsewhere_that_cannot_be_read_is_not_taken_for_the_disk(tmp_path):
    with pytest.raises(PermissionError), publishing(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "no", "/elsewhere/source.png")


def test_a_replacement_killed_between_its_renames_is_undone(tmp_path):
    (tmp_path / f".x.{'0' * 16}.replaced").mkdir()
    (tmp_path / f".x.{'0' * 16}.replaced" / "old").write_text("")
    (tmp_path / f".x.{'1' * 16}.partial").mkdir()
    with publishing(tmp_path / "x") as private:
        assert private is None
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x" / "old").exists()


def test_names_that_begin_alike_do_not_disturb_each_other(tmp_path):
    (tmp_path / f".x.y.{'1' * 16}.partial").mkdir()
    with publishing(tmp_path / "x") as private:
        fill_colours(private, tmp_path)
    assert (tmp_path / f".x.y.{'1' * 16}.partial").exists()
    assert (tmp_path / "x" / "red").is_dir()


def paint(folder, colour):
    """What an importer does: fill a folder with images, and describe them."""
    builder = TaskBuilder(name="mine", task_type="classification", dataset="mine", dataset_root=folder)
    builder.describe(idx_to_class=["a", "b"])
    for number in range(4):
        Image.new("RGB", (2, 2), (colour, number, 0)).save(folder / f"{number}.png")
        builder.add(sample_id=str(number), image=f"{number}.png", label=number % 2)
    return builder


def imported(data, colour, *, force=False):
    return import_task(
        lambda folder: paint(folder, colour), "mine", data, CreationOptions(num_folds=2, force=force)
    )


def check_images(data):
    """A task that can be seen is over the images it was made of; tell whether there is one."""
    if "mine" not in TaskIndex(data):
        return False
    task = TaskIndex(data).get("mine")
    for row in range(4):
        sample = task.samples.row(row)
        assert sha256_file(task.dataset_root / sample["image"]) == sample["sha256"]
    return True


def killed_at(point, work):
    """Run ``work`` in a process that dies at its ``point``-th change of names; tell whether it died."""
    child = os.fork()
    if child == 0:
        left = [point]

        def deadly(real):
            def call(*args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        for name in ("rename", "link", "rmdir", "mkdir"):
            setattr(os, name, deadly(getattr(os, name)))
        module.exchange = deadly(module.exchange)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.parametrize("can_swap", [True, False])
def test_g16_a_forced_import_killed_anywhere_never_shows_a_task_over_other_images(
    tmp_path, monkeypatch, can_swap
):
    if not can_swap:
        monkeypatch.setattr(module, "exchange", lambda first, second: False)
    point, killed = 0, True
    while killed:
        point += 1
        data = tmp_path / str(point)
        imported(data, 10)
        killed = killed_at(point, lambda data=data: imported(data, 20, force=True))
        check_images(data)
        imported(data, 30)  # the user tries again, and is told that there is a task, or gets one
        assert check_images(data)
        assert verify_dataset(data / "datasets" / "mine") == []
        imported(data, 40, force=True)
        assert [path.name for path in data.glob("*/*") if path.is_dir()] == ["mine", "mine"]
    assert point > 8


def test_an_import_that_fails_at_the_last_moment_leaves_what_was_there(tmp_path, monkeypatch):
    imported(tmp_path, 10)

    def full(private, final):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "_put_in_place", full)
    with pytest.raises(WriteFailedError, match="no space left"):
        imported(tmp_path, 20, force=True)
    assert check_images(tmp_path)


def test_a_task_over_other_images_or_none_is_imported_anew(tmp_path):
    for harm in ("mine", "other"):
        data = tmp_path / harm
        imported(data, 10)
        (data / "datasets" / "mine").rename(data / "away")
        if harm == "other":
            imported(tmp_path / "others", 20)
            (tmp_path / "others" / "datasets" / "mine").rename(data / "datasets" / "mine")
        assert imported(data, 30).created
        assert check_images(data)


def test_a_folder_of_downloads_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "sources").write_text("")
    with pytest.raises(WriteFailedError, match=r"sources/paint': not a directory; a file lies where"):
        create_dataset(manager().datasets.get("paint"), tmp_path)
