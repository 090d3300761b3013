"""Parquet files of this plugin: a table, and a JSON object about it in the metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mml_core.api import MMLError, writing

_META = b"mml"


def write_table(path: Path, table: Any, about: Any) -> None:
    """Write an Arrow table atomically, with what is said about it; equal ones give equal bytes."""
    import pyarrow.parquet as pq

    described = table.replace_schema_metadata({_META: json.dumps(about, sort_keys=True)})
    with writing(path) as temporary:
        pq.write_table(described, temporary, compression="zstd")


@contextmanager
def reading(path: Path, error: type[MMLError], what: str, again: str) -> Iterator[tuple[Any, Any]]:
    """Yield the table of a file and what is said about it, to be made something of.

    Args:
        path: The file.
        error: What is raised instead of whatever goes wrong.
        what: What the file holds, for the message.
        again: How it is made again, for the message.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        yield table, json.loads((table.schema.metadata or {})[_META])
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, IndexError) as cause:
        causes = " ".join(str(cause).split())
        raise error(f"The {what} {path} cannot be read: {causes}; {again}.") from cause
