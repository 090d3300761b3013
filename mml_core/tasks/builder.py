"""Collecting the samples of a new task, and checking them one by one as they are added."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mml_core.errors import near_matches
from mml_core.tasks.description import TaskType
from mml_core.tasks.errors import CreationError, sentence
from mml_core.tasks.samples import NO_LABEL, SPLITS

_TARGETS = {
    TaskType.CLASSIFICATION: "label",
    TaskType.MULTILABEL: "labels",
    TaskType.REGRESSION: "value",
    TaskType.SEGMENTATION: "mask",
}


@dataclass(frozen=True)
class NewSample:
    """One sample as it was added; ``target`` is of the kind the task's type needs, None without."""

    sample_id: str
    image: str
    split: str
    target: Any
    fold: int | None
    group: str | None
    original_split: str | None


class TaskBuilder:
    """What a task's creator describes its task to.

    Args:
        name: The task's name.
        task_type: What a network has to put out.
        dataset: The dataset's name.
        dataset_root: The dataset's folder; paths of images and masks are relative to it.
        keywords: Words to find the task by.

    Attributes:
        samples: What was added so far.
        warnings: What the user should look at, one line each; the creator may add to it.
        origins: Path below the dataset's folder to the user's file that was copied there, for messages.
    """

    def __init__(
        self,
        *,
        name: str,
        task_type: TaskType | str,
        dataset: str,
        dataset_root: Path,
        keywords: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.task_type = TaskType(task_type)
        self.dataset = dataset
        self.dataset_root = dataset_root
        self.class_names: list[str] = []
        self.target_names: list[str] = []
        self.ignore_index: int | None = None
        self.samples: list[NewSample] = []
        self.warnings: list[str] = []
        self.origins: dict[str, Path] = {}
        self.texts: dict[str, Any] = {
            "keywords": list(keywords),
            "license": "",
            "reference": "",
            "summary": "",
        }
        self._ids: set[str] = set()

    def describe(
        self,
        *,
        idx_to_class: Mapping[int, str] | Mapping[str, str] | Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
        ignore_index: int | None = None,
        keywords: Sequence[str] | None = None,
        license: str | None = None,
        reference: str | None = None,
        summary: str | None = None,
    ) -> None:
        """Say what the task is about; what is left out stays as it is.

        Args:
            idx_to_class: Class index to name, or the names in order; needed before the first sample, except
                for a regression. The classes of a segmentation include the background.
            target_names: Names of the values of a regression; by default it has one, ``value``.
            ignore_index: A number in the masks of a segmentation that is no class, by convention 255: its
                pixels count neither in the loss nor in metrics. It has to be above all classes, and fit into
                the 8 bits (with more than 255 classes 16 bits) that masks are stored in.
            keywords: Words to find the task by.
            license: Under which terms the images may be used.
            reference: What to cite.
            summary: One sentence on what the task is.

        Raises:
            CreationError: The class indices are not 0, 1, 2, …, two classes have one name, or
                ``ignore_index`` is one of the classes or belongs to no mask.
        """
        if idx_to_class is not None:
            self.class_names = self._ordered_classes(idx_to_class)
        if target_names is not None:
            self.target_names = list(target_names)
        if ignore_index is not None:
            self.ignore_index = ignore_index
        self._check_ignore_index()
        texts = {"license": license, "reference": reference, "summary": summary}
        self.texts.update({key: text for key, text in texts.items() if text is not None})
        if keywords is not None:
            self.texts["keywords"] = list(keywords)

    def add(
        self,
        *,
        sample_id: str,
        image: str,
        label: int | str | None = None,
        labels: Sequence[float] | None = None,
        value: float | Sequence[float] | None = None,
        mask: str | None = None,
        split: str = "train",
        fold: int | None = None,
        group: str | None = None,
        original_split: str | None = None,
    ) -> None:
        """Add a sample.

        Args:
            sample_id: Its id, unique in the task.
            image: Path of the image below the dataset's folder, with ``/``.
            label: Class index or class name, for a classification.
            labels: One number from 0 to 1 per class, for a multilabel task.
            value: The value or values, for a regression.
            mask: Path of the mask below the dataset's folder, for a segmentation.
            split: ``train``, ``test`` or ``unlabelled``.
            fold: The fold in which a training sample validates; folds are made where no sample has one.
            group: The subject; samples of one are never in different folds.
            original_split: The split its publisher put it in.

        Raises:
            CreationError: The sample does not fit the task; the message names it.
        """
        if split not in SPLITS:
            raise self._wrong(sample_id, f"split {split!r} is none of {', '.join(SPLITS)}")
        if sample_id in self._ids:
            raise self._wrong(sample_id, "its id is taken by another sample")
        if fold is not None and (split != "train" or fold < 0):
            raise self._wrong(
                sample_id, f"fold {fold} in split {split!r}: training samples have folds from 0"
            )
        given = {"label": label, "labels": labels, "value": value, "mask": mask}
        target = self._target(sample_id, {k: v for k, v in given.items() if v is not None}, split)
        self._check_path(sample_id, image)
        self._ids.add(sample_id)
        self.samples.append(NewSample(sample_id, image, split, target, fold, group, original_split))

    @property
    def target_column(self) -> str | None:
        """The column of the sample table that holds what is to be predicted."""
        return _TARGETS.get(self.task_type)

    def target_values(self) -> Any:
        """That column, one entry per sample, with what stands for none where a sample has none."""
        targets = [sample.target for sample in self.samples]
        if self.task_type is TaskType.CLASSIFICATION:
            return np.array([NO_LABEL if each is None else each for each in targets], dtype=np.int32)
        if self.task_type is TaskType.SEGMENTATION:
            return targets
        width = len(self.class_names) if self.task_type is TaskType.MULTILABEL else len(self.value_names)
        matrix = np.full((len(targets), width), np.nan, dtype=np.float32)
        for row, each in enumerate(targets):
            if each is not None:
                matrix[row] = each
        return matrix

    @property
    def value_names(self) -> list[str]:
        """Names of the values of a regression."""
        return self.target_names or ["value"]

    def _ordered_classes(self, classes: Mapping[int, str] | Mapping[str, str] | Sequence[str]) -> list[str]:
        if isinstance(classes, Mapping):
            by_index = {str(index): name for index, name in classes.items()}
            expected = [str(index) for index in range(len(by_index))]
            if set(by_index) != set(expected):
                raise CreationError(
                    f"Task '{self.name}' has the class indices {sorted(by_index)}: they have to be 0, 1, 2, …"
                )
            names = [by_index[index] for index in expected]
        else:
            names = list(classes)
        if len(set(names)) != len(names):
            raise CreationError(f"Task '{self.name}' has two classes of one name: {names}.")
        return names

    def _check_ignore_index(self) -> None:
        index = self.ignore_index
        if index is None:
            return
        if self.task_type is not TaskType.SEGMENTATION:
            raise CreationError(
                f"Task '{self.name}' has an ignore_index of {index}, and is of type {self.task_type}: only"
                " masks have pixels to ignore."
            )
        lowest, highest = len(self.class_names), 255 if len(self.class_names) <= 255 else 65535
        if not lowest <= index <= highest:
            raise CreationError(
                f"Task '{self.name}' has {lowest} classes and an ignore_index of {index}: it has to be from"
                f" {lowest} to {highest}."
            )

    def _target(self, sample_id: str, given: dict[str, Any], split: str) -> Any:
        needed = self.target_column
        if set(given) - {needed}:
            raise self._wrong(
                sample_id,
                f"a task of type {self.task_type.value} takes no {', '.join(set(given) - {needed})}",
            )
        if needed is None or (not given and split == "unlabelled"):
            return None
        if not given:
            raise self._wrong(sample_id, f"its {needed} is missing")
        return getattr(self, f"_check_{needed}")(sample_id, given[needed])

    def _check_label(self, sample_id: str, label: int | str) -> int:
        if isinstance(label, str):
            if label not in self.class_names:
                near = near_matches(label, self.class_names)
                raise self._wrong(sample_id, f"'{label}' is no class of the task.{near}")
            return self.class_names.index(label)
        try:
            index = operator.index(label)
        except TypeError:
            raise self._wrong(
                sample_id, f"label {label!r} is neither a class name nor a whole number"
            ) from None
        if not 0 <= index < len(self.class_names):
            raise self._wrong(sample_id, f"label {label} is none of the {len(self.class_names)} classes")
        return index

    def _check_labels(self, sample_id: str, labels: Sequence[float]) -> list[float]:
        numbers = [float(each) for each in labels]
        if len(numbers) != len(self.class_names):
            raise self._wrong(sample_id, f"{len(numbers)} labels for {len(self.class_names)} classes")
        if not all(0.0 <= each <= 1.0 for each in numbers):
            raise self._wrong(sample_id, f"labels {numbers} are not all from 0 to 1")
        return numbers

    def _check_value(self, sample_id: str, value: float | Sequence[float]) -> list[float]:
        given = value if isinstance(value, Sequence | np.ndarray) else [value]
        numbers = [float(each) for each in given]
        if len(numbers) != len(self.value_names):
            raise self._wrong(sample_id, f"{len(numbers)} values for {len(self.value_names)} targets")
        if not np.isfinite(numbers).all():
            raise self._wrong(sample_id, f"value {numbers} is not finite")
        return numbers

    def _check_mask(self, sample_id: str, mask: str) -> str:
        self._check_path(sample_id, mask)
        return mask

    def _check_path(self, sample_id: str, path: str) -> None:
        parts = PurePosixPath(path)
        if not path or parts.is_absolute() or ".." in parts.parts:
            raise self._wrong(sample_id, f"path {path!r} is not below the dataset's folder")

    def _wrong(self, sample_id: str, what: str) -> CreationError:
        return CreationError(sentence(f"Sample '{sample_id}' of task '{self.name}': {what}"))
