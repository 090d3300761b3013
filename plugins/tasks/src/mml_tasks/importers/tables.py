"""Lists of samples in CSV or Parquet files, as rows that say where in the file they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from mml_core.api import CreationError, near_matches, sentence


@dataclass(frozen=True)
class Row:
    """A row of a list; cells are texts, empty where there is nothing."""

    file: Path
    position: int
    cells: Mapping[str, str]

    def cell(self, column: str) -> str:
        """The text of a cell, which may be empty."""
        return self.cells[column]

    def text(self, column: str) -> str:
        """The text of a cell that must not be empty."""
        text = self.cells[column]
        if not text:
            raise self.error(f"column '{column}' is empty")
        return text

    def number(self, column: str) -> float:
        """The number in a cell."""
        text = self.text(column)
        try:
            number = float(text)
        except ValueError:
            raise self.error(f"'{text}' in column '{column}' is no number") from None
        if not isfinite(number):
            raise self.error(f"'{text}' in column '{column}' is not finite")
        return number

    def error(self, what: str) -> CreationError:
        """An error that names the row, counted from 1 after the heading."""
        return CreationError(sentence(f"{self.file}, row {self.position}: {what}"))


def read_rows(file: Path) -> list[Row]:
    """Read all rows of a ``.csv``, ``.tsv`` or ``.parquet`` file.

    Raises:
        CreationError: The file is missing, of another kind, damaged, or has no rows.
    """
    if not file.is_file():
        candidates = [path.name for path in file.parent.iterdir()] if file.parent.is_dir() else []
        raise CreationError(f"There is no file {file}.{near_matches(file.name, candidates)}")
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".txt": _read_csv, ".parquet": _read_parquet}
    if file.suffix.lower() not in readers:
        raise CreationError(f"{file} is neither .csv nor .tsv nor .parquet.")
    records = readers[file.suffix.lower()](file)
    if not records:
        raise CreationError(f"{file} has no rows.")
    return [Row(file, position, record) for position, record in enumerate(records, start=1)]


def require_columns(file: Path, rows: Sequence[Row], named: Iterable[tuple[str, str]]) -> None:
    """Refuse options that name a column the list does not have.

    Args:
        file: The list.
        rows: Its rows.
        named: Options, each with a column it names.
    """
    present = rows[0].cells
    for option, column in named:
        if column not in present:
            near = near_matches(column, present)
            raise CreationError(
                f"{file} has no column '{column}' ({option}).{near} It has: {', '.join(present)}."
            )


def _read_csv(file: Path) -> list[dict[str, str]]:
    import csv

    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(
                lines, delimiter="\t" if file.suffix.lower() == ".tsv" else ",", strict=True
            )
            _check_columns(file, reader.fieldnames or [])
            records = []
            for position, record in enumerate(reader, start=1):
                if None in record or None in record.values():
                    raise CreationError(
                        f"{file}, row {position}: it has more or fewer cells than the heading."
                    )
                records.append({name: _cell(text) for name, text in record.items()})
            return records
    except (csv.Error, UnicodeDecodeError) as error:
        raise CreationError(sentence(f"{file} cannot be read as CSV in UTF-8: {error}")) from error


def _read_parquet(file: Path) -> list[dict[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check_columns(file, pq.read_schema(file).names)
        table = pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise CreationError(sentence(f"{file} cannot be read as Parquet: {error}")) from error
    columns: dict[str, list[Any]] = table.to_pydict()
    return [{name: _cell(values[row]) for name, values in columns.items()} for row in range(table.num_rows)]


def _check_columns(file: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise CreationError(f"{file} has several columns of the name '{twice[0]}': rename them.")


def _cell(value: object) -> str:
    """The text of a cell, the same from every format; what is missing is empty, and 1.0 is 1."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
