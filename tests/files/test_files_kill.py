"""SIGKILL at every change of the disk between a step's end and its publication, and in clean-up."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from mml_core.files.artefacts import Artefact
from mml_core.storage.links import commit_record

CHANGES = ("link", "fsync", "open", "unlink", "rename", "replace", "mkdir", "rmdir")
STRIDE = int(os.environ.get("MML_KILL_STRIDE", "1"))
EXPECTED = {
    "PARAMETERS/digits/model_0001.safetensors": b"parameters",
    "PARAMETERS/digits/model_0002.safetensors": b"parameters",
    "IMG_EXAMPLES/digits/examples.png": b"img_examples",
}


def in_a_process_killed_at(point: int, work: Callable[[], None]) -> bool:
    """Run ``work`` in a process that dies at its ``point``-th call that changes the disk; 0 is never."""
    child = os.fork()
    if child == 0:
        left = point

        def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        try:
            for name in CHANGES:
                setattr(os, name, deadly(getattr(os, name)))
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def step(project: Any, name: str) -> None:
    """Do what a runner does: attempt, seal, commit, publish; or only publish what is committed."""
    manager, record = project.open(run="r1"), project.root / "step.json"
    folder = manager.layout.attempts / name
    if not record.exists():
        with manager.attempt(folder, "r1/s") as attempt:
            for key in ("parameters", "img_examples", "parameters", "temp"):
                task, file_name = (None, "t") if key == "temp" else ("digits", None)
                path = manager.construct_saving_path(b"", key, task_name=task, file_name=file_name)
                path.write_bytes(key.encode())
            data = msgspec.json.encode({"folder": str(folder), "artefacts": attempt.seal()})
            assert commit_record(data, folder / "record.json", record)
    stored = msgspec.json.decode(record.read_bytes())
    manager.publish(committed(project), Path(stored["folder"]), step="s")


def clean(project: Any) -> None:
    manager = project.open(run="r1", reuse={"clean_up": {"parameters": True, "models": False}})
    manager.clean_up(committed(project))


def committed(project: Any) -> list[Artefact]:
    stored = msgspec.json.decode((project.root / "step.json").read_bytes())
    return msgspec.convert(stored["artefacts"], list[Artefact])


def visible(root: Path) -> dict[str, bytes]:
    project = root / "results" / "proj"
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and ".mml" not in path.relative_to(project).parts
    }


def test_g03_a_step_killed_anywhere_is_finished_by_the_next_attempt(project: Any) -> None:
    point, killed = 1, True
    while killed:
        trial = type(project)(project.root / str(point))
        trial.root.mkdir()
        killed = in_a_process_killed_at(point, lambda trial=trial: step(trial, "first"))
        assert visible(trial.root).items() <= EXPECTED.items()
        assert not in_a_process_killed_at(0, lambda trial=trial: step(trial, "second"))
        assert visible(trial.root) == EXPECTED
        own = trial.root / "results" / "proj" / ".mml"
        assert (own / "temp" / "r1" / "t").read_bytes() == b"temp"
        assert not (own / "attempts" / "r1" / "second").exists()
        assert len(list(trial.open(run="check").store.records())) == 3
        point += STRIDE
    print(f"{point - 1} kill points")
    assert point > 40


def test_g13_clean_up_killed_anywhere_is_finished_by_the_next(project: Any) -> None:
    point, killed = 1, True
    while killed:
        trial = type(project)(project.root / str(point))
        trial.root.mkdir()
        step(trial, "first")
        killed = in_a_process_killed_at(point, lambda trial=trial: clean(trial))
        step(trial, "continued")
        clean(trial)
        assert visible(trial.root) == {"IMG_EXAMPLES/digits/examples.png": b"img_examples"}
        for folder in ("temp", "attempts"):
            assert not (trial.root / "results" / "proj" / ".mml" / folder / "r1").exists()
        point += STRIDE
    print(f"{point - 1} kill points")
    assert point > 20


def test_g03_a_session_killed_anywhere_is_whole_or_absent(project: Any) -> None:
    def script(trial: Any) -> None:
        with trial.open(reuse={"clean_up": {"parameters": True}}) as manager:
            for _ in range(2):
                manager.construct_saving_path(b"", "ranking").write_bytes(b"1")
            manager.construct_saving_path(b"", "parameters", "digits").write_bytes(b"2")
            manager.construct_saving_path(b"", "temp", file_name="t").write_bytes(b"3")

    point, killed = 1, True
    while killed:
        trial = type(project)(project.root / str(point))
        trial.root.mkdir()
        killed = in_a_process_killed_at(point, lambda trial=trial: script(trial))
        with trial.open():
            pass
        assert len(visible(trial.root)) in ((0, 2) if killed else (2,))
        assert not list(trial.root.rglob("temp/script-*"))
        point += STRIDE
    assert point > 20
