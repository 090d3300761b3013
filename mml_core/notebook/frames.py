"""Tables of a project as pandas DataFrames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError

if TYPE_CHECKING:
    import pandas as pd


class MissingPandasError(MMLError):
    """Tables were asked for, and pandas is not installed."""


def frame(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, integers: Sequence[str] = ()
) -> pd.DataFrame:
    """Return rows as a DataFrame.

    Args:
        rows: One mapping per row.
        columns: The columns that stand first, in order; they are there without any row, too. Further keys
            follow in the order in which they are seen.
        integers: Columns of integers, some of which may be missing.

    Raises:
        MissingPandasError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingPandasError(
            "Tables are pandas DataFrames, and pandas is not installed: pip install 'mml-core[notebook]'."
        ) from error
    listed = list(rows)
    found = dict.fromkeys([*columns, *(key for row in listed for key in row)])
    table: pd.DataFrame = pd.DataFrame(listed, columns=list(found))
    for column in integers:
        table[column] = table[column].astype("Int64")
    return table
