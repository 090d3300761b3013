"""The model of the disk: what a power loss leaves of what a process really did."""

from __future__ import annotations

import pytest

from mml_core.testing.crash.backends import BackendError, choose_backend
from mml_core.testing.crash.disk import Disk, Folder, folder_of
from mml_core.testing.crash.states import Loss, State, put, state_after
from mml_core.testing.crash.trial import Trial

HEAD = """
import os, pathlib, sys
root = pathlib.Path(sys.argv[1]) / "results"
def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
"""


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """Run a script in place of mml, and return its root and the disk as its barriers tell it."""
    try:
        backend = choose_backend("preload")
    except BackendError as error:
        pytest.skip(str(error))

    def run(script, prepared=None):
        monkeypatch.setattr("mml_core.testing.crash.trial.COMMAND", HEAD + script)
        trial = Trial(tmp_path / "trial", backend)
        results = tmp_path / "prepared"
        results.mkdir()
        for name, text in (prepared or {}).items():
            (results / name).write_text(text)
        trial.fill(tmp_path / "none", results)
        parts = {"results": folder_of(results), "work": Folder()}
        ended = trial.run([str(trial.root)], timeout=60, with_data=True)
        assert ended.code == 0, ended.err
        return trial.root, Disk(trial.root, Folder(parts, dict(parts)), ended.barriers)

    return run


def left(disk, loss, tmp_path):
    """What a power loss after everything leaves in the folder of results."""
    last = max([change.barrier.number for change in disk.changes] + disk.forced)
    put(disk, state_after(disk, last, loss, seed=1), tmp_path / "state")
    results = tmp_path / "state" / "results"
    return {path.name: path.read_text() for path in results.iterdir() if path.is_file()}


def test_without_a_power_loss_the_disk_is_what_it_really_is(replay, tmp_path):
    root, disk = replay(
        """
(root / "folder").mkdir()
with (root / "folder" / "file").open("w") as file:
    file.write("one two three")
    file.flush()
    file.seek(4)
    file.write("six")
    file.truncate(9)
os.link(root / "folder" / "file", root / "linked")
(root / "linked").write_text("changed under both names")
(root / "kept").rename(root / "folder" / "moved")
(root / "folder").rename(root / "renamed")
(root / "gone").unlink()
os.posix_fallocate(os.open(root / "room", os.O_CREAT | os.O_WRONLY), 0, 10)
""",
        {"kept": "as it was", "gone": "soon"},
    )
    put(disk, State(10**6, Loss.ALL, frozenset(disk.changes)), tmp_path / "state")
    assert tree(tmp_path / "state") == tree(root)
    one, other = (tmp_path / "state" / "results" / name for name in ("linked", "renamed/file"))
    assert one.samefile(other)


def tree(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


WRITE = """
path, final = root / "private", root / "final"
file = path.open("w")
file.write("text")
file.flush()
"""


@pytest.mark.parametrize(
    ("rest", "everything_unsafe_is_lost", "names_are_left"),
    [
        ("", {}, {"private": ""}),
        ("os.fsync(file.fileno())", {}, {"private": "text"}),
        ("os.fsync(file.fileno()); sync(root)", {"private": "text"}, {"private": "text"}),
        ("sync(root); path.rename(final)", {"private": ""}, {"final": ""}),
        ("path.rename(final); sync(root)", {"final": ""}, {"final": ""}),
        ("os.fsync(file.fileno()); path.rename(final)", {}, {"final": "text"}),
        ("os.fsync(file.fileno()); path.rename(final); sync(root)", {"final": "text"}, {"final": "text"}),
    ],
)
def test_only_what_was_forced_to_the_disk_survives_for_certain(
    replay, tmp_path, rest, everything_unsafe_is_lost, names_are_left
):
    _, disk = replay(WRITE + rest)
    assert left(disk, Loss.ALL, tmp_path) == everything_unsafe_is_lost
    assert left(disk, Loss.DATA, tmp_path) == names_are_left
