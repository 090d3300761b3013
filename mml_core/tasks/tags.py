"""Task names with tags (``task+tag?arg?arg+tag``), and the tags that the core brings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, cast

from mml_core.plugins.names import split_qualified
from mml_core.tasks.description import TaskDescription
from mml_core.tasks.errors import TaskNameError

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager, TagSpec

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.\-]*:)?[A-Za-z0-9][A-Za-z0-9_.\-]*")
_LONGEST = 100
_SHOWN = 60
_MOST_DIGITS = 9
_MOST_SAMPLES = 2**31
_ARGUMENT = re.compile(r"[^+?/\\,\x00-\x1f]+")
_SYNTAX = "write task+tag?argument, such as digits+nested?0"


@dataclass(frozen=True)
class Tag:
    """A change to a task that is made on the fly: name, ``provider:`` included, and arguments as written."""

    name: str
    args: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "?".join((self.name, *self.args))


def parse_task_name(text: str) -> tuple[str, list[Tag]]:
    """Split a task name into the installed task and its tags, in the order they apply.

    Task and tags may be written ``provider:name``. A task is installed under its short name, so the provider
    is left out of it; see `task_to_create`.

    Raises:
        TaskNameError: The name is not written as ``task+tag?arg?arg+tag``.
    """
    written, *pieces = text.split("+")
    _check_name(written, "task name", text)
    _, base = split_qualified(written)
    tags = []
    for piece in pieces:
        name, *args = piece.split("?")
        _check_name(name, "tag", text)
        for arg in args:
            if not _ARGUMENT.fullmatch(arg):
                raise TaskNameError(
                    f"Tag '{name}' in {_short(text)!r} has the argument {_short(arg)!r}: {_SYNTAX}."
                )
        tags.append(Tag(name, tuple(args)))
    return base, tags


def task_to_create(text: str) -> str:
    """Return the task of a name as plugins know it, tags aside: ``provider:`` is kept where it is written."""
    return text.partition("+")[0]


def without_provider(text: str) -> str:
    """Return a task name with its tags, under which the task is known once it is installed."""
    written, plus, tags = text.partition("+")
    return f"{split_qualified(written)[1]}{plus}{tags}"


def _check_name(name: str, kind: str, text: str) -> None:
    if not _NAME.fullmatch(name):
        raise TaskNameError(
            f"{_short(text)!r} has the {kind} {_short(name)!r}, which begins with a letter or digit and "
            f"holds letters, digits, '_', '.' and '-' only, after 'provider:' or alone: {_SYNTAX}."
        )
    if len(name) > _LONGEST:
        raise TaskNameError(
            f"The {kind} '{_short(name)}' has {len(name)} characters; at most {_LONGEST} are possible: "
            "use a shorter one."
        )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def apply_tags(
    description: TaskDescription, tags: Sequence[Tag], plugins: PluginManager, seed: int
) -> TaskDescription:
    """Return the task as its tags make it; no image is copied.

    Args:
        description: The installed task.
        tags: The tags, applied from first to last.
        plugins: Where tags are looked up.
        seed: What tags that choose at random choose by.

    Raises:
        UnknownNameError: No plugin has such a tag; the message names near ones.
        TaskNameError: A tag has too many, too few or unusable arguments.
    """
    from mml_core.plugins import load_ref

    for tag in tags:
        spec = plugins.tags.get(tag.name)
        _check_arguments(tag, spec)
        apply = cast("Callable[..., TaskDescription]", load_ref(spec.apply))
        name = f"{description.name}+{tag}"
        try:
            description = apply(description, *tag.args, seed=seed).replace(name=name)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call itself
                raise TaskNameError(
                    f"Tag '{_short(str(tag))}' does not fit {spec.apply}: {error}."
                ) from error
            raise
    return description


def _check_arguments(tag: Tag, spec: TagSpec) -> None:
    if len(tag.args) > len(spec.args) and not (spec.args and spec.args[-1].endswith("...")):
        takes = f"takes {'?'.join(spec.args)}" if spec.args else "takes no argument"
        raise TaskNameError(f"Tag '{_short(str(tag))}' has {len(tag.args)} arguments, '{tag.name}' {takes}.")


def apply_identity(task: TaskDescription, *, seed: int) -> TaskDescription:
    """Change nothing but the name, so that one task can stand in a list twice."""
    return task


def apply_duplicate(task: TaskDescription, times: str = "2", *, seed: int) -> TaskDescription:
    """Let every sample occur ``times`` times, in the same split and fold; the copies get new ids."""
    import numpy as np

    number = _whole_number(times, "duplicate", minimum=1)
    samples = task.samples
    if len(samples) * number > _MOST_SAMPLES:
        raise TaskNameError(
            f"Tag 'duplicate?{times}' would make {len(samples) * number} samples of '{_short(task.name)}': "
            f"at most {_MOST_SAMPLES} are possible."
        )
    rows = np.repeat(np.arange(len(samples), dtype=np.int64), number)
    ids = samples.column("sample_id").to_pylist()
    table = samples.take(rows).with_columns({"sample_id": list(_ids_of_copies(ids, number))})
    counts = {index: count * number for index, count in task.class_counts.items()}
    return task.with_samples(table, class_counts=counts)


def _ids_of_copies(ids: Sequence[str], times: int) -> Iterator[str]:
    """Yield each id and those of its copies: ``<id>~<n>``, with numbers that no other sample has."""
    taken = set(ids)
    for name in ids:
        yield name
        free = (copy for copy in (f"{name}~{number}" for number in count(1)) if copy not in taken)
        yield from islice(free, times - 1)


def apply_nested(task: TaskDescription, fold: str, *, seed: int) -> TaskDescription:
    """Make the samples of one fold the test split, leave the old one out, and renumber the other folds.

    Means and standard deviations of the images stay those of the whole training split.
    """
    import numpy as np

    held_out = _whole_number(fold, "nested", minimum=0)
    if task.num_folds < 3:
        raise TaskNameError(
            f"Tag 'nested' needs three folds, to leave two to train with: '{task.name}' has {task.num_folds}."
        )
    if held_out >= task.num_folds:
        raise TaskNameError(
            f"Tag 'nested?{fold}' names no fold of '{task.name}': it has 0 to {task.num_folds - 1}."
        )
    samples = task.samples
    codes = samples.column("split").indices.to_numpy()
    kept = samples.take(np.flatnonzero(codes != 1))
    folds, splits = kept.numpy("fold").copy(), kept.column("split").to_pylist()
    chosen = folds == held_out
    splits = ["test" if test else split for split, test in zip(splits, chosen, strict=True)]
    folds[folds > held_out] -= 1
    folds[chosen] = -1
    table = kept.with_columns({"split": splits, "fold": folds})
    return task.with_samples(table, num_folds=task.num_folds - 1)


def _whole_number(text: str, tag: str, *, minimum: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) >= minimum):
        raise TaskNameError(
            f"Tag '{tag}?{_short(text)}' needs a whole number of at least {minimum} and at most "
            f"{_MOST_DIGITS} digits."
        )
    return int(text)
