"""The index finds what is installed, whatever became of its cache, and names what is near what is not."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from mml_core.tasks.description import RAW
from mml_core.tasks.errors import DamagedTaskError, UnknownTaskError
from mml_core.tasks.index import TaskIndex


def install(data, name, **changes):
    source = data / "tasks" / "colours"
    target = data / "tasks" / name
    target.mkdir(parents=True)
    header = msgspec.json.decode((source / "task.json").read_bytes())
    (target / "task.json").write_bytes(msgspec.json.encode({**header, "name": name, **changes}))
    os.link(source / "samples.arrow", target / "samples.arrow")


def settle(data):
    """Let headers look older than what the index takes to be still changing."""
    for path in data.glob("tasks/*/task.json"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def test_an_empty_or_missing_data_folder_has_no_tasks(tmp_path):
    index = TaskIndex(tmp_path / "nothing")
    assert index.names() == []
    assert index.headers() == {}
    assert not (tmp_path / "nothing").exists()


def test_names_headers_and_descriptions(colours):
    install(colours, "shades")
    index = TaskIndex(colours)
    assert index.names() == ["colours", "shades"] == list(index)
    assert "shades" in index
    assert index.headers()["shades"].idx_to_class == {"0": "red", "1": "green"}
    task = index.get("colours")
    assert len(task.samples) == 24
    assert (task.dataset_root / task.samples.text("image", 0)).is_file()


@pytest.mark.parametrize("damage", ["delete", "empty", "cut", "flip table", "flip header", "other file"])
def test_g19_the_cache_is_disposable(colours, damage):
    for name in ("a", "b", "c"):
        install(colours, name)
    settle(colours)
    expected = TaskIndex(colours).headers()
    cache = colours / "cache" / "tasks.index"
    data = cache.read_bytes()
    if damage == "delete":
        cache.unlink()
    else:
        flipped = {"flip table": 40, "flip header": len(data) - 40}
        place = flipped.get(damage, 0)
        cache.write_bytes(
            {"empty": b"", "cut": data[: len(data) // 2], "other file": b"PK" * 500}.get(
                damage, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            )
        )
    assert TaskIndex(colours).headers() == expected


def test_a_warm_start_reads_no_header(colours, monkeypatch):
    install(colours, "a")
    settle(colours)
    TaskIndex(colours).names()
    opened = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **kw: opened.append(str(path)) or real(path, *rest, **kw)
    )
    assert len(TaskIndex(colours).headers()) == 2
    assert not [path for path in opened if path.endswith("task.json")]


def test_a_changed_header_is_seen_though_its_size_is_the_same(colours):
    index = TaskIndex(colours)
    assert index.get("colours").license == "CC0"
    path = colours / "tasks" / "colours" / "task.json"
    path.write_bytes(path.read_bytes().replace(b'"CC0"', b'"MIT"'))
    assert index.get("colours").license == "MIT"
    assert TaskIndex(colours).headers()["colours"].license == "MIT"


def test_tasks_that_come_and_go_are_seen(colours):
    TaskIndex(colours).names()
    install(colours, "late")
    assert TaskIndex(colours).names() == ["colours", "late"]
    (colours / "tasks" / "colours").rename(colours / "gone")
    assert TaskIndex(colours).names() == ["late"]


def test_one_damaged_task_does_not_hide_the_others(colours):
    install(colours, "broken")
    (colours / "tasks" / "broken" / "task.json").write_text("{")
    install(colours, "misnamed")
    (colours / "tasks" / "misnamed").rename(colours / "tasks" / "renamed")
    index = TaskIndex(colours)
    assert list(index.headers()) == ["colours"]
    assert set(index.problems()) == {"broken", "renamed"}
    with pytest.raises(DamagedTaskError, match="is that of 'misnamed'"):
        index.get("renamed")


def test_one_odd_folder_does_not_hide_the_others(colours):
    odd = {name: colours / "tasks" / name / "task.json" for name in ("folder", "loop", "pipe")}
    for path in odd.values():
        path.parent.mkdir()
    odd["folder"].mkdir()
    odd["loop"].symlink_to("task.json")
    os.mkfifo(odd["pipe"])
    index = TaskIndex(colours)
    assert index.names() == ["colours", "folder", "loop", "pipe"]
    assert list(index.headers()) == ["colours"]
    assert list(index.problems()) == ["folder", "loop", "pipe"]
    with pytest.raises(DamagedTaskError, match=r"folder/task\.json cannot be read \(Is a directory\)"):
        index.get("folder")


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be made read-only there")
def test_g15_a_read_only_data_folder_works(colours, monkeypatch):
    # Root may write anywhere, so a file stands where the cache's folder would be made.
    cache = colours / "cache"
    if cache.exists():
        for path in cache.iterdir():
            path.unlink()
        cache.rmdir()
    cache.write_text("")
    assert list(TaskIndex(colours).headers()) == ["colours"]


def test_an_unknown_task_names_what_is_near(tmp_path, colours, plugins):
    install(colours, "shades")
    with pytest.raises(UnknownTaskError, match="Did you mean 'shades'"):
        TaskIndex(colours).get("shade", plugins=plugins)
    with pytest.raises(UnknownTaskError, match="Did you mean 'colours'"):
        TaskIndex(tmp_path / "empty").get("colour", plugins=plugins)
    with pytest.raises(UnknownTaskError, match="--mode=create --tasks colours"):
        TaskIndex(tmp_path / "empty").get("colours", plugins=plugins)


def test_preprocessed_variants(colours):
    target = colours / "preprocessed" / "small" / "colours"
    target.mkdir(parents=True)
    header = (colours / "tasks/colours/task.json").read_bytes()
    (target / "task.json").write_bytes(header.replace(b'"none"', b'"small"'))
    os.link(colours / "tasks/colours/samples.arrow", target / "samples.arrow")
    index = TaskIndex(colours)
    assert index.variants("colours+identity") == ["small"] == index.preprocessings()
    assert index.get("colours", preprocessing="small").preprocessing == "small"
    assert index.get("colours", preprocessing=RAW).preprocessing == "none"
    with pytest.raises(UnknownTaskError, match="--mode=preprocess --tasks colours"):
        index.get("colours", preprocessing="large")


def test_the_index_imports_nothing_heavy():
    code = (
        "import sys, pathlib; from mml_core.tasks.index import TaskIndex; "
        "TaskIndex(pathlib.Path('/nowhere')).names(); "
        "print(sorted({'torch', 'pandas', 'PIL', 'pyarrow', 'lightning'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
