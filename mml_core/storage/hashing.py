"""SHA-256 of files, bytes and JSON values."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content, read in blocks."""
    state = hashlib.sha256()
    buffer = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            state.update(buffer[:count])
    return state.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def digest(obj: Any) -> str:
    """Return the SHA-256 of an object's canonical JSON: keys sorted, no blanks.

    Args:
        obj: Anything msgspec encodes: JSON values, dataclasses, Structs.
    """
    import msgspec

    return sha256_bytes(msgspec.json.encode(obj, order="sorted"))
