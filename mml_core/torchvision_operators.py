"""Lets libraries import a torchvision whose compiled operators do not load beside the installed torch.

That is what PyPI's torchvision does beside a build of torch for the CPU. It then stops with "operator
torchvision::nms does not exist", and with it Lightning, torchmetrics and whoever else looks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

OPERATORS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
"""What torchvision expects to be there whether or not it could load its operators."""


class TorchvisionOperators:
    """Declares operators that are missing, at the moment when torchvision is about to ask for them.

    It finds no module itself. An operator that is declared only has no kernel: who calls it is told so.
    """

    def __init__(self) -> None:
        self.declared: list[Any] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Declare what is missing once torchvision has tried to load its operators."""
        if fullname == "torchvision._meta_registrations":
            self._declare()
        return None

    def _declare(self) -> None:
        import torch
        from torch.library import Library

        missing = [name for name in OPERATORS if not hasattr(torch.ops.torchvision, name)]
        if len(missing) == len(OPERATORS):  # else the library is loaded, and has the namespace to itself
            library: Any = Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # torch has no types for it
            for name in missing:
                library.define(name + OPERATORS[name])
            self.declared.append(library)  # the operators go when it goes


def install() -> None:
    """Put the finder in place, once in a process."""
    if not any(isinstance(finder, TorchvisionOperators) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionOperators())
