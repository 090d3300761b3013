"""What can be wrong with preprocessing, a store, or the way batches are asked for."""

from __future__ import annotations

from pathlib import Path

from mml_core.errors import MMLError


class DataError(MMLError):
    """Samples cannot be brought to a network; the base of what this package raises."""


class PreprocessingError(DataError):
    """The ``preprocessing`` group of the configuration describes nothing that can be done."""


class DamagedStoreError(DataError):
    """A preprocessed store is not as it was written; it is named and not used.

    Attributes:
        what: What is wrong with it.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.what = what
        super().__init__(
            f"The preprocessed store {folder} is damaged: {what}. "
            f"Remove that folder and make it again with 'mml run --mode=preprocess'."
        )


class OutdatedStoreError(DataError):
    """A preprocessed store is of an older form than this mml reads."""


class NewerStoreError(DataError):
    """A preprocessed store was written by a newer mml."""


class ChangedSourceError(DataError):
    """An image file is no longer the one the task was made of."""


class UnequalSizesError(DataError):
    """Images of different sizes cannot form one batch."""


class LoaderError(DataError):
    """The ``sampling``, ``loader`` or ``augmentations`` group asks for something impossible."""
