"""Augmentations of kornia by name, each sample with parameters of its own, whatever batch it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter, isabstract, signature
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from mml_core.data.errors import LoaderError
from mml_core.errors import near_matches

_MANAGED = ("same_on_batch", "keepdim", "return_transform")
_PROBES = 6


@dataclass(frozen=True)
class Operation:
    """One operation of ``augmentations.kornia``.

    Attributes:
        name: A class of ``kornia.augmentation`` that augments single images.
        arguments: What it is made with.
    """

    name: str
    arguments: Mapping[str, Any]

    @classmethod
    def from_config(cls, config: Any) -> Operation:
        """Read one entry of the list.

        Raises:
            LoaderError: There is no such operation, or it takes no such argument.
        """
        if not isinstance(config, Mapping) or "name" not in config:
            raise LoaderError(
                f"augmentations.kornia has the entry {config!r}; each needs a name, as in "
                "[{name: RandomGaussianBlur, kernel_size: [3, 3], sigma: [0.1, 2.0]}]."
            )
        name = str(config["name"])
        operations = _operations()
        if name not in operations:
            near = near_matches(name, operations)
            raise LoaderError(f"augmentations.kornia: kornia augments single images by no '{name}'.{near}")
        arguments = {str(key): _tuples(value) for key, value in config.items() if key != "name"}
        allowed = [
            key
            for key, parameter in signature(operations[name]).parameters.items()
            if key not in _MANAGED and parameter.kind is not Parameter.VAR_KEYWORD
        ]
        for key in arguments:
            if key not in allowed:
                near = near_matches(key, allowed)
                raise LoaderError(
                    f"augmentations.kornia: {name} has no argument '{key}', only {', '.join(allowed)}.{near}"
                )
        operation = cls(name, arguments)
        _ = operation.module  # what it refuses is refused now
        return operation

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "arguments": self.arguments}

    @cached_property
    def module(self) -> Any:
        """The operation itself.

        Raises:
            LoaderError: It refuses its arguments.
        """
        try:
            return _operations()[self.name](**self.arguments)
        except Exception as error:  # whatever a library makes of arguments that it was not made for
            message = " ".join(str(error).split())
            raise LoaderError(
                f"augmentations.kornia: {self.name} refuses its arguments: {message}"
            ) from error

    @cached_property
    def _container(self) -> tuple[str, Any]:
        from kornia.augmentation import AugmentationSequential
        from kornia.constants import DataKey, Resample

        nearest = {DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": None}}
        container = AugmentationSequential(self.module, data_keys=["input", "mask"], extra_args=nearest)
        (name,) = (name for name, _ in container.named_children())
        return name, container

    def check(self, channels: int, size: tuple[int, int]) -> None:
        """Try the operation on an image.

        Raises:
            LoaderError: It does not take images of so many channels, or changes their extent.
        """
        shape = (_PROBES, channels, *size)
        try:
            changed, _ = self(torch.zeros(shape), None, range(_PROBES))
        except Exception as error:  # as above
            message = " ".join(str(error).split())
            raise LoaderError(
                f"augmentations.kornia: {self.name} fails on images of {channels} channels and "
                f"{size[0]}x{size[1]} pixels: {message}"
            ) from error
        if changed.shape != shape:
            raise LoaderError(
                f"augmentations.kornia: {self.name} makes images of {size[0]}x{size[1]} pixels such of "
                f"{changed.shape[-2]}x{changed.shape[-1]}: set its size to [{size[0]}, {size[1]}]."
            )

    def __call__(
        self, images: Tensor, masks: Tensor | None, seeds: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Change a batch.

        Args:
            images: (B, C, H, W) float32 on 0 to 1.
            masks: (B, H, W) class indices, which go through the same geometry by nearest pixel.
            seeds: Of each sample; what happens to it is a function of its own alone.
        """
        drawn = list(self._drawn(seeds, images.shape[1:]))
        if self._takes_batches(images.shape[1:]):
            return self._apply(images, masks, _joined(drawn))
        changed = [
            self._apply(images[i : i + 1], None if masks is None else masks[i : i + 1], parameters)
            for i, parameters in enumerate(drawn)
        ]
        found = [mask for _, mask in changed if mask is not None]
        return torch.cat([image for image, _ in changed]), torch.cat(found) if found else None

    def _drawn(self, seeds: Sequence[int], shape: Sequence[int]) -> Iterator[dict[str, Tensor]]:
        """The parameters of each sample, as kornia draws them for a batch of one."""
        with torch.random.fork_rng(devices=[]):
            for seed in seeds:
                torch.manual_seed(seed)
                yield self.module.forward_parameters(torch.Size((1, *shape)))

    def _apply(
        self, images: Tensor, masks: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        from kornia.augmentation.container.params import ParamItem

        parameters = {key: value.to(images.device) for key, value in parameters.items()}
        if masks is None:
            result: Tensor = self.module(images, params=parameters)
            return result, None
        name, container = self._container
        item = [ParamItem(name, parameters)]
        changed, moved = container(images, masks[:, None].to(images.dtype), params=item)
        return changed, moved[:, 0].round().to(masks.dtype)

    def _takes_batches(self, shape: Sequence[int]) -> bool:
        """Whether parameters of samples can be joined; not where some are those of a batch as a whole.

        No operation says so of itself: each is tried, once in a process, on samples of noise.
        """
        if "takes_batches" not in self.__dict__:
            generator = torch.Generator().manual_seed(0)
            noise = torch.rand(
                (_PROBES, *shape[:1], *(min(side, 32) for side in shape[1:])), generator=generator
            )
            drawn = list(self._drawn(range(len(noise)), noise.shape[1:]))
            self.__dict__["takes_batches"] = _joinable(drawn) and self._agree(noise, drawn)
        return bool(self.__dict__["takes_batches"])

    def _agree(self, images: Tensor, drawn: Sequence[dict[str, Tensor]]) -> bool:
        alone = [self._apply(images[i : i + 1], None, parameters)[0] for i, parameters in enumerate(drawn)]
        try:
            together = self._apply(images, None, _joined(drawn))[0]
        except (RuntimeError, IndexError, ValueError):
            return False
        return bool(torch.allclose(together, torch.cat(alone), atol=1e-5))


def seeds_of(words: NDArray[Any], operation: int) -> list[int]:
    """The seed of each sample (B,) for the n-th operation; of 64 bits, as torch takes them."""
    return [int(word) for word in words[:, operation]]


def _operations() -> dict[str, Any]:
    import kornia.augmentation as augmentation

    base = augmentation.AugmentationBase2D
    left_out = ("Normalize", "Denormalize")  # the data module normalises
    return {
        name: found
        for name, found in vars(augmentation).items()
        if isinstance(found, type) and issubclass(found, base) and not isabstract(found)
        if name not in left_out and "Base" not in name
    }


def _joinable(drawn: Sequence[dict[str, Tensor]]) -> bool:
    """Whether each parameter has a row for the sample it was drawn for, or none where it is left as it is."""
    return all(
        value.ndim and len(value) == int((each["batch_prob"] > 0.5).sum())
        for each in drawn
        for key, value in each.items()
        if key not in ("batch_prob", "forward_input_shape")
    )


def _joined(drawn: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    joined = {
        key: torch.cat(
            [each[key] for each in drawn if each[key].numel() or len(drawn) == 1] or [drawn[0][key]]
        )
        for key in drawn[0]
        if key != "forward_input_shape"
    }
    shape = drawn[0]["forward_input_shape"].clone()
    shape[0] = len(drawn)
    return {**joined, "forward_input_shape": shape}


def _tuples(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_tuples(each) for each in value)
    return value
