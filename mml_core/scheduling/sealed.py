"""JSON files that carry a checksum of their own body, so that damage is found and never used."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mml_core.errors import MMLError

_HEAD = b'{"sha256":"'
_MIDDLE = b'","body":'
_TAIL = b"}\n"
_START = len(_HEAD) + 64 + len(_MIDDLE)


class DamagedRecordError(MMLError):
    """A record on disk is cut off or changed; it is not used."""


def seal(body: bytes) -> bytes:
    """Return the content of a file that holds the JSON text ``body`` and its checksum."""
    digest = hashlib.sha256(body).hexdigest().encode()
    return b"".join((_HEAD, digest, _MIDDLE, body, _TAIL))


def unseal(data: bytes, path: Path, remedy: str) -> bytes:
    """Return the body of a sealed file's content.

    Args:
        data: The whole content.
        path: Where it was read, for the message.
        remedy: What the user can do, for the message.

    Raises:
        DamagedRecordError: Any byte is missing, added or changed.
    """
    body = data[_START : -len(_TAIL)]
    if len(data) < _START + len(_TAIL) or seal(body) != data:
        raise DamagedRecordError(
            f"The record {path} is damaged: its checksum does not match what it holds ({len(data)} bytes). "
            f"{remedy}"
        )
    return body


def read_sealed(path: Path, remedy: str) -> bytes:
    """Return the body of the sealed file at ``path``; raise DamagedRecordError where it is damaged."""
    return unseal(path.read_bytes(), path, remedy)
