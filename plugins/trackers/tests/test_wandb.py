"""W&B gets all of a run, once, and nothing is sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mml_trackers.journal import FOLDER, Journal
from mml_trackers.mirror import copy_once

wandb = pytest.importorskip("wandb", reason="wandb is not installed")

RUN = {"id": "2026-01-01_00-00-00_abcd", "project": "default", "mode": "train", "config": {"seed": 42}}


def records(path: Path) -> Iterator[bytes]:
    """The records of an offline file: a log of LevelDB's form, behind a header of 7 bytes."""
    data, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no header fits into what is left of the block
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts.append(data[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def read(path: Path) -> tuple[str, list[dict[str, float]], int]:
    """Group, rows of history and exit code of an offline run."""
    from wandb.proto import wandb_internal_pb2

    group, rows, code = "", [], -1
    for data in records(path):
        record = wandb_internal_pb2.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            group = record.run.run_group
        elif kind == "history":
            row = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            rows.append({key: json.loads(value) for key, value in row.items() if not key.startswith("_")})
        elif kind == "exit":
            code = record.exit.exit_code
    return group, rows, code


def written(project: Path) -> dict[str, tuple[str, list[dict[str, float]], int]]:
    found = sorted(project.glob("wandb/offline-run-*/*.wandb"))
    return {path.stem.rpartition("_")[0].partition("abcd")[2]: read(path) for path in found}


@pytest.fixture
def outside(monkeypatch):
    """All that lies beyond this machine: who is asked for it is counted."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("WANDB_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("WANDB_API_KEY", "k3y" * 14)
        monkeypatch.setenv("WANDB_MODE", "online")  # is not what the plugin does
        yield asked
        server.settimeout(0)
        with suppress(BlockingIOError):
            asked.append(server.accept()[1])
    assert asked == []


def test_a_run_that_goes_on_is_written_anew_in_the_place_of_what_was(tmp_path, monkeypatch, outside) -> None:
    for name in ("SILENT", "DISABLE_GIT", "DISABLE_CODE", "ERROR_REPORTING"):
        monkeypatch.setenv(f"WANDB_{name}", "true")  # what the tracker sets is taken back
    project = tmp_path / "default"
    run_dir = project / "runs" / RUN["id"]
    (project / "a.json").parent.mkdir(parents=True)
    (project / "a.json").write_text("{}")
    journal = Journal(run_dir / FOLDER)
    config = {"seed": 42, "logging": {"wandb": {"copy": []}}}
    journal.begin({**RUN, "project_path": str(project), "config": config})
    step = journal.step("train-a-0")
    step.note("step", name="train", task="a", fold="0")
    for epoch in (0, 1):
        step.note("epoch", fit=1, epoch=epoch, metrics={"val/loss": 1.0 - epoch})
    journal.end({"state": "interrupted", "error": "asked to stop", "numbers": {}, "artefacts": []})
    assert copy_once(run_dir) == (["wandb"], {})
    group = f"default/{RUN['id']}"
    rows = [{"epoch": 0, "val/loss": 1.0}, {"epoch": 1, "val/loss": 0.0}]
    assert written(project) == {"_a_fold_0": (group, rows, 1), "": (group, [], 1)}

    step.note("epoch", fit=1, epoch=2, metrics={"val/loss": 0.5})
    step.note("end", ok=True, error="", numbers={"best": 0.0}, task="a", fold="0")
    listed = {"key": "models", "task": "a", "path": "a.json", "size": 2, "sha256": "0" * 64}
    journal.end({"state": "done", "error": "", "numbers": {"a/loss": 0.5}, "artefacts": [listed]})
    assert copy_once(run_dir) == (["wandb"], {})
    rows = [{**rows[0], "train/best": 0.0}, rows[1], {"epoch": 2, "val/loss": 0.5}]
    assert written(project) == {"_a_fold_0": (group, rows, 0), "": (group, [], 0)}
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"k3yk3y" in each for each in files)
