"""A model of several tasks, seen through one of its heads."""

from __future__ import annotations

from torch import nn

from mml_core.learning.heads import head_key
from mml_core.learning.module import MMLModule
from mml_core.learning.outputs import TaskOutput


def through_head(model: MMLModule, head: nn.Module, output: TaskOutput) -> MMLModule:
    """Return a model for prediction with the network of another one and a single head.

    Args:
        model: Whose network is shared.
        head: What follows the network.
        output: What it puts out, and for which task.
    """
    view = MMLModule(model.network, [output])
    view.heads[head_key(output.task)] = head
    return view.train(model.training)


def view_of(model: MMLModule, task: str) -> MMLModule:
    """Return a model of one task: the network and the head of that task; itself where it has no other head.

    Raises:
        ModelError: It has no head for the task.
    """
    head = model.head(task)
    return model if len(model.outputs) == 1 else through_head(model, head, model.outputs[task])
