"""Applying stored models to images of no task: one model, or the mean over models of several folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mml_core.data.new_images import NewImage, prepare
from mml_core.data.normalisation import Normaliser
from mml_core.data.placement import Placement
from mml_core.data.preprocessing import Preprocessing
from mml_core.errors import MMLError
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, SEGMENTATION, TaskOutput
from mml_core.learning.predictions import Predictions, mask_type
from mml_core.learning.probabilities import logits_of, probabilities

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule
    from mml_core.learning.pipeline import Pipeline
    from mml_core.learning.stored_calibrations import StoredCalibration
    from mml_core.plugins import PluginManager
    from mml_core.tasks.models import ModelStorage

NO_FOLD = -1
"""The fold of predictions that several models have made."""
_READERS = 4


class UnequalModelsError(MMLError):
    """Models cannot be averaged: they put out different things, or take different images."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What models made of images.

    Attributes:
        predictions: Of the images that could be predicted; split ``unlabelled``, in the order of the images.
        problems: One line for each other image.
    """

    predictions: Predictions
    problems: list[str]


@dataclass(frozen=True)
class _Ready:
    """An image as the networks get it, not normalised."""

    name: str
    path: Path
    pixels: NDArray[np.float32]
    extent: tuple[int, int]


class Ensemble:
    """Models of one task that predict as one, by the mean of their probabilities or values.

    Args:
        members: Pipeline and model of each, ready to predict.
        task: Whose head is asked.
        fold: Of the model; -1 of several.

    Attributes:
        output: What the models put out.
        classes: Names of the classes or labels; numbers where the pipelines do not have them.

    Raises:
        UnequalModelsError: They do not go together.
    """

    def __init__(
        self, members: Sequence[tuple[Pipeline, MMLModule]], task: str, *, fold: int = NO_FOLD
    ) -> None:
        self.task = task
        self.fold = fold
        self._models = [(model, _normaliser(pipeline, task)) for pipeline, model in members]
        first = members[0][0]
        for pipeline, _ in members[1:]:
            _require_equal(first, pipeline, task)
        self.output = _output(first, task)
        self.channels = first.in_channels
        self.image_size = first.image_size
        self.preprocessing = _preprocessing(first)
        names = first.classes.get(task, [])
        self.classes = names or [str(index) for index in range(self.output.width)]

    @classmethod
    def load(
        cls,
        models: Sequence[ModelStorage],
        plugins: PluginManager,
        *,
        task: str | None = None,
        device: str = "cpu",
    ) -> Ensemble:
        """Rebuild stored models.

        Args:
            models: At least one.
            plugins: Where their architectures are registered; nothing else is instantiated.
            task: One of the tasks the models have learnt; by default the one they are stored for.
            device: Where they compute.

        Raises:
            PipelineError: A pipeline cannot be read.
            WeightsError: Weights cannot.
            ModelError: The models have not learnt the task.
            UnequalModelsError: They do not go together.
        """
        from mml_core.learning.head_views import view_of
        from mml_core.learning.pipeline import load_model, load_pipeline

        chosen = task or models[0].task
        members = []
        for model in models:
            pipeline = load_pipeline(model.pipeline)
            loaded = view_of(load_model(pipeline, model.weights, plugins), chosen)
            members.append((pipeline, loaded.to(device).eval()))
        return cls(members, chosen, fold=models[0].fold if len(models) == 1 else NO_FOLD)

    def apply(
        self,
        images: Sequence[NewImage],
        *,
        batch_size: int = 32,
        calibrations: Sequence[StoredCalibration] = (),
        advance: Callable[[int], None] = lambda done: None,
    ) -> Applied:
        """Predict images; one that cannot be is named, and the others are predicted.

        Args:
            images: Images of any sizes.
            batch_size: How many are read, and predicted, at once.
            calibrations: One for each model, by which its outputs are mapped before the mean; none: as they
                are.
            advance: Called with how many more images are done.

        Raises:
            CalibrationError: A calibration does not fit, or needs more images.
        """
        found = _Found()
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(images), batch_size):
                chunk = images[start : start + batch_size]
                read = list(pool.map(self._read, chunk))
                found.problems += [str(each) for each in read if isinstance(each, MMLError)]
                for batch in _of_equal_shape([each for each in read if isinstance(each, _Ready)]):
                    self._predict_all(batch, found)
                advance(len(chunk))
        return Applied(predictions=self._joined(found, images, calibrations), problems=found.problems)

    def _read(self, image: NewImage) -> _Ready | MMLError:
        try:
            pixels = image.read()
            ready = prepare(pixels, self.preprocessing, self.channels, image.path)
        except MMLError as error:
            return error
        return _Ready(image.name, image.path, ready, (pixels.shape[0], pixels.shape[1]))

    def _predict_all(self, batch: Sequence[_Ready], found: _Found) -> None:
        try:
            outputs = self._outputs(torch.from_numpy(np.stack([each.pixels for each in batch])))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            size = batch[0].pixels.shape[1:]
            if size == self.image_size:
                raise
            # A network may not take images of another size than those it was trained on.
            why = " ".join(str(error).split())[:200]
            expected = f"{self.image_size[0]}x{self.image_size[1]}"
            found.problems += [
                f"Image {each.path} is {size[0]}x{size[1]} pixels, which the network, trained on {expected},"
                f" cannot take ({why}): resize it."
                for each in batch
            ]
            return
        for each, output in zip(batch, outputs, strict=True):
            if not bool(torch.isfinite(output).all()):
                found.problems.append(f"Image {each.path}: the model puts out no finite numbers for it.")
            elif self.output.task_type == SEGMENTATION:
                masks = replace(self.output, ignore_index=self._unseen)
                placement = Placement.of(self.preprocessing, each.extent)
                classes = placement.classes(output, self._unseen)
                found.outputs[each.name] = classes.to(mask_type(masks))
            else:
                found.outputs[each.name] = output

    @torch.inference_mode()
    def _outputs(self, images: Tensor) -> Tensor:
        """Return logits or values of each model (B, M, K), or mean probabilities of pixels (B, K, H, W)."""
        task_type = self.output.task_type
        results = []
        for model, normalise in self._models:
            output = model.predict(normalise(images.to(model.device)), self.task).cpu()
            results.append(output.softmax(1) if task_type == SEGMENTATION else output)
        if task_type != SEGMENTATION:
            return torch.stack(results, dim=1)
        return results[0] if len(results) == 1 else torch.stack(results).double().mean(0).float()

    def _joined(
        self, found: _Found, images: Sequence[NewImage], calibrations: Sequence[StoredCalibration]
    ) -> Predictions:
        names = [image.name for image in images if image.name in found.outputs]
        outputs = [found.outputs[name] for name in names]
        output = self.output
        if output.task_type == SEGMENTATION and self.preprocessing.fit == "crop":
            output = replace(output, ignore_index=self._unseen)
        joined = Predictions(
            output=output,
            fold=self.fold,
            split="unlabelled",
            sample_ids=names,
            outputs=outputs,  # masks may be of unequal sizes
            targets=None,
        )
        if output.task_type == SEGMENTATION:
            return joined
        if not outputs:
            return replace(joined, outputs=torch.empty(0, output.width))
        members = [replace(joined, outputs=each) for each in torch.stack(outputs, dim=1)]
        if calibrations:
            members = [each.apply(member) for each, member in zip(calibrations, members, strict=True)]
        results = [member.outputs for member in members if isinstance(member.outputs, Tensor)]
        return replace(joined, outputs=self._mean(results))

    def _mean(self, results: Sequence[Tensor]) -> Tensor:
        if len(results) == 1:
            return results[0]
        task_type = self.output.task_type
        if task_type not in (CLASSIFICATION, MULTILABEL):
            return torch.stack(list(results)).double().mean(0).float()
        chances = np.mean([probabilities(task_type, each.double().numpy()) for each in results], axis=0)
        return torch.from_numpy(logits_of(task_type, chances, least=_LEAST)).float()

    @property
    def _unseen(self) -> int:
        """What stands for pixels that a crop keeps from the network."""
        if self.output.ignore_index is not None:
            return self.output.ignore_index
        return 255 if self.output.width <= 255 else 65535


_LEAST = 1e-12
"""Probabilities of an ensemble are kept so far from 0 and 1 that their logits are finite."""


@dataclass
class _Found:
    outputs: dict[str, Tensor] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def _of_equal_shape(ready: Sequence[_Ready]) -> Iterable[list[_Ready]]:
    by_shape: dict[tuple[int, ...], list[_Ready]] = {}
    for each in ready:
        by_shape.setdefault(each.pixels.shape, []).append(each)
    return by_shape.values()


def _normaliser(pipeline: Pipeline, task: str) -> Normaliser:
    normalisation = pipeline.normalisation[task]
    return Normaliser(normalisation["means"], normalisation["stds"])


def _output(pipeline: Pipeline, task: str) -> TaskOutput:
    return next(output for output in pipeline.outputs if output.task == task)


def _preprocessing(pipeline: Pipeline) -> Preprocessing:
    return Preprocessing.from_config(pipeline.preprocessing or {"id": "none"})


def _require_equal(first: Pipeline, second: Pipeline, task: str) -> None:
    for what, values in (
        ("outputs", [_output(each, task) for each in (first, second)]),
        ("classes", [each.classes.get(task, []) for each in (first, second)]),
        ("channels", [each.in_channels for each in (first, second)]),
        ("preprocessing", [_preprocessing(each) for each in (first, second)]),
    ):
        if values[0] != values[1]:
            raise UnequalModelsError(
                f"Models of task '{task}' differ in their {what}, {values[0]} and {values[1]}, and cannot be"
                " averaged; give the file of one."
            )
