"""Making the store of a task: every sample decoded, preprocessed and written once, published as a whole."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mml_core.data.errors import DamagedStoreError
from mml_core.data.prepared import is_current, source_of_pixels, store_folder
from mml_core.data.preprocessing import Preprocessing
from mml_core.data.sources import FileSource, has_masks, mask_dtype
from mml_core.data.statistics import ChannelStatistics
from mml_core.data.store import FORMAT, MANIFEST, Manifest, Store, encode_manifest, read_manifest
from mml_core.data.store_writer import ModalityWriter
from mml_core.storage.atomic import make_dirs, publish_dir
from mml_core.storage.hashing import sha256_file
from mml_core.storage.leases import Lease
from mml_core.tasks.description import (
    HEADER_FILE,
    SAMPLES_FILE,
    Sizes,
    TaskDescription,
    TaskHeader,
    encode_header,
)


@dataclass(frozen=True)
class Prepared:
    """What became of one task.

    Attributes:
        task: The task.
        prep_id: The preprocessing.
        samples: How many samples its store holds.
        bytes: Their size on disk.
        outcome: ``made``; ``kept`` where the store was there and is up to date; ``remade`` where it was of an
            older version of the task, ``repaired`` where it was damaged.
    """

    task: str
    prep_id: str
    samples: int
    bytes: int
    outcome: str


def prepare_task(
    description: TaskDescription,
    preprocessing: Preprocessing,
    *,
    workers: int = 1,
    advance: Callable[[int], object] = lambda samples: None,
) -> Prepared:
    """Make the store of a task, unless it is there and up to date.

    Nothing is seen under the store's name before all of it is on the disk. One process at a time makes a
    store; what a killed one left is removed by the next.

    Args:
        description: The task as it was created: without tags, not preprocessed.
        preprocessing: What is done to every image and mask.
        workers: Threads that decode.
        advance: Called with the number of samples that were finished since the last call.

    Raises:
        LeaseHeldError: Another live process is making this very store.
        ChangedSourceError: An image is no longer the one the task was made of.
        ImageError: An image cannot be read.
    """
    final = store_folder(description.data, preprocessing.prep_id, description.name)
    make_dirs(final.parent)
    with Lease.acquire(final.parent / f".{final.name}.lease"):
        outcome = _what_to_do(final, description.header, preprocessing)
        if outcome == "kept":
            advance(len(description.samples))
        else:
            partial = final.parent / f".{final.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _write_store(partial, description, preprocessing, workers, advance)
            _publish(partial, final)
    entries = read_manifest(final).modalities.values()
    return Prepared(
        description.name,
        preprocessing.prep_id,
        len(description.samples),
        sum(entry.size for entry in entries),
        outcome,
    )


def _what_to_do(final: Path, header: TaskHeader, preprocessing: Preprocessing) -> str:
    """Decide by manifest and by the size and presence of every file; content is checked where it is used."""
    if not final.exists():
        return "made"
    try:
        manifest = Store.open(final).manifest
        intact = sha256_file(final / SAMPLES_FILE) == manifest.source["samples_sha256"]
        if not (intact and (final / HEADER_FILE).is_file()):
            return "repaired"
    except (DamagedStoreError, OSError, KeyError):
        return "repaired"
    return "kept" if is_current(manifest, header, preprocessing) else "remade"


def _publish(partial: Path, final: Path) -> None:
    outdated = final.parent / f".{final.name}.outdated"
    shutil.rmtree(outdated, ignore_errors=True)
    if final.exists():
        final.rename(outdated)  # its readers keep their memory maps
    publish_dir(partial, final)
    shutil.rmtree(outdated, ignore_errors=True)


def _write_store(
    folder: Path,
    description: TaskDescription,
    preprocessing: Preprocessing,
    workers: int,
    advance: Callable[[int], object],
) -> None:
    description.verify()
    header, samples = description.header, description.samples
    source = FileSource(samples, header, description.dataset_root, preprocessing)
    channels = preprocessing.channels_of(header.channels)
    statistics = _Statistics(channels, len(header.idx_to_class))
    training = np.zeros(len(samples), dtype=bool)
    training[samples.indices("train")] = True

    def prepared(row: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        return source.image(row), source.mask(row) if has_masks(header) else None

    with ExitStack() as stack:
        image_type = np.uint8 if header.bit_depth == 8 else np.uint16
        writers = {"image": stack.enter_context(ModalityWriter(folder, "image", image_type))}
        if has_masks(header):
            writers["mask"] = stack.enter_context(ModalityWriter(folder, "mask", mask_dtype(header)))
        for row, (image, mask) in enumerate(_in_order(prepared, len(samples), workers)):
            writers["image"].add(image)
            if mask is not None:
                writers["mask"].add(mask)
            statistics.add(image, mask, training=bool(training[row]))
            advance(1)
        modalities = {name: writer.finish() for name, writer in writers.items()}
    shutil.copyfile(samples.path, folder / SAMPLES_FILE)
    changes: dict[str, Any] = {"preprocessing": preprocessing.prep_id, "channels": channels}
    if not preprocessing.keeps_pixels(header.channels):
        changes |= statistics.header_changes(header)
    (folder / HEADER_FILE).write_bytes(encode_header(msgspec.structs.replace(header, **changes)))
    manifest = Manifest(
        format=FORMAT,
        task=header.name,
        prep_id=preprocessing.prep_id,
        parameters=preprocessing.parameters,
        source=source_of_pixels(header),
        modalities=modalities,
    )
    (folder / MANIFEST).write_bytes(encode_manifest(manifest))


class _Statistics:
    """What the header says of the pixels: sizes, means and standard deviations, pixels of each class."""

    def __init__(self, channels: int, classes: int) -> None:
        self._channels = ChannelStatistics(channels)
        self._pixels = np.zeros(classes, dtype=np.int64)
        self._heights: set[int] = set()
        self._widths: set[int] = set()

    def add(self, image: NDArray[Any], mask: NDArray[Any] | None, *, training: bool) -> None:
        self._heights.add(image.shape[1])
        self._widths.add(image.shape[2])
        if training:
            self._channels.add(image)
            if mask is not None:
                counts = np.bincount(mask.ravel(), minlength=len(self._pixels))
                self._pixels += counts[: len(self._pixels)]

    def header_changes(self, header: TaskHeader) -> dict[str, Any]:
        changes: dict[str, Any] = {"means": self._channels.means, "stds": self._channels.stds}
        if self._heights:
            changes["sizes"] = Sizes(
                min_height=min(self._heights),
                min_width=min(self._widths),
                max_height=max(self._heights),
                max_width=max(self._widths),
            )
        if has_masks(header):
            changes["class_counts"] = {str(index): int(count) for index, count in enumerate(self._pixels)}
        return changes


def _in_order(
    work: Callable[[int], tuple[NDArray[Any], NDArray[Any] | None]], count: int, workers: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
    """Yield ``work(0)``, ``work(1)``, …, computed by threads but a bounded number ahead."""
    if workers <= 1:
        yield from map(work, range(count))
        return
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[tuple[NDArray[Any], NDArray[Any] | None]]] = deque()
        try:
            for row in range(count):
                pending.append(pool.submit(work, row))
                if len(pending) > 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
