"""Making a task of what its creator described: every sample checked, folds, statistics, header, table."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.datasets import manifest_with_digest
from mml_core.tasks.description import HEADER_FILE, SAMPLES_FILE, TaskHeader, TaskType, encode_header
from mml_core.tasks.errors import CreationError, LeakageError
from mml_core.tasks.folds import assign_folds, join_groups, quantile_strata
from mml_core.tasks.inspection import Inspection, Inspector, Progress, image_statistics
from mml_core.tasks.leakage import find_leakage
from mml_core.tasks.samples import NO_FOLD, SampleTable


@dataclass(frozen=True)
class CreationOptions:
    """How a task is made of its samples.

    Attributes:
        num_folds: Folds to divide the training samples into, where they have none.
        seed: Decides which sample goes to which fold.
        force: Whether a task that is there is made anew and replaced.
        on_leakage: What to do where the same image or group is in training and test, or in two of the folds
            that samples came with: ``refuse`` or ``warn``.
    """

    num_folds: int = 5
    seed: int = 42
    force: bool = False
    on_leakage: Literal["refuse", "warn"] = "refuse"


def finish_task(
    builder: TaskBuilder, folder: Path, options: CreationOptions, progress: Progress | None = None
) -> list[str]:
    """Check every sample, make folds and statistics, and write the task into a private folder.

    Returns:
        One line for everything the user should look at.
    """
    samples = builder.samples
    if not samples:
        raise CreationError(f"Task '{builder.name}' has no samples.")
    manifest, dataset_digest = manifest_with_digest(builder.dataset_root)
    inspector = Inspector(
        builder.dataset_root,
        num_classes=len(builder.class_names),
        ignore_index=builder.ignore_index,
        known={name: record.sha256 for name, record in manifest.files.items()},
        origins=builder.origins,
    )
    segmented = builder.task_type is TaskType.SEGMENTATION
    files = [(sample.image, sample.target if segmented else None) for sample in samples]
    found = inspector.inspect_all(files, progress)
    folds = _folds(builder, found, options)
    leaks = find_leakage(builder.name, samples, found, folds)
    if leaks and options.on_leakage == "refuse":
        raise LeakageError(f"{' '.join(leaks)} Put them on one side, or allow it with on_leakage=warn.")
    warnings = [*builder.warnings, *leaks]
    columns: dict[str, Any] = {
        "sample_id": [sample.sample_id for sample in samples],
        "image": [sample.image for sample in samples],
        "split": [sample.split for sample in samples],
        "fold": folds,
        "group": [sample.group for sample in samples],
        "original_split": [sample.original_split for sample in samples],
        "sha256": [each.sha256 for each in found],
    }
    if builder.target_column is not None:
        columns[builder.target_column] = builder.target_values()
    header = _header(builder, found, int(folds.max()) + 1, dataset_digest)
    warnings += [
        f"Task '{builder.name}': class '{builder.class_names[int(index)]}' has no training sample."
        for index, count in header.class_counts.items()
        if count == 0
    ]
    write_task(folder, header, columns)
    return warnings


def _header(
    builder: TaskBuilder, found: Sequence[Inspection], num_folds: int, dataset_digest: str
) -> TaskHeader:
    train = [row for row, sample in enumerate(builder.samples) if sample.split == "train"]
    seen = [found[row] for row in train] or found  # without training samples the statistics are of all
    statistics = image_statistics(found, seen)
    splits = [sample.split for sample in builder.samples]
    counted = {split: splits.count(split) for split in ("train", "test", "unlabelled")}
    targets: dict[str, Any] = {}
    if builder.task_type is TaskType.REGRESSION:
        values = np.asarray(builder.target_values(), dtype=np.float64)[train]
        targets = {
            "target_names": builder.value_names,
            "target_means": [float(each) for each in values.mean(axis=0)] if train else [],
            "target_stds": [float(each) for each in values.std(axis=0)] if train else [],
        }
    return TaskHeader(
        name=builder.name,
        task_type=builder.task_type,
        dataset=builder.dataset,
        idx_to_class={str(index): name for index, name in enumerate(builder.class_names)},
        channels=statistics.channels,
        sizes=statistics.sizes,
        means=statistics.means,
        stds=statistics.stds,
        num_samples={split: count for split, count in counted.items() if count or split != "unlabelled"},
        num_folds=num_folds,
        class_counts=_class_counts(builder, found, train),
        bit_depth=statistics.bit_depth,
        ignore_index=builder.ignore_index,
        dataset_sha256=dataset_digest,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **targets,
        **builder.texts,
    )


def _class_counts(builder: TaskBuilder, found: Sequence[Inspection], train: Sequence[int]) -> dict[str, int]:
    number = len(builder.class_names)
    if builder.task_type is TaskType.CLASSIFICATION:
        counts = np.bincount(builder.target_values()[train], minlength=number)
    elif builder.task_type is TaskType.MULTILABEL:
        counts = (builder.target_values()[train] > 0.5).sum(axis=0)
    elif builder.task_type is TaskType.SEGMENTATION:
        counts = np.array([found[row].class_pixels for row in train]).reshape(-1, number).sum(axis=0)
    else:
        return {}
    return {str(index): int(count) for index, count in enumerate(counts)}


def _folds(builder: TaskBuilder, found: Sequence[Inspection], options: CreationOptions) -> NDArray[np.int16]:
    folds = np.full(len(found), NO_FOLD, dtype=np.int16)
    rows = [row for row, sample in enumerate(builder.samples) if sample.split == "train"]
    given = [builder.samples[row].fold for row in rows]
    if not rows:
        return folds
    if set(given) == {None}:
        joined = join_groups(
            [builder.samples[row].group for row in rows], [found[row].sha256 for row in rows]
        )
        folds[rows] = assign_folds(
            _strata(builder, found, rows),
            joined if len(set(joined)) < len(rows) else None,
            num_folds=options.num_folds,
            seed=options.seed,
        )
        return folds
    chosen = [fold for fold in given if fold is not None]
    if len(chosen) < len(given):
        raise CreationError(f"Task '{builder.name}': some training samples have a fold, some have none.")
    present = sorted(set(chosen))
    if present != list(range(len(present))) or len(present) < 2:
        raise CreationError(
            f"Task '{builder.name}' has the folds {present}: at least 0 and 1, without a gap."
        )
    folds[rows] = chosen
    return folds


def _strata(builder: TaskBuilder, found: Sequence[Inspection], rows: Sequence[int]) -> Sequence[Hashable]:
    if builder.task_type is TaskType.SEGMENTATION:
        return [tuple(count > 0 for count in found[row].class_pixels) for row in rows]
    if builder.task_type is TaskType.UNLABELLED:
        return [0 for _ in rows]
    values = builder.target_values()[rows]
    if builder.task_type is TaskType.CLASSIFICATION:
        return [int(each) for each in values]
    if builder.task_type is TaskType.MULTILABEL:
        return [tuple(bool(each > 0.5) for each in row) for row in values]
    return quantile_strata([float(row[0]) for row in values])


def write_task(folder: Path, header: TaskHeader, columns: dict[str, Any]) -> TaskHeader:
    """Write the table and the header of a task into a private folder, and return the header as written."""
    digest = SampleTable.write(folder / SAMPLES_FILE, columns)
    header = msgspec.structs.replace(header, samples_sha256=digest)
    (folder / HEADER_FILE).write_bytes(encode_header(header))
    return header
