"""Reading the arguments of a tag, each mistake one line."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from mml_core.api import MMLError, TaskDescription, TaskType, near_matches

_LONGEST = 12


class TagError(MMLError):
    """A tag cannot be applied to a task."""


def amount(text: str, tag: str, available: int) -> int:
    """Read how many samples a tag is to keep.

    Args:
        text: A share above 0 and up to 1 with a decimal point (``0.3``), or a whole number of samples.
        tag: Name of the tag, for messages.
        available: How many samples there are.

    Returns:
        A number of samples from 1 to ``available``.
    """
    if "." in text:
        return max(1, round(share(text, tag, minimum_excluded=True) * available))
    number = whole(text, tag)
    if not 1 <= number <= available:
        raise TagError(
            f"Tag '{tag}?{text}' asks for {number} of {available} training samples: choose 1 to {available},"
            " or a share such as 0.5."
        )
    return number


def share(text: str, tag: str, *, minimum_excluded: bool = False) -> float:
    """Read a share from 0 to 1."""
    value = _decimal(text)
    if value is None or not 0 <= value <= 1 or (minimum_excluded and value == 0):
        least = "above 0" if minimum_excluded else "from 0"
        raise TagError(f"Tag '{tag}?{text[:_LONGEST]}' needs a share {least} up to 1, such as 0.3.")
    return float(value)


def weight(text: str, tag: str) -> float:
    """Read a weight, a number above 0."""
    value = _decimal(text)
    if value is None or value <= 0:
        raise TagError(f"Tag '{tag}' has the weight '{text[:_LONGEST]}'; a number above 0 is needed.")
    return float(value)


def whole(text: str, tag: str) -> int:
    """Read a whole number."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST):
        raise TagError(f"Tag '{tag}?{text[:_LONGEST]}' needs a whole number.")
    return int(text)


def require_type(task: TaskDescription, tag: str, *types: TaskType) -> None:
    """Refuse a task of another type."""
    if task.task_type not in types:
        raise TagError(
            f"Tag '{tag}' is for tasks of type {' or '.join(each.value for each in types)}; '{task.name}' is"
            f" of type {task.task_type.value}."
        )


def class_indices(task: TaskDescription, names: Sequence[str], tag: str) -> list[int]:
    """Find classes by name, or by index where no class is named so, each once and in the order given."""
    known = task.class_names
    found: list[int] = []
    for name in names:
        if name in known:
            index = known.index(name)
        elif name.isascii() and name.isdigit() and int(name[:_LONGEST]) < len(known):
            index = int(name)
        else:
            raise TagError(
                f"Tag '{tag}' names the class '{name}', which '{task.name}' does not have:"
                f" {_listed(known)}.{near_matches(name, known)}"
            )
        if index in found:
            raise TagError(f"Tag '{tag}' names the class '{known[index]}' more than once.")
        found.append(index)
    return found


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return f"it has {shown}{', …' if len(names) > most else ''}" if names else "it has none"


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if len(text) <= _LONGEST and value.is_finite() else None
