"""A folder appears whole or not at all, whoever is killed or makes it at the same time."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from _task_fixtures import fill_colours, manager

from mml_core.tasks.creation import create_task
from mml_core.tasks.datasets import create_dataset, verify_dataset
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
def test_a_kill_at_an_image_leaves_nothing_and_the_next_run_completes(tmp_path, images):
    killed = start(KILL_AT, data=str(tmp_path), images=images)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "datasets" / "paint").exists()
    assert create_dataset(manager().datasets.get("paint"), tmp_path).created
    assert verify_dataset(tmp_path / "datasets" / "paint") == []
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["paint"]


def test_a_kill_while_a_task_is_checked_leaves_nothing(tmp_path):
    plugins = manager()
    create_dataset(plugins.datasets.get("paint"), tmp_path)
    killed = start(KILL_TASK, data=str(tmp_path))
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "tasks" / "colours").exists()
    assert create_task(plugins.tasks.get("colours"), tmp_path).created
    assert [path.name for path in (tmp_path / "tasks").iterdir()] == ["colours"]


def test_of_several_at_once_one_creates_and_the_others_use_it(tmp_path):
    processes = [start(CREATE, data=str(tmp_path)) for _ in range(4)]
    answers = [process.communicate()[0].strip() for process in processes]
    assert sorted(answers) == ["False", "False", "False", "True"]
    assert verify_dataset(tmp_path / "datasets" / "paint") == []


def test_an_error_leaves_nothing(tmp_path):
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
