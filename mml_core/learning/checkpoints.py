"""Checkpoints that are whole or not there, wherever ``TMPDIR`` is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from typing_extensions import override

from mml_core.errors import MMLError
from mml_core.storage.atomic import fsync_dir, writing


class CheckpointError(MMLError):
    """A checkpoint cannot be read."""


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint beside its place, syncs it, renames it, syncs the folder; a failure raises.

    Reading accepts tensors and plain values only, so that a foreign checkpoint runs no code.
    """

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write ``checkpoint`` to ``path``.

        Raises:
            WriteFailedError: If the disk is full or broken; what was under ``path`` before is kept.
        """
        if storage_options is not None:
            raise TypeError("AtomicCheckpointIO takes no storage options; leave them out.")
        with writing(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch wraps what went wrong while it was closing its archive
                raise (_os_error_behind(error) or error) from error

    @override
    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint of tensors and plain values.

        Raises:
            CheckpointError: If it is missing, damaged, or holds anything else.
        """
        import pickle

        try:
            loaded: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except FileNotFoundError as error:
            raise CheckpointError(f"Checkpoint {path} is not there; train again or name another.") from error
        except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            cause = (str(error).strip().splitlines() or ["unreadable"])[0]
            raise CheckpointError(f"Checkpoint {path} cannot be read: {cause}") from error
        return loaded

    @override
    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint if it is there."""
        place = Path(path)
        if place.exists():
            place.unlink()
            fsync_dir(place.parent)


def _os_error_behind(error: BaseException) -> OSError | None:
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__cause__ or seen.__context__
    return seen
