"""Fisher embeddings of tasks by the weights of a backbone, each as one Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.api import MMLError
from mml_similarity.parquet import reading, write_table


class EmbeddingFileError(MMLError):
    """Fisher embeddings cannot be read, or do not belong together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskEmbedding:
    """The Fisher information of a backbone's filters for a task.

    Attributes:
        task: Name of the task.
        likelihood: What its head predicts: ``softmax``, ``bernoulli`` or ``gaussian``.
        samples: Images it was averaged over.
        filters: Name of the layer, and number in it, of each filter, F.
        information: (F,), not negative.
        backbone: What the backbone was, as features tell.
        options: What it was computed with: ``l2``, ``exact``, ``draws``.
    """

    task: str
    likelihood: str
    samples: int
    filters: Sequence[tuple[str, int]]
    information: NDArray[np.float64]
    backbone: dict[str, Any]
    options: dict[str, Any]


def save_embedding(path: Path, embedding: TaskEmbedding) -> None:
    """Write an embedding atomically, a row for each filter; equal ones give equal bytes.

    Columns: ``layer``, ``filter``, ``information``.

    Raises:
        EmbeddingFileError: Some of it is no finite number.
    """
    import pyarrow as pa

    if not np.isfinite(embedding.information).all():
        raise EmbeddingFileError(
            f"The Fisher information of task '{embedding.task}' is not finite; choose another backbone, or a"
            " greater mode.fisher.l2."
        )
    header = {
        "task": embedding.task,
        "likelihood": embedding.likelihood,
        "samples": embedding.samples,
        "backbone": embedding.backbone,
        "options": embedding.options,
    }
    layers, numbers = zip(*embedding.filters, strict=True)
    columns = {
        "layer": pa.array(layers, pa.string()),
        "filter": pa.array(numbers, pa.int64()),
        "information": pa.array(embedding.information, pa.float64()),
    }
    write_table(path, pa.table(columns), header)


def load_embedding(path: Path) -> TaskEmbedding:
    """Read what :func:`save_embedding` wrote.

    Raises:
        EmbeddingFileError: The file is missing, damaged, or something else.
    """
    with reading(path, EmbeddingFileError, "Fisher embedding", "embed the task again") as (table, header):
        embedding = TaskEmbedding(
            task=str(header["task"]),
            likelihood=str(header["likelihood"]),
            samples=int(header["samples"]),
            filters=list(
                zip(table["layer"].to_pylist(), table["filter"].to_pylist(), strict=True),
            ),
            information=np.array(table["information"].to_numpy(), dtype=np.float64),
            backbone=dict(header["backbone"]),
            options=dict(header["options"]),
        )
        usable = np.isfinite(embedding.information).all() and (embedding.information >= 0).all()
        if not usable or not len(embedding.filters):
            raise ValueError("information that is negative, not finite, or not there")
        return embedding


def require_comparable(embeddings: Sequence[TaskEmbedding], options: dict[str, Any]) -> None:
    """Refuse embeddings that were made by different backbones, or with other options.

    Raises:
        EmbeddingFileError: Names the task, and what differs.
    """
    for each in embeddings:
        found = {key: each.options.get(key) for key in options}
        differing = [f"{key}={found[key]}" for key in options if found[key] != options[key]]
        if differing:
            raise EmbeddingFileError(
                f"The Fisher embedding of task '{each.task}' that is reused was made with"
                f" {', '.join(differing)}; set mode.fisher so, or leave out reuse.fisher_embeddings."
            )
        first = embeddings[0]
        if first.backbone != each.backbone or list(first.filters) != list(each.filters):
            raise EmbeddingFileError(
                f"The Fisher embeddings of the tasks '{first.task}' and '{each.task}' come from different"
                " backbones; embed all tasks by one."
            )
