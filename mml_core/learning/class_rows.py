"""Rows of weights that belong to classes, and which of them a model of other classes can take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mml_core.learning.outputs import REGRESSION

if TYPE_CHECKING:
    from mml_core.learning.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class ClassRows:
    """The classes of a task, and where a stored model has the same ones.

    Attributes:
        names: Names of the classes, in the order of the outputs.
        pairs: Row of the new model, and that of the same class in the stored one.
    """

    names: Sequence[str] = ()
    pairs: Sequence[tuple[int, int]] = ()

    @classmethod
    def of(
        cls, own: Pipeline, source: Pipeline, task: str, source_task: str, *, remap: bool = True
    ) -> ClassRows:
        """Compare the classes of two heads by name; nothing is kept where types differ, or for values.

        Args:
            own: Describes the new model.
            source: Describes the stored model.
            task: Whose head of the new model.
            source_task: Whose head of the stored model.
            remap: Whether any rows are kept at all.
        """
        types = [
            next(output.task_type for output in pipeline.outputs if output.task == name)
            for pipeline, name in ((own, task), (source, source_task))
        ]
        names = own.classes.get(task, [])
        if not remap or types[0] != types[1] or types[0] == REGRESSION:
            return cls(names=names)
        theirs = source.classes.get(source_task, [])
        pairs = [(row, theirs.index(name)) for row, name in enumerate(names) if name in theirs]
        return cls(names=names, pairs=pairs)

    def shifted(self, own: int, other: int) -> ClassRows:
        """Return the rows where outputs of other tasks come before these, so many in each model."""
        return ClassRows(
            names=self.names, pairs=[(row + own, another + other) for row, another in self.pairs]
        )

    @property
    def kept(self) -> list[str]:
        """Classes whose rows are taken."""
        return [self.names[row] for row, _ in self.pairs]

    @property
    def new(self) -> list[str]:
        """Classes that the stored model does not have."""
        rows = {row for row, _ in self.pairs}
        return [name for row, name in enumerate(self.names) if row not in rows]

    def with_rows(self, mine: Tensor, theirs: Tensor, dims: Sequence[int]) -> Tensor:
        """Return ``mine`` with what ``theirs`` has for the classes in common, along some dimensions."""
        if not self.pairs or not differs_only_in(dims, mine, theirs):
            return mine
        rows = torch.tensor([row for row, _ in self.pairs])
        for dim in dims:
            theirs = theirs.index_select(dim, torch.tensor([other for _, other in self.pairs]))
        return _pasted(mine, theirs.to(mine.dtype), list(dims), rows)


def _pasted(whole: Tensor, part: Tensor, dims: list[int], rows: Tensor) -> Tensor:
    """Return ``whole`` with ``part`` at the rows along each of the dimensions."""
    if not dims:
        return part
    dim, *others = dims
    inner = _pasted(whole.index_select(dim, rows), part, others, rows)
    return whole.index_copy(dim, rows, inner)


def differs_only_in(dims: Collection[int], first: Tensor, second: Tensor) -> bool:
    """Tell whether two tensors have equal sizes along all other dimensions."""
    return first.ndim == second.ndim and all(
        here == there or dim in dims
        for dim, (here, there) in enumerate(zip(first.shape, second.shape, strict=True))
    )
