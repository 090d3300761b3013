"""Augmentation of whole batches, each sample by random numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from mml_core.data.dataset import Batch
from mml_core.data.draws import Draws
from mml_core.data.errors import LoaderError
from mml_core.data.kornia_operations import Operation, seeds_of
from mml_core.data.mixing import Mixing, mixing_of
from mml_core.errors import near_matches
from mml_core.tasks.description import TaskType

GEOMETRY = ("flip_horizontal", "flip_vertical", "rotate", "translate", "scale", "shear")
COLOUR = ("brightness", "contrast")
MIXING = ("mixup", "cutmix", "mix_probability")
VIEWS = ("flip_horizontal", "flip_vertical", "rotate_90", "rotate_180", "rotate_270")
"""What test-time augmentation can show beside the image as it is."""


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
        kornia: Operations of kornia, one after the other, after the changes above.
        mixing: How samples of a batch are mixed, at last.
        test_time: Views of `VIEWS` whose predictions are averaged with that of the image as it is.
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
    kornia: tuple[Operation, ...] = ()
    mixing: Mixing = field(default_factory=Mixing)
    test_time: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Augmentation:
        """Read the group.

        Raises:
            LoaderError: A key is unknown or a value impossible.
        """
        known = ("name", *GEOMETRY, *COLOUR, "kornia", *MIXING, "test_time")
        for key, value in config.items():
            if key not in known:
                near = near_matches(str(key), known)
                raise LoaderError(f"augmentations has no key '{key}'; there are {', '.join(known)}.{near}")
            limit = {"rotate": 180.0, "shear": 89.0}.get(str(key), 1.0)
            if key in (*GEOMETRY, *COLOUR) and not (isinstance(value, (int, float)) and 0 <= value <= limit):
                raise LoaderError(
                    f"augmentations.{key} is {value!r}; a number from 0 to {limit:g} is needed."
                )
        if not config.get("scale", 0) < 1:
            raise LoaderError("augmentations.scale is 1, which shrinks an image to nothing; stay below.")
        plain: Any = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config
        values: dict[str, Any] = {str(key): value for key, value in plain.items()}
        mixing = mixing_of({key: values.pop(key) for key in MIXING if key in values})
        kornia = tuple(Operation.from_config(each) for each in _list(values, "kornia"))
        return cls(**{**values, "kornia": kornia, "mixing": mixing, "test_time": _views(values)})

    @property
    def is_identity(self) -> bool:
        """Whether nothing is done to training batches at all."""
        return not (self._geometric or self.brightness or self.contrast or self.kornia or self.mixing)

    def draws(self, seed: int) -> Draws | None:
        """What is drawn for training batches; None where nothing is done to them."""
        if self.is_identity:
            return None
        return Draws(seed=seed, operations=len(self.kornia), mixing=self.mixing)

    def check(self, task_type: TaskType, channels: int, size: tuple[int, int]) -> None:
        """Refuse what cannot be done to the images of a task.

        Raises:
            LoaderError: An operation does not take such images, or its targets cannot be mixed.
        """
        self.mixing.check(task_type)
        for operation in self.kornia:
            operation.check(channels, size)

    def check_views(self, size: tuple[int, int]) -> None:
        """Refuse views that would turn images on their side where that changes their extent.

        Raises:
            LoaderError: Images of ``size`` are not square.
        """
        turning = [view for view in self.test_time if view in ("rotate_90", "rotate_270")]
        if turning and size[0] != size[1]:
            raise LoaderError(
                f"augmentations.test_time has {turning[0]}, which needs square images, and these are "
                f"{size[0]}x{size[1]}: leave it out, or choose a square preprocessing."
            )

    def apply(self, batch: Batch, classes: int, outside: int | None = None) -> Batch:
        """Change a training batch whose images are float32 on 0 to 1, if anything was drawn for it.

        Args:
            batch: Has what `Draws.of` gave, which is taken out.
            classes: How many classes the task has.
            outside: What a mask becomes where nothing of its image is left; None: class 0.
        """
        batch = dict(batch)
        draws, seeds, mixing = (batch.pop(key, None) for key in ("draws", "seeds", "mixing"))
        target = batch.get("target")
        masks = target if target is not None and target.ndim == 3 else None
        if masks is not None and outside is not None:
            masks = masks.to(torch.int64) + 1  # so that 0 is no class
        if draws is not None:
            batch["image"], masks = self(batch["image"], draws, masks)
        if seeds is not None:
            for place, operation in enumerate(self.kornia):
                batch["image"], masks = operation(batch["image"], masks, seeds_of(seeds, place))
            batch["image"] = batch["image"].clamp(0, 1)
        if mixing is not None and target is not None:
            batch["image"], batch["target"] = self.mixing(batch["image"], target, mixing, classes)
        if masks is not None and outside is not None:
            masks = torch.where(masks == 0, outside, masks - 1)
        if masks is not None:
            batch["target"] = masks
        return batch

    @property
    def _geometric(self) -> bool:
        return any(getattr(self, key) for key in GEOMETRY)

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


def _list(values: Mapping[str, Any], key: str) -> list[Any]:
    found = values.get(key) or []
    if not isinstance(found, (list, tuple)):
        raise LoaderError(f"augmentations.{key} is {found!r}; a list is needed.")
    return list(found)


def _views(values: Mapping[str, Any]) -> tuple[str, ...]:
    views = _list(values, "test_time")
    for view in views:
        if view not in VIEWS:
            near = near_matches(str(view), VIEWS)
            raise LoaderError(
                f"augmentations.test_time has no view {view!r}; there are {', '.join(VIEWS)}.{near}"
            )
    return tuple(dict.fromkeys(views))
