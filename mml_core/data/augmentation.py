"""Augmentation of whole batches, each sample by random numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from mml_core.data.errors import LoaderError
from mml_core.errors import near_matches

DRAWS = 12
"""Random numbers a sample is given; one per change below, some spare so that a new one alters no other."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The ``augmentations`` group of the configuration: how far each change goes at most.

    Attributes:
        name: Name of the option.
        flip_horizontal: Probability of mirroring left and right.
        flip_vertical: Probability of mirroring top and bottom.
        rotate: Degrees to either side.
        translate: Part of the image's extent, in each direction.
        scale: Part by which the image grows or shrinks.
        shear: Degrees to either side.
        brightness: Part of the intensity range added or taken away.
        contrast: Part by which the distance from the image's mean grows or shrinks.
    """

    name: str = "none"
    flip_horizontal: float = 0.0
    flip_vertical: float = 0.0
    rotate: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Augmentation:
        """Read the group.

        Raises:
            LoaderError: A key is unknown or a value impossible.
        """
        known = [field.name for field in fields(cls)]
        for key, value in config.items():
            if key not in known:
                near = near_matches(str(key), known)
                raise LoaderError(f"augmentations has no key '{key}'; there are {', '.join(known)}.{near}")
            limit = {"rotate": 180.0, "shear": 89.0}.get(str(key), 1.0)
            if key != "name" and not (isinstance(value, (int, float)) and 0 <= value <= limit):
                raise LoaderError(
                    f"augmentations.{key} is {value!r}; a number from 0 to {limit:g} is needed."
                )
        if not config.get("scale", 0) < 1:
            raise LoaderError("augmentations.scale is 1, which shrinks an image to nothing; stay below.")
        return cls(**{str(key): value for key, value in config.items()})

    @property
    def is_identity(self) -> bool:
        """Whether nothing is changed at all."""
        return not (self._geometric or self.brightness or self.contrast)

    @property
    def _geometric(self) -> bool:
        chosen = asdict(self)
        return any(chosen[key] for key in chosen if key not in ("name", "brightness", "contrast"))

    def __call__(
        self, images: Tensor, draws: Tensor, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Change a batch.

        Args:
            images: (B, C, H, W) float32 on 0 to 1.
            draws: (B, `DRAWS`) uniform random numbers on the same device; what happens to a sample depends on
                its own row alone.
            masks: (B, H, W) class indices, which go through the same geometry by nearest pixel.

        Returns:
            The changed images, kept within 0 to 1, and masks; what comes in from outside is 0.
        """
        if self._geometric:
            from kornia.geometry.transform import warp_affine

            height, width = images.shape[-2:]
            matrices = self._matrices(draws, height, width)
            images = warp_affine(images, matrices, (height, width), mode="bilinear", padding_mode="zeros")
            if masks is not None:
                moved = warp_affine(
                    masks[:, None].to(images.dtype),
                    matrices,
                    (height, width),
                    mode="nearest",
                    padding_mode="zeros",
                )
                masks = moved[:, 0].round().to(masks.dtype)
        if self.contrast:
            means = images.mean(dim=(1, 2, 3), keepdim=True)
            images = means + (images - means) * (1 + self.contrast * _signed(draws, 8))[:, None, None, None]
        if self.brightness:
            images = images + (self.brightness * _signed(draws, 7))[:, None, None, None]
        return (images.clamp(0, 1) if self.contrast or self.brightness else images), masks

    def _matrices(self, draws: Tensor, height: int, width: int) -> Tensor:
        """Affine matrices (B, 2, 3) in pixels, about the centre of the image."""
        angle = torch.deg2rad(self.rotate * _signed(draws, 2))
        shear = torch.tan(torch.deg2rad(self.shear * _signed(draws, 6)))
        scale = 1 + self.scale * _signed(draws, 5)
        mirror_x = 1 - 2 * (draws[:, 0] < self.flip_horizontal).to(draws.dtype)
        mirror_y = 1 - 2 * (draws[:, 1] < self.flip_vertical).to(draws.dtype)
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        a, b = cos * mirror_x, (cos * shear - sin) * mirror_y
        c, d = sin * mirror_x, (sin * shear + cos) * mirror_y
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        shift_x = centre_x - a * centre_x - b * centre_y + self.translate * width * _signed(draws, 3)
        shift_y = centre_y - c * centre_x - d * centre_y + self.translate * height * _signed(draws, 4)
        rows = torch.stack([a, b, shift_x, c, d, shift_y], dim=1)
        return rows.reshape(-1, 2, 3)


def _signed(draws: Tensor, column: int) -> Tensor:
    return draws[:, column] * 2 - 1
