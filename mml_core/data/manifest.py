"""The manifest of a preprocessed store: its files, their checksums, and what they were made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from mml_core.data.errors import DamagedStoreError, NewerStoreError, OutdatedStoreError
from mml_core.storage.hashing import digest

FORMAT = 2
MANIFEST = "manifest.json"


class Modality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a store, as its manifest describes it.

    Attributes:
        file: The file with the samples one after the other.
        dtype: ``uint8`` or ``uint16``.
        samples: How many there are.
        shape: Shape of each sample; None where they differ.
        index: The file with offset and shape of each sample, where they differ.
        index_sha256: SHA-256 of that file.
        size: Bytes of ``file``.
        chunk_bytes: Bytes of each chunk but the last.
        chunks: CRC-32 of each chunk.
    """

    file: str
    dtype: str
    samples: int
    shape: list[int] | None
    index: str | None = None
    index_sha256: str = ""
    size: int
    chunk_bytes: int
    chunks: list[int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a store holds, and what it was made of.

    Attributes:
        format: Version of this layout.
        task: The task.
        prep_id: Name of the preprocessing.
        parameters: Its parameters.
        source: What the pixels were made of, see `mml_core.data.prepared.source_of_pixels`; where it is other
            now, the store is out of date. The rows of the store are those of its sample table.
        modalities: ``image``, and ``mask`` for a segmentation.
    """

    format: int
    task: str
    prep_id: str
    parameters: dict[str, Any]
    source: dict[str, Any]
    modalities: dict[str, Modality]


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as JSON beside a digest of itself."""
    body = msgspec.to_builtins(manifest)
    return msgspec.json.encode({"digest": digest(body), "store": body}) + b"\n"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the store in ``folder``.

    Raises:
        DamagedStoreError: It is missing or not as it was written.
        OutdatedStoreError: It is of an older form.
        NewerStoreError: A newer mml has written it.
    """
    body = read_body(folder)
    if body["format"] != FORMAT:
        raise OutdatedStoreError(
            f"The preprocessed store {folder} is of format {body['format']}, this mml reads {FORMAT}: run"
            f" `mml run --mode=migrate --tasks {folder.name}`."
        )
    try:
        return msgspec.convert(body, Manifest)
    except msgspec.ValidationError as error:
        raise DamagedStoreError(folder, f"its {MANIFEST} cannot be read ({error})") from error


def read_body(folder: Path) -> dict[str, Any]:
    """Read the manifest of the store in ``folder``, of this or an older form, as JSON object.

    Raises:
        DamagedStoreError: It is missing or not as it was written.
        NewerStoreError: A newer mml has written it.
    """
    try:
        found = msgspec.json.decode((folder / MANIFEST).read_bytes())
        body: dict[str, Any] = found["store"]
        intact = found["digest"] == digest(body)
        version = body["format"]
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DamagedStoreError(folder, f"its {MANIFEST} cannot be read ({error})") from error
    if not intact:
        raise DamagedStoreError(folder, f"its {MANIFEST} was altered")
    if type(version) is not int or version < 1:
        raise DamagedStoreError(folder, f"its format is {version!r}, which no mml has written")
    if version > FORMAT:
        raise NewerStoreError(
            f"The preprocessed store {folder} is of format {version}, written by a newer mml; this one reads"
            f" {FORMAT}: install a newer mml-core."
        )
    return body
