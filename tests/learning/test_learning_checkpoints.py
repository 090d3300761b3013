"""Checkpoints are whole or not there, wherever TMPDIR is, and run no foreign code."""

import logging
import os
import resource
from pathlib import Path

import pytest
import torch

from mml_core.learning.checkpoints import AtomicCheckpointIO, CheckpointError, FitCheckpoints
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


def test_g06_it_writes_with_no_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "c.ckpt")
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "c.ckpt")["epoch"] == 3
    assert names(tmp_path) == ["c.ckpt"]


def test_g06_a_failing_write_raises_and_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "c.ckpt")

    class Unwritable:
        def __reduce__(self) -> str:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        AtomicCheckpointIO().save_checkpoint({"broken": Unwritable()}, tmp_path / "c.ckpt")
    assert names(tmp_path) == ["c.ckpt"]
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "c.ckpt")["epoch"] == 3


def test_g06_a_file_that_cannot_grow_names_the_disk(tmp_path: Path) -> None:
    """What a full disk does: torch reports its own confusion, not the disk's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        with pytest.raises(WriteFailedError, match="too large"):
            AtomicCheckpointIO().save_checkpoint({"w": torch.zeros(100_000)}, tmp_path / "c.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


def test_g21_damage_and_foreign_code_are_refused(tmp_path: Path) -> None:
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
    io.save_checkpoint({"x": Foreign()}, tmp_path / "sealed.ckpt")
    for name in ("foreign.ckpt", "sealed.ckpt"):
        with pytest.raises(CheckpointError, match="cannot be read"):
            io.load_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    io = AtomicCheckpointIO()
    io.save_checkpoint(CHECKPOINT, tmp_path / "c.ckpt")
    whole = (tmp_path / "c.ckpt").read_bytes()
    for place in range(0, len(whole), 13):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        (tmp_path / "c.ckpt").write_bytes(flipped)
        with pytest.raises(CheckpointError, match="not what was written"):
            io.load_checkpoint(tmp_path / "c.ckpt")
    (tmp_path / "c.ckpt").write_bytes(whole)
    assert io.load_checkpoint(tmp_path / "c.ckpt")["epoch"] == 3


def written(folder: Path, *batches: int) -> FitCheckpoints:
    checkpoints = FitCheckpoints(folder)
    for batch in batches:
        path = checkpoints.path_after(batch)
        AtomicCheckpointIO().save_checkpoint({"batch": batch}, path)
        checkpoints.note(path)
    return checkpoints


def found(checkpoints: FitCheckpoints) -> int | None:
    path = checkpoints.newest_whole()
    return None if path is None else AtomicCheckpointIO().load_checkpoint(path)["batch"]


def test_g07_a_broken_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    written(tmp_path / "old", 3, 5)
    written(tmp_path / "new", 7, 9)
    earlier = [tmp_path / "new", tmp_path / "old"]
    places = (("new", 9), ("new", 7), ("old", 5), ("old", 3))
    paths = [FitCheckpoints(tmp_path / folder).path_after(batch) for folder, batch in places]
    assert found(FitCheckpoints(tmp_path / "own", earlier)) == 9
    assert not caplog.messages
    for path, (_, next_best) in zip(paths, places[1:], strict=False):
        os.truncate(path, path.stat().st_size // 2)
        assert found(FitCheckpoints(tmp_path / "own", earlier)) == next_best
        assert f"{path} cannot be read" in caplog.messages[-1]
    os.truncate(paths[-1], 0)
    caplog.clear()
    assert found(FitCheckpoints(tmp_path / "own", earlier)) is None
    assert len(caplog.messages) == 5
    assert "the training starts over" in caplog.messages[-1]


def test_the_last_two_are_kept_over_all_attempts(tmp_path: Path) -> None:
    written(tmp_path / "old", 3, 5, 7)
    (tmp_path / "old" / ".tmp-1.ckpt").write_bytes(b"cut off")
    assert sorted(names(tmp_path / "old")) == [".tmp-1.ckpt", "batch-000000005.ckpt", "batch-000000007.ckpt"]
    checkpoints = FitCheckpoints(tmp_path / "new", [tmp_path / "old"])
    assert found(checkpoints) == 7
    for batch, left in ((9, ["batch-000000007.ckpt"]), (11, [])):
        AtomicCheckpointIO().save_checkpoint({"batch": batch}, checkpoints.path_after(batch))
        checkpoints.note(checkpoints.path_after(batch))
        assert names(tmp_path / "old") == left
    assert len(names(tmp_path / "new")) == 2


def test_removing_is_idempotent(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "c.ckpt")
    AtomicCheckpointIO().remove_checkpoint(tmp_path / "c.ckpt")
    AtomicCheckpointIO().remove_checkpoint(tmp_path / "c.ckpt")
    assert names(tmp_path) == []
