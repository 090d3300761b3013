"""The preprocessed stores of a data folder: where they lie and whether they are up to date."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mml_core.data.errors import UnequalSizesError
from mml_core.data.manifest import Manifest, read_manifest
from mml_core.data.preprocessing import Preprocessing
from mml_core.data.store import Store
from mml_core.tasks.description import HEADER_FILE, TaskHeader, decode_header
from mml_core.tasks.errors import UnknownTaskError
from mml_core.tasks.tags import parse_task_name

log = logging.getLogger(__name__)


def store_folder(data: Path, prep_id: str, task: str) -> Path:
    """Where the store of a task lies; tags of the task's name do not matter."""
    return data / "preprocessed" / prep_id / parse_task_name(task)[0]


def created_header(data: Path, task: str) -> TaskHeader:
    """The header of a task as it was created: without what tags and preprocessing change in it.

    Raises:
        UnknownTaskError: The data folder has no such task.
    """
    path = data / "tasks" / parse_task_name(task)[0] / HEADER_FILE
    try:
        return decode_header(path.read_bytes(), path)
    except OSError as error:
        raise UnknownTaskError(
            f"The header {path} of task '{task}' cannot be read ({error.strerror}): create the task again."
        ) from error


def source_of_pixels(header: TaskHeader) -> dict[str, Any]:
    """All of a task that the content of its store depends on, as JSON values.

    Args:
        header: The header of the task as it was created.
    """
    return {
        "samples_sha256": header.samples_sha256,
        "dataset": header.dataset,
        "dataset_sha256": header.dataset_sha256,
        "task_type": header.task_type.value,
        "classes": len(header.idx_to_class),
        "ignore_index": header.ignore_index,
        "channels": header.channels,
        "bit_depth": header.bit_depth,
    }


def is_current(manifest: Manifest, header: TaskHeader, preprocessing: Preprocessing) -> bool:
    """Whether a store holds what preprocessing the task would make now.

    Args:
        manifest: The store's manifest.
        header: The header of the task as it was created.
        preprocessing: The preprocessing asked for.
    """
    return manifest.parameters == preprocessing.parameters and manifest.source == source_of_pixels(header)


def find_store(
    data: Path, header: TaskHeader, preprocessing: Preprocessing
) -> tuple[Store, TaskHeader] | tuple[None, None]:
    """Open the store of a task, if there is one that is up to date.

    Args:
        data: The data folder.
        header: The header of the task as it was created.
        preprocessing: The preprocessing asked for.

    Returns:
        The store and the header that lies in it, or None twice.

    Raises:
        DamagedStoreError: There is one, and it is not as it was written.
    """
    folder = store_folder(data, preprocessing.prep_id, header.name)
    if not folder.is_dir():
        return None, None
    if not is_current(read_manifest(folder), header, preprocessing):
        log.warning(
            "%s: the store %s is of an older version of the task and is not used; make it anew with "
            "'mml run --mode=preprocess'",
            header.name,
            folder,
        )
        return None, None
    path = folder / HEADER_FILE
    return Store.open(folder), decode_header(path.read_bytes(), path)


def check_sizes(header: TaskHeader, preprocessing: Preprocessing, batch_size: int) -> None:
    """Refuse batches of images that differ in size, by the header alone.

    Args:
        header: The header of the task as it was created.
        preprocessing: What is done to every image.
        batch_size: The most samples that form a batch.

    Raises:
        UnequalSizesError: Images of different sizes would have to form a batch.
    """
    sizes = header.sizes
    unequal = (sizes.min_height, sizes.min_width) != (sizes.max_height, sizes.max_width)
    if unequal and preprocessing.size is None and batch_size > 1:
        raise UnequalSizesError(
            f"Images of task '{header.name}' are {sizes.min_height}x{sizes.min_width} to "
            f"{sizes.max_height}x{sizes.max_width} pixels and cannot form batches of {batch_size}: choose a "
            "preprocessing with a size, as preprocessing=default."
        )
