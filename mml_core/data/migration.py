"""Older forms of preprocessed stores, and how each becomes the present one: by its manifest alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from mml_core.data.errors import DamagedStoreError
from mml_core.data.manifest import FORMAT, MANIFEST, Manifest, encode_manifest, read_body
from mml_core.storage.atomic import write_bytes
from mml_core.storage.hashing import sha256_file
from mml_core.storage.leases import Lease


def form_of(folder: Path) -> int:
    """Return the format of the store in ``folder``, this mml's or an older one.

    Raises:
        NewerStoreError: A newer mml has written it.
        DamagedStoreError: Its manifest is missing or not as it was written.
    """
    return int(read_body(folder)["format"])


def migrate_store(folder: Path) -> None:
    """Bring a store to the present form; one that has it stays as it is.

    The files of samples stay untouched. The manifest is replaced at once, so that a store is always of the
    old form or of the new one, whole; until then readers of the old form find it.

    Args:
        folder: The store.

    Raises:
        NewerStoreError: A newer mml has written it.
        DamagedStoreError: It is not as it was written.
        LeaseHeldError: Another live process is making this very store.
    """
    with Lease.acquire(folder.parent / f".{folder.name}.lease"):
        body = read_body(folder)
        if body["format"] == FORMAT:
            return
        while body["format"] < FORMAT:
            body = _NEXT[body["format"]](folder, body)
        write_bytes(folder / MANIFEST, encode_manifest(msgspec.convert(body, Manifest)))


def _without_sha256(folder: Path, body: dict[str, Any]) -> dict[str, Any]:
    """Format 1 had a SHA-256 of each file beside the CRC-32 of its chunks, and knew no ``ignore_index``.

    The hash is compared for the last time.
    """
    modalities = {}
    for name, entry in body["modalities"].items():
        kept = {key: value for key, value in entry.items() if key != "sha256"}
        try:
            intact = sha256_file(folder / entry["file"]) == entry["sha256"]
        except OSError as error:
            raise DamagedStoreError(folder, f"{entry['file']} cannot be read ({error.strerror})") from error
        if not intact:
            raise DamagedStoreError(folder, f"{entry['file']} has another sha256 than it was written with")
        modalities[name] = kept
    source = {"ignore_index": None, **body["source"]}
    return {**body, "format": 2, "source": source, "modalities": modalities}


_NEXT = {1: _without_sha256}
"""Format → what makes the next one of it."""
