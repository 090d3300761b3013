"""Where an image lies in what a network is shown of it, and the way back to the image's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mml_core.data.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The geometry of a preprocessing for an image of some extent.

    Attributes:
        extent: Height and width of the image.
        shown: Rows and columns of what the network is shown that are of the image: top, bottom, left, right.
        seen: Rows and columns of the image that the network is shown: top, bottom, left, right.
    """

    extent: tuple[int, int]
    shown: tuple[int, int, int, int]
    seen: tuple[int, int, int, int]

    @classmethod
    def of(cls, preprocessing: Preprocessing, extent: tuple[int, int]) -> Placement:
        """Work out where `Preprocessing.image` puts an image of a height and width."""
        size = preprocessing.size
        whole = (0, extent[0], 0, extent[1])
        if size is None or extent == size or preprocessing.fit == "stretch":
            height, width = size or extent
            return cls(extent=extent, shown=(0, height, 0, width), seen=whole)
        ratios = (size[0] / extent[0], size[1] / extent[1])
        scale = min(ratios) if preprocessing.fit == "pad" else max(ratios)
        inner = [max(1, round(side * scale)) for side in extent]
        if preprocessing.fit == "pad":
            top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
            return cls(extent=extent, shown=(top, top + inner[0], left, left + inner[1]), seen=whole)
        top, left = (inner[0] - size[0]) // 2, (inner[1] - size[1]) // 2
        up, across = extent[0] / inner[0], extent[1] / inner[1]
        seen = (
            round(top * up),
            round((top + size[0]) * up),
            round(left * across),
            round((left + size[1]) * across),
        )
        return cls(extent=extent, shown=(0, size[0], 0, size[1]), seen=seen)

    def classes(self, scores: Tensor, unseen: int) -> Tensor:
        """Bring the scores of classes back to the image's pixels, and choose the best class of each.

        Scores are resampled bilinearly before the choice, one class after the other, so that a large image
        needs little memory.

        Args:
            scores: (classes, height, width) of what the network was shown.
            unseen: What stands for the pixels that the network was not shown.

        Returns:
            (H, W), int32.
        """
        top, bottom, left, right = self.shown
        scores = scores[:, top:bottom, left:right]
        top, bottom, left, right = self.seen
        size = (bottom - top, right - left)
        best = torch.full(size, -torch.inf)
        chosen = torch.zeros(size, dtype=torch.int32)
        for index, score in enumerate(scores):
            here = score
            if score.shape != size:
                here = torch.nn.functional.interpolate(score[None, None], size, mode="bilinear")[0, 0]
            better = here > best
            chosen[better] = index
            best = torch.where(better, here, best)
        found = torch.full(self.extent, unseen, dtype=torch.int32)
        found[top:bottom, left:right] = chosen
        return found
