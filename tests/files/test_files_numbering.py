"""Numbers: unique among processes, the same after a kill, never reused, found without a scan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.files import numbering
from mml_core.files.names import numbered, split_suffix
from mml_core.files.numbering import Numbers, Slot

SLOT = Slot("parameters", "digits")

RESERVER = """
import sys
from pathlib import Path
from mml_core.files.numbering import Numbers, Slot
root, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
numbers = Numbers(root)
sys.stdin.readline()
for step in range(count):
    wanted = [Slot("parameters", "digits")]
    reserved = numbers.reserve(f"{name}/{step}", wanted)
    numbers.advance(wanted, reserved.numbers, 1)
    print(reserved.numbers[0], flush=True)
"""

# Dies at the n-th system call of the kind that changes the disk.
KILLED = """
import os, signal, sys
from pathlib import Path
from mml_core.files.numbering import Numbers, Slot
left = int(sys.argv[2])
def deadly(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
for name in ("link", "fsync", "open", "unlink", "rename", "replace", "mkdir"):
    setattr(os, name, deadly(getattr(os, name)))
wanted = [Slot("parameters", "digits"), Slot("models", "digits"), Slot("parameters", "digits")]
numbers = Numbers(Path(sys.argv[1]))
reserved = numbers.reserve("run/step", wanted)
numbers.advance(wanted, reserved.numbers, 1)
print(reserved.numbers)
"""


def reserve(numbers: Numbers, identity: str, *wanted: Slot) -> list[int]:
    reserved = numbers.reserve(identity, list(wanted))
    numbers.advance(list(wanted), reserved.numbers, 1)
    return reserved.numbers


def test_g18_twenty_processes_never_share_a_number(tmp_path: Path) -> None:
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", RESERVER, str(tmp_path), f"run{number}", "5"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(20)
    ]
    given: list[int] = []
    for process in crowd:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in crowd:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        given += map(int, out.split())
    assert sorted(given) == list(range(1, 101))


def test_numbers_grow_past_four_digits(tmp_path: Path) -> None:
    folder = tmp_path / SLOT.key / SLOT.task
    folder.mkdir(parents=True)
    (folder / "9999").write_text("")
    Numbers(tmp_path).advance([SLOT], [9999], 1)
    assert reserve(Numbers(tmp_path), "r/s", SLOT) == [10000]
    assert numbered("model.tar.gz", 10000) == "model.tar_10000.gz"


def test_the_same_identity_gets_its_numbers_again_and_nobody_else_does(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path)
    assert reserve(numbers, "a/1", SLOT, SLOT) == [1, 2]
    assert reserve(numbers, "b/1", SLOT) == [3]
    assert reserve(numbers, "a/1", SLOT, SLOT) == [1, 2]
    assert reserve(numbers, "a/1", SLOT, SLOT, SLOT) == [1, 2, 4]
    numbers.forget("a/1")
    assert reserve(numbers, "a/1", SLOT) == [5]


@pytest.mark.parametrize(
    "hint",
    [
        None,
        "",
        "rubbish",
        "0 1",
        "999 1",
        "-3 1",
        "3",
        "2 7",
        "37 99999999999999999",
        "37 4000000000000000 1",
    ],
)
def test_g19_a_lost_or_wrong_hint_costs_nothing_but_time(tmp_path: Path, hint: str | None) -> None:
    numbers = Numbers(tmp_path)
    for step in range(37):
        reserve(numbers, f"r/{step}", SLOT)
    file = tmp_path / SLOT.key / SLOT.task / numbering._HINT
    file.unlink()
    if hint is not None:
        file.write_text(hint)
    reserved = numbers.reserve("r/next", [SLOT])
    assert reserved.numbers == [38]
    assert reserved.not_before <= 1


def test_g19_a_damaged_note_is_ignored(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path)
    reserve(numbers, "a/1", SLOT)
    numbers._intent("a/1").write_bytes(b"[[")
    assert reserve(numbers, "a/1", SLOT) == [2]


def test_g02_killed_anywhere_the_successor_gets_the_numbers_of_an_uninterrupted_run(tmp_path: Path) -> None:
    point = 0
    while True:
        point += 1
        root = tmp_path / str(point)
        numbers = Numbers(root)
        reserve(numbers, "other/step", SLOT)
        died = subprocess.run(
            [sys.executable, "-c", KILLED, str(root), str(point)], capture_output=True, text=True
        )
        wanted = [SLOT, Slot("models", "digits"), SLOT]
        assert reserve(numbers, "run/step", *wanted) == [2, 1, 3]
        assert reserve(numbers, "later/step", SLOT) == [4]
        if died.returncode == 0:
            break
        assert died.returncode == -signal.SIGKILL
    assert point > 15


def test_reserving_never_lists_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = Numbers(tmp_path)
    reserve(numbers, "a/1", SLOT)

    def forbidden(*args: Any) -> None:
        raise AssertionError("a folder was listed")

    monkeypatch.setattr(os, "scandir", forbidden)
    monkeypatch.setattr(os, "listdir", forbidden)
    assert reserve(numbers, "a/2", SLOT) == [2]


def test_a_later_number_is_made_later_even_if_the_clock_goes_back(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mml_core.files import attempts

    manager = project.open(run="r1")
    first = project.save(manager, "parameters", b"1", step="a")
    monkeypatch.setattr(attempts.time, "time_ns", lambda: 1_000_000_000)
    second = project.save(manager, "parameters", b"2", step="b")
    assert second.created > first.created


@pytest.mark.parametrize("hint", [None, "1 99999999999999999", "1 4000000000000000 1"])
def test_without_a_hint_a_later_file_is_still_made_later(
    project: Any, monkeypatch: pytest.MonkeyPatch, hint: str | None
) -> None:
    from mml_core.files import attempts

    manager = project.open(run="r1")
    first = project.save(manager, "parameters", b"1", step="a")
    file = manager.layout.numbers / "parameters" / "digits" / numbering._HINT
    file.unlink() if hint is None else file.write_text(hint)
    monkeypatch.setattr(attempts.time, "time_ns", lambda: 1_000_000_000)
    second = project.save(manager, "parameters", b"2", step="b")
    assert second.number == 2
    assert second.created[:10] == first.created[:10]
    assert second.created > first.created


@given(st.text(alphabet="ab._", min_size=1, max_size=8), st.integers(1, 10**6))
def test_numbers_stand_before_the_suffix(name: str, number: int) -> None:
    stem, suffix = split_suffix(name)
    assert stem + suffix == name
    assert numbered(name, number) == f"{stem}_{number:04d}{suffix}"
