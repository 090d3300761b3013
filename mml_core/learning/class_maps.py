"""A model's head on another task: outputs brought into the order of that task's classes, by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError, near_matches
from mml_core.learning.outputs import CLASSIFICATION, REGRESSION, SEGMENTATION

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule
    from mml_core.learning.outputs import TaskOutput

OF_ONE_CLASS = (CLASSIFICATION, SEGMENTATION)
"""Types of which several classes can be one of another task: their probabilities add up."""


class ClassMapError(MMLError):
    """The classes of a task are not those of the model that is to be evaluated on it."""


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """What the outputs for a task mean.

    Attributes:
        task: Name of the task.
        task_type: Its type.
        names: Names of classes, labels, or values of a regression, in the order of the outputs.
    """

    task: str
    task_type: str
    names: Sequence[str]

    @classmethod
    def of(cls, struct: Any) -> Labelling:
        """Read it off a TaskStruct or TaskDescription."""
        task_type = str(getattr(struct.task_type, "value", struct.task_type))
        names = struct.target_names if task_type == REGRESSION else struct.class_names
        return cls(task=struct.name, task_type=task_type, names=tuple(names))


def map_classes(
    model: Labelling, target: Labelling, given: Mapping[str, Any] | None = None
) -> tuple[tuple[int, ...], ...]:
    """Find for every class of a task the outputs of a model that mean it.

    The model's other outputs are left out, as if it had known that these classes alone occur (Hendrycks et
    al., 2021, evaluate on subsets of classes so).

    Args:
        model: What the model was trained on.
        target: What it is to be evaluated on.
        given: Class of the task → class of the model, or a list of classes that are this one together;
            classes that are not named here have the same name in both.

    Returns:
        Per class of the task the numbers of outputs.

    Raises:
        ClassMapError: The types differ; a class is missing, or ambiguous.
    """
    chosen = dict(given or {})
    where = f"The model of task '{model.task}' cannot be evaluated on '{target.task}'"
    if model.task_type != target.task_type:
        raise ClassMapError(
            f"{where}: the one is of type {model.task_type}, the other of type {target.task_type}; leave it"
            " out of mode.eval_on."
        )
    _refuse_strangers(chosen, target)
    wanted = [_asked(chosen.get(name, name), name, target) for name in target.names]
    if model.task_type not in OF_ONE_CLASS and any(len(names) != 1 for names in wanted):
        raise ClassMapError(f"{where}: of type {model.task_type}, each name needs exactly one of the model.")
    used = [name for names in wanted for name in names]
    missing = [name for name in used if name not in model.names]
    if missing:
        hint = near_matches(missing[0], model.names)
        raise ClassMapError(
            f"{where}: it has no class {', '.join(map(repr, missing))}, only {', '.join(model.names)}; say"
            f" what they are by mode.class_maps.{target.task}={{…}}.{hint}"
        )
    twice = [name for name, count in Counter(used).items() if count > 1]
    twice += [name for name, count in Counter(model.names).items() if count > 1 and name in used]
    if twice:
        raise ClassMapError(
            f"{where}: {', '.join(map(repr, twice))} is ambiguous, as it would stand for more than one class;"
            f" give each class one of its own by mode.class_maps.{target.task}={{…}}."
        )
    return tuple(tuple(model.names.index(name) for name in names) for names in wanted)


def remapped(model: MMLModule, task: str, output: TaskOutput, groups: Sequence[Sequence[int]]) -> MMLModule:
    """Return a model for prediction whose outputs are those for another task.

    Args:
        model: Has a head for ``task``.
        task: Whose head is used.
        output: The head of the other task.
        groups: What :func:`map_classes` found.
    """
    import torch

    from mml_core.learning.head_views import through_head
    from mml_core.learning.heads import Grouped, RegressionHead

    head = model.head(task)
    if not isinstance(head, RegressionHead):
        return through_head(model, torch.nn.Sequential(head, Grouped(groups)), output)
    order = [group[0] for group in groups]
    regression = RegressionHead(torch.nn.Sequential(head.body, Grouped(groups)), len(order))
    regression.target_mean.copy_(head.target_mean[order])
    regression.target_std.copy_(head.target_std[order])
    return through_head(model, regression, output)


def _refuse_strangers(given: Mapping[str, Any], target: Labelling) -> None:
    for name in given:
        if name not in target.names:
            raise ClassMapError(
                f"mode.class_maps.{target.task} names '{name}', which is no class of that task; it has"
                f" {', '.join(target.names)}.{near_matches(str(name), target.names)}"
            )


def _asked(value: Any, name: str, target: Labelling) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
        raise ClassMapError(
            f"mode.class_maps.{target.task}.{name} must be a class of the model or a list of some, found"
            f" {value!r}."
        )
    return names
