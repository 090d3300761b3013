"""The journal of a store in the making: which of its samples a killed process had finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import msgspec
from numpy.typing import NDArray

from mml_core.data.store import CHUNK_BYTES
from mml_core.data.store_writer import ModalityWriter
from mml_core.storage.errors import named_failures

Sample = dict[str, NDArray[Any]]
"""The arrays of one sample by modality."""


_Extent = Annotated[int, msgspec.Meta(ge=1)]


class _Block(msgspec.Struct, frozen=True, kw_only=True):
    shapes: dict[str, list[list[_Extent]]]
    checksums: dict[str, list[int]]


class Journal:
    """Notes blocks of finished samples, each of at least a chunk of the store, while they are written.

    A block is noted when its bytes were handed to the operating system, with their checksums; what a loss of
    power took from either is noticed by these. The journal lies beside the folder of the store, so that it
    outlives the moment of publication.

    Args:
        path: The journal's file.
        identity: What the samples are made of; the notes of a journal with another one do not count.
        writers: What the samples are written by, by modality.
    """

    def __init__(self, path: Path, identity: str, writers: Mapping[str, ModalityWriter]) -> None:
        self._path = path
        self._writers = writers
        self._identity = msgspec.json.encode(identity)
        first, *self._notes = _lines(path) or [b""]
        if first != self._identity:
            self._notes = []
        self._file = path.open("r+b" if self._notes else "wb")
        self._file.write(self._identity + b"\n")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def recover(self) -> Iterator[Sample]:
        """Yield the samples that are finished, from the first on, read from the files and not decoded again.

        To be gone through before any sample is added: what is added comes after the last that was yielded.
        """
        for line in self._notes:
            block = self._recover(line)
            if block is None:
                break
            self._file.write(line + b"\n")
            yield from block
        self._file.truncate()

    def add(self, sample: Sample) -> None:
        """Write a sample, and note it once it fills a block with those before it.

        Raises:
            WriteFailedError: The disk is full, broken or read-only.
        """
        with named_failures(self._path):
            for name, array in sample.items():
                self._writers[name].add(array)
            if self._writers["image"].unmarked_bytes >= CHUNK_BYTES:
                marks = {name: writer.mark() for name, writer in self._writers.items()}
                block = _Block(
                    shapes={name: shapes for name, (shapes, _) in marks.items()},
                    checksums={name: checksums for name, (_, checksums) in marks.items()},
                )
                self._file.write(msgspec.json.encode(block) + b"\n")
                self._file.flush()

    def _recover(self, line: bytes) -> list[Sample] | None:
        try:
            block = msgspec.json.decode(line, type=_Block)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if not block.shapes.keys() == block.checksums.keys() == self._writers.keys():
            return None
        found: dict[str, list[NDArray[Any]]] = {}
        for name, writer in self._writers.items():
            samples = writer.left(block.shapes[name], block.checksums[name])
            if samples is None:
                return None
            found[name] = samples
        for name, samples in found.items():
            self._writers[name].take_up(samples)
        names = list(found)
        return [dict(zip(names, arrays, strict=True)) for arrays in zip(*found.values(), strict=True)]


def _lines(path: Path) -> list[bytes]:
    """The whole lines of a file; what a killed process left without an end is none."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
