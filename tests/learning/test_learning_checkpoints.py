"""Checkpoints are whole or not there, wherever TMPDIR is, and run no foreign code."""

import os
import resource
from pathlib import Path

import pytest
import torch

from mml_core.learning.checkpoints import AtomicCheckpointIO, CheckpointError
from mml_core.storage.errors import WriteFailedError

CHECKPOINT = {"state_dict": {"w": torch.arange(6.0).reshape(2, 3)}, "epoch": 3, "name": "x", "none": None}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_roundtrip_leaves_one_file(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "deep" / "c.ckpt")
    loaded = AtomicCheckpointIO().load_checkpoint(tmp_path / "deep" / "c.ckpt")
    assert torch.equal(loaded.pop("state_dict")["w"], CHECKPOINT["state_dict"]["w"])
    assert loaded == {"epoch": 3, "name": "x", "none": None}
    assert names(tmp_path / "deep") == ["c.ckpt"]


def test_it_writes_with_no_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "c.ckpt")
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "c.ckpt")["epoch"] == 3
    assert names(tmp_path) == ["c.ckpt"]


def test_a_failing_write_raises_and_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "c.ckpt")

    class Unwritable:
        def __reduce__(self) -> str:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        AtomicCheckpointIO().save_checkpoint({"broken": Unwritable()}, tmp_path / "c.ckpt")
    assert names(tmp_path) == ["c.ckpt"]
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "c.ckpt")["epoch"] == 3


def test_a_file_that_cannot_grow_names_the_disk(tmp_path: Path) -> None:
    """What a full disk does: torch reports its own confusion, not the disk's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        with pytest.raises(WriteFailedError, match="too large"):
            AtomicCheckpointIO().save_checkpoint({"w": torch.zeros(100_000)}, tmp_path / "c.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


def test_damage_and_foreign_code_are_refused(tmp_path: Path) -> None:
    io = AtomicCheckpointIO()
    with pytest.raises(CheckpointError, match="is not there"):
        io.load_checkpoint(tmp_path / "absent")
    io.save_checkpoint(CHECKPOINT, tmp_path / "c.ckpt")
    whole = (tmp_path / "c.ckpt").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 20):
        (tmp_path / "c.ckpt").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="cannot be read"):
            io.load_checkpoint(tmp_path / "c.ckpt")

    class Foreign:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/ran",)

    torch.save({"x": Foreign()}, tmp_path / "foreign.ckpt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        io.load_checkpoint(tmp_path / "foreign.ckpt")
    assert not (tmp_path / "ran").exists()


def test_removing_is_idempotent(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "c.ckpt")
    AtomicCheckpointIO().remove_checkpoint(tmp_path / "c.ckpt")
    AtomicCheckpointIO().remove_checkpoint(tmp_path / "c.ckpt")
    assert names(tmp_path) == []
