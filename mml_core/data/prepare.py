"""Making the store of a task: every sample decoded, preprocessed and written once, published as a whole.

What a killed process had finished is taken up by the next, chunk by chunk, and not decoded again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mml_core.data.decoders import decode_in_order
from mml_core.data.decoding import Decoded, Decoder, Measured
from mml_core.data.errors import DamagedStoreError
from mml_core.data.journal import Journal
from mml_core.data.manifest import FORMAT, MANIFEST, Manifest, encode_manifest, read_manifest
from mml_core.data.prepared import is_current, source_of_pixels, store_folder
from mml_core.data.preprocessing import Preprocessing
from mml_core.data.sources import has_masks
from mml_core.data.statistics import ChannelStatistics
from mml_core.data.store import Store
from mml_core.data.store_writer import ModalityWriter
from mml_core.storage.atomic import make_dirs, publish_dir
from mml_core.storage.hashing import digest, sha256_file
from mml_core.storage.leases import Lease
from mml_core.tasks.description import (
    HEADER_FILE,
    SAMPLES_FILE,
    Sizes,
    TaskDescription,
    TaskHeader,
    encode_header,
)

log = logging.getLogger(__name__)


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
        taken_up: Samples that a killed process had finished.
    """

    task: str
    prep_id: str
    samples: int
    bytes: int
    outcome: str
    taken_up: int = 0


def prepare_task(
    description: TaskDescription,
    preprocessing: Preprocessing,
    *,
    workers: int = 1,
    verify: bool = False,
    advance: Callable[[int], object] = lambda samples: None,
) -> Prepared:
    """Make the store of a task, unless it is there and up to date.

    Nothing is seen under the store's name before all of it is on the disk. One process at a time makes a
    store; what a killed one left is taken up by the next.

    Args:
        description: The task as it was created: without tags, not preprocessed.
        preprocessing: What is done to every image and mask.
        workers: Threads, or for many images processes, that decode.
        verify: Whether every byte of a store that is there is compared with its checksums; otherwise sizes
            and manifest decide whether it is made anew, and a chunk is checked when it is used.
        advance: Called with the number of samples that were finished since the last call.

    Raises:
        LeaseHeldError: Another live process is making this very store.
        ChangedSourceError: An image is no longer the one the task was made of.
        ImageError: An image cannot be read.
    """
    final = store_folder(description.data, preprocessing.prep_id, description.name)
    make_dirs(final.parent)
    partial, journal = (final.parent / f".{final.name}.{kind}" for kind in ("partial", "journal"))
    taken_up = 0
    with Lease.acquire(final.parent / f".{final.name}.lease"):
        outcome = _what_to_do(final, description.header, preprocessing, verify)
        if outcome == "kept":
            advance(len(description.samples))
        else:
            taken_up = _write_store(partial, journal, description, preprocessing, workers, advance)
            _publish(partial, final)
        journal.unlink(missing_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
    entries = read_manifest(final).modalities.values()
    return Prepared(
        description.name,
        preprocessing.prep_id,
        len(description.samples),
        sum(entry.size for entry in entries),
        outcome,
        taken_up,
    )


def _what_to_do(final: Path, header: TaskHeader, preprocessing: Preprocessing, verify: bool) -> str:
    """Decide by manifest and by the size and presence of every file; by every byte only if asked to."""
    if not final.exists():
        return "made"
    try:
        store = Store.open(final)
        intact = sha256_file(final / SAMPLES_FILE) == store.manifest.source["samples_sha256"]
        if not (intact and (final / HEADER_FILE).is_file()):
            return "repaired"
        current = is_current(store.manifest, header, preprocessing)
        if current and verify:
            store.verify()
    except DamagedStoreError as error:
        log.warning("%s: its store is damaged: %s", header.name, error.what)
        return "repaired"
    except (OSError, KeyError):
        return "repaired"
    return "kept" if current else "remade"


def _publish(partial: Path, final: Path) -> None:
    outdated = final.parent / f".{final.name}.outdated"
    shutil.rmtree(outdated, ignore_errors=True)
    if final.exists():
        final.rename(outdated)  # its readers keep their memory maps
    publish_dir(partial, final)
    shutil.rmtree(outdated, ignore_errors=True)


def _write_store(
    folder: Path,
    journal_path: Path,
    description: TaskDescription,
    preprocessing: Preprocessing,
    workers: int,
    advance: Callable[[int], object],
) -> int:
    description.verify()
    header, samples = description.header, description.samples
    decoder = Decoder(samples, header, description.dataset_root, preprocessing)
    statistics = _Statistics(preprocessing.channels_of(header.channels), len(header.idx_to_class))
    counted = np.zeros(len(samples), dtype=bool)
    if not preprocessing.keeps_pixels(header.channels):
        counted[samples.indices("train")] = True
    folder.mkdir(exist_ok=True)

    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(ModalityWriter(folder, name, dtype))
            for name, dtype in decoder.dtypes.items()
        }
        journal = stack.enter_context(Journal(journal_path, _identity(header, preprocessing), writers))

        def take(done: Decoded) -> None:
            journal.add(done.sample)
            statistics.add(done.measured)
            advance(1)

        taken_up = 0
        for taken_up, sample in enumerate(journal.recover(), start=1):
            statistics.add(*decoder.measured([sample], [bool(counted[taken_up - 1])]))
            advance(1)
        decode_in_order(decoder, range(taken_up, len(samples)), counted, workers, take)
        modalities = {name: writer.finish() for name, writer in writers.items()}
    shutil.copyfile(samples.path, folder / SAMPLES_FILE)
    channels = preprocessing.channels_of(header.channels)
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
    return taken_up


def _identity(header: TaskHeader, preprocessing: Preprocessing) -> str:
    """All that finished samples have to share with those that follow."""
    import PIL

    libraries = {"numpy": np.__version__, "pillow": PIL.__version__}
    made_of = {"parameters": preprocessing.parameters, "source": source_of_pixels(header)}
    return digest({"format": FORMAT, "task": header.name, **made_of, **libraries})


class _Statistics:
    """What the header says of the pixels: sizes, means and standard deviations, pixels of each class."""

    def __init__(self, channels: int, classes: int) -> None:
        self._channels = ChannelStatistics(channels)
        self._pixels = np.zeros(classes, dtype=np.int64)
        self._heights: set[int] = set()
        self._widths: set[int] = set()

    def add(self, found: Measured) -> None:
        self._heights.add(found.extent[0])
        self._widths.add(found.extent[1])
        if found.sums is not None:
            self._channels.add_sums(found.sums)
        if found.pixels is not None:
            self._pixels += found.pixels

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
