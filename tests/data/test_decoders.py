"""Processes that decode give what threads give, fail as they do, and never outlive who they decode for."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mml_core.data import decoders
from mml_core.data.decoders import DecodingError
from mml_core.data.errors import ChangedSourceError
from mml_core.data.prepare import Prepared, prepare_task
from mml_core.data.preprocessing import Preprocessing
from mml_core.tasks.description import TaskDescription, TaskType

SMALL = Preprocessing(id="small", height=8, width=6)
NATIVE = Preprocessing(id="native", channels="rgb")


def content(task: TaskDescription, preprocessing: Preprocessing) -> dict[str, str]:
    folder = task.data / "preprocessed" / preprocessing.prep_id / task.name
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def forget(task: TaskDescription, preprocessing: Preprocessing) -> None:
    for path in (task.data / "preprocessed" / preprocessing.prep_id / task.name).iterdir():
        path.unlink()


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Decode the fewest images in processes too, in blocks of three; returns those that were started."""
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(decoders, "IN_PROCESSES_FROM", 1)
    monkeypatch.setattr(decoders, "_BLOCK_ROWS", 3)
    monkeypatch.setattr(subprocess, "Popen", Noted)
    return started


@pytest.mark.parametrize("preprocessing", [SMALL, NATIVE], ids=lambda chosen: chosen.id)
@pytest.mark.parametrize(
    "of", [{"task_type": TaskType.SEGMENTATION}, {"bit_depth": 16, "channels": 3}], ids=["masks", "16 bit"]
)
def test_a_store_is_the_same_whether_threads_or_processes_decode(
    make_task, in_processes, monkeypatch, preprocessing: Preprocessing, of: dict
) -> None:
    task = make_task(samples=40, unequal=True, **of)
    prepare_task(task, preprocessing, workers=2)
    assert len(in_processes) == 2
    expected = content(task, preprocessing)
    forget(task, preprocessing)
    monkeypatch.setattr(decoders, "IN_PROCESSES_FROM", 10**9)
    prepare_task(task, preprocessing, workers=2)
    assert len(in_processes) == 2
    assert content(task, preprocessing) == expected


def prepared(task: TaskDescription, done: list[int]) -> Prepared:
    return prepare_task(task, SMALL, workers=2, advance=done.append)


def test_the_first_failure_in_order_is_raised_in_full(make_task, in_processes) -> None:
    task = make_task(samples=20)
    for row in (19, 7, 11):
        (task.dataset_root / f"{row}.png").write_bytes(b"other")
    done: list[int] = []
    with pytest.raises(ChangedSourceError, match=r"/7\.png is not the one"):
        prepared(task, done)
    assert len(done) == 7
    assert all(process.poll() is not None for process in in_processes)


def test_the_end_of_a_process_is_one_clear_error_and_the_next_run_makes_the_store(
    make_task, in_processes
) -> None:
    task = make_task(samples=40)

    def kill(_: int) -> None:
        in_processes[0].kill()

    with pytest.raises(DecodingError, match=r"ended with exit code -9.*run the command again"):
        prepare_task(task, SMALL, workers=2, advance=kill)
    assert prepared(task, []).outcome == "made"


def test_processes_end_with_the_one_they_decode_for(make_task, tmp_path: Path) -> None:
    make_task(samples=40)
    script = f"""
import sys
from pathlib import Path
from mml_core.data import decoders, prepare, preprocessing
from mml_core.tasks.description import TaskDescription, decode_header
decoders.IN_PROCESSES_FROM, decoders._BLOCK_ROWS = 1, 3
folder = Path({str(tmp_path / "data" / "tasks" / "toy")!r})
header = decode_header((folder / "task.json").read_bytes(), folder)
task = TaskDescription(header, folder, Path({str(tmp_path / "data")!r}))
Starting = decoders._Process
class Told(Starting):
    def __init__(self, *args):
        super().__init__(*args)
        print(self._process.pid, flush=True)
decoders._Process = Told
def wait(_):
    print("decoding", flush=True)
    sys.stdin.read()
prepare.prepare_task(task, preprocessing.Preprocessing(id="s", height=8, width=6), workers=2, advance=wait)
"""
    run = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    first, second, decoding = (run.stdout.readline().strip() for _ in range(3))
    assert decoding == "decoding"
    run.send_signal(signal.SIGKILL)
    run.communicate()
    deadline = time.monotonic() + 60
    while any(alive(int(pid)) for pid in (first, second)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
