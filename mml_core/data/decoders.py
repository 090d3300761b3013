"""Samples decoded by several threads or processes, and taken in order.

Threads begin at once. Processes take a moment to begin, and then do not wait for each other's interpreter:
they are what many images are decoded in. They decode into memory that is shared, and write no file, so that
whoever holds a store's lease is the only one that writes to it.
"""

from __future__ import annotations

import math
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mml_core.data.allocator import keep_freed_memory
from mml_core.data.decoding import Decoded, Decoder, Measured, TextColumns
from mml_core.data.errors import DataError
from mml_core.data.in_order import in_order

if TYPE_CHECKING:
    from mml_core.data.journal import Sample

IN_PROCESSES_FROM = 4000
"""So many samples are worth the start of processes."""
_BLOCK_BYTES = 1 << 22
_BLOCK_ROWS = 32
"""The most in a block: what is said of it has to fit into a pipe, or each end may wait for the other."""
_AHEAD = 2
"""Blocks that each process is given before the first of them is taken."""

_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}


class DecodingError(DataError):
    """A process that decodes has ended."""


def decode_in_order(
    decoder: Decoder,
    rows: range,
    counted: NDArray[np.bool_],
    workers: int,
    take: Callable[[Decoded], object],
) -> None:
    """Decode samples, several at a time, and take each in order.

    Args:
        decoder: Decodes them.
        rows: Their rows in the sample table.
        counted: For each row of the table whether it counts for means and class counts.
        workers: How many threads or processes decode.
        take: Called with each sample, with one at a time. Its arrays hold until it returns.

    Raises:
        DecodingError: A process was killed, as for want of memory.
        Exception: What `decoder` or ``take`` raised of the first sample that any was raised of; all before
            it are taken then.
    """

    def decoded(row: int) -> Decoded:
        return decoder(row, counted=bool(counted[row]))

    if workers < 2 or len(rows) < IN_PROCESSES_FROM or not (sys.executable and hasattr(os, "memfd_create")):
        in_order(decoded, rows, workers, take)
        return
    size = min(_BLOCK_ROWS, max(1, _BLOCK_BYTES // decoder.most_bytes))
    blocks = [rows[start : start + size] for start in range(0, len(rows), size)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_Process(decoder, size * decoder.most_bytes)) for _ in range(workers)
        ]

        def ask(number: int) -> None:
            if number < len(blocks):
                block = blocks[number]
                processes[number % workers].ask(decoder.texts(block), counted[block.start : block.stop])

        for number in range(_AHEAD * workers):
            ask(number)
        for number, block in enumerate(blocks):
            done = 0
            for sample in processes[number % workers].answer():
                take(sample)
                done += 1
            for row in block[done:]:  # one failed there: it fails here too, with the error in full
                take(decoded(row))
            ask(number + _AHEAD * workers)


class _Request(NamedTuple):
    buffer: int
    texts: TextColumns
    counted: list[bool]


_Places: TypeAlias = dict[str, tuple[int, tuple[int, ...], str]]
"""For each array of a sample its offset in the buffer, shape and type."""


class _Found(NamedTuple):
    places: _Places
    measured: Measured


class _Process:
    """A process that decodes blocks into buffers, in a session of its own: a terminal's Ctrl-C is not for it.

    It ends when the connection does, whatever becomes of the process that it decodes for.
    """

    def __init__(self, decoder: Decoder, buffer_bytes: int) -> None:
        self._asked = self._answered = 0
        self._bytes = buffer_bytes
        memory = os.memfd_create("mml-decoded")
        try:
            os.ftruncate(memory, _AHEAD * buffer_bytes)
            self._memory = np.frombuffer(mmap.mmap(memory, _AHEAD * buffer_bytes), np.uint8)
            self._connection, theirs = Pipe()
            with theirs:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        f"from {__name__} import serve; serve()",
                        *map(str, (theirs.fileno(), memory)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), memory),
                    start_new_session=True,
                    env={**os.environ, **_ENVIRONMENT},
                )
        finally:
            os.close(memory)
        self._send((decoder, buffer_bytes))

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def ask(self, texts: TextColumns, counted: NDArray[np.bool_]) -> None:
        """Have a block decoded; the samples of the one that was asked for `_AHEAD` times earlier are lost."""
        self._send(_Request(self._asked % _AHEAD, texts, counted.tolist()))
        self._asked += 1

    def answer(self) -> Iterator[Decoded]:
        """The samples of the block asked for first among those not answered yet, up to one that fails."""
        try:
            block = self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        buffer = self._memory[self._answered % _AHEAD * self._bytes :]
        self._answered += 1
        for found in block:
            sample = {name: _at(buffer, *place) for name, place in found.places.items()}
            yield Decoded(sample, found.measured)

    def _send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError:
            raise self._ended() from None

    def _ended(self) -> DecodingError:
        return DecodingError(
            f"A process that decodes images has ended with exit code {self._process.wait()}, -9 being what a "
            "lack of memory ends in: run the command again, with fewer mode.workers if need be."
        )


def serve() -> None:
    """Decode blocks for the process that started this one, until it is gone."""
    keep_freed_memory()
    connection, descriptor = Connection(int(sys.argv[1])), int(sys.argv[2])
    memory = np.frombuffer(mmap.mmap(descriptor, 0), np.uint8)
    with suppress(EOFError, ConnectionError):
        decoder, size = connection.recv()
        while True:
            request: _Request = connection.recv()
            buffer = memory[request.buffer * size : (request.buffer + 1) * size]
            connection.send(_decoded(decoder.over(request.texts), request.counted, buffer))


def _decoded(decoder: Decoder, counted: list[bool], buffer: NDArray[np.uint8]) -> list[_Found]:
    """Decode into the buffer, up to a sample that fails or does not fit."""
    places: list[_Places] = []
    samples: list[Sample] = []
    used = 0
    for row in range(len(counted)):
        try:
            sample = decoder.sample(row)
        except Exception:  # who asks decodes it again, and says what is wrong
            break
        if used + sum(array.nbytes for array in sample.values()) > len(buffer):
            break
        places.append({})
        samples.append({})
        for name, array in sample.items():
            places[-1][name] = used, array.shape, array.dtype.str
            samples[-1][name] = _at(buffer, *places[-1][name])
            samples[-1][name][:] = array
            used += array.nbytes
    return [*map(_Found, places, decoder.measured(samples, counted[: len(samples)]))]


def _at(buffer: NDArray[np.uint8], offset: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """An array that lies in a buffer."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return buffer[offset : offset + size].view(dtype).reshape(shape)
