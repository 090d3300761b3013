"""Heads: what turns features of a shared backbone into the outputs of one task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import Self, override

from mml_core.learning.outputs import REGRESSION, TaskOutput


def head_key(task: str) -> str:
    """Return the name of a task's head in the module tree: reversible, without a dot, never an attribute."""
    return "task:" + task.replace("%", "%25").replace(".", "%2E")


def build_heads(outputs: Sequence[TaskOutput], feature_dim: int | None) -> nn.ModuleDict:
    """Make the heads of a network.

    Args:
        outputs: What they have to put out.
        feature_dim: Length of the backbone's feature vector; None for a net that puts out final values. Of
            several tasks these are the channels of the first task, then those of the second, and so on.
    """
    heads, first = {}, 0
    for output in outputs:
        channels = slice(first, first + output.width)
        first = channels.stop
        body: nn.Module
        if feature_dim is not None:
            body = nn.Linear(feature_dim, output.width)
        else:
            body = nn.Identity() if len(outputs) == 1 else Channels(channels)
        regression = output.task_type == REGRESSION
        heads[head_key(output.task)] = RegressionHead(body, output.width) if regression else body
    return nn.ModuleDict(heads)


class Channels(nn.Module):
    """Some of the channels of a net that puts out the final values of several tasks.

    Where the last layer is a convolution, as in segmentation nets, that is a convolution of its own per task.

    Args:
        channels: Which channels.
    """

    def __init__(self, channels: slice) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, values: Tensor) -> Tensor:
        """Return channels of (B, C, …)."""
        return values[:, self.channels]


class Grouped(nn.Module):
    """Brings outputs into another order, and joins those that are one class there.

    The logit of several classes together is the logarithm of the sum of their exponentials, so that their
    probabilities add up.

    Args:
        groups: Per new output the numbers of old ones.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.groups = [list(group) for group in groups]

    def forward(self, values: Tensor) -> Tensor:
        """Turn (B, C, …) into (B, number of groups, …)."""
        if all(len(group) == 1 for group in self.groups):
            return values[:, [group[0] for group in self.groups]]
        return torch.stack([values[:, group].logsumexp(1) for group in self.groups], 1)


class RegressionHead(nn.Module):
    """A head that learns standardised targets and knows how to turn them back.

    Mean and standard deviation of the training targets are buffers, so they are saved with the weights. They
    stay float32 whatever the model is trained in: 2000 in bfloat16 may be off by 8.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("target_mean", torch.zeros(width))
        self.register_buffer("target_std", torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        """Return standardised values (B, width)."""
        result: Tensor = self.body(features)
        return result

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        kept = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's stub has no types for it
        for name, buffer in kept.items():
            setattr(self, name, buffer.to(self.get_buffer(name).device))
        return self

    def fit_targets(self, values: Tensor) -> None:
        """Take mean and standard deviation from training targets (N, width)."""
        values = values.double().reshape(-1, self.target_mean.numel())
        std = values.std(0, correction=0)
        self.target_mean.copy_(values.mean(0))
        self.target_std.copy_(torch.where(std > 0, std, 1.0))

    def standardise(self, targets: Tensor) -> Tensor:
        """Turn targets into what the head learns."""
        return (targets - self.target_mean) / self.target_std

    def restore(self, outputs: Tensor) -> Tensor:
        """Turn what the head puts out into values on the scale of the targets."""
        return outputs * self.target_std + self.target_mean
