"""What can be wrong with an installed task, its sample table or its images."""

from __future__ import annotations

from mml_core.errors import MMLError


class TaskError(MMLError):
    """Something about a task is wrong; the base of what this package raises."""


class UnknownTaskError(TaskError):
    """No installed task, or no preprocessed variant of it, has the name asked for."""


class TaskNameError(TaskError):
    """A task name or one of its tags is not written as ``task+tag?arg``."""


class DamagedTaskError(TaskError):
    """A header or sample table cannot be read as what it says it is."""


class NewerSchemaError(TaskError):
    """A header was written by a newer mml than this one."""


class ImageError(TaskError):
    """An image or mask file cannot be used; the message names the file."""


class CreationError(TaskError):
    """A dataset or task cannot be created from what its creator gave."""


class LeakageError(CreationError):
    """The same image or subject is in the test split and in the training split, or in two folds."""


def sentence(text: str) -> str:
    """Return a text, perhaps another library's, as one line that ends like a sentence."""
    line = " ".join(text.splitlines())
    return line if line.endswith("?") else f"{line.rstrip('.')}."
