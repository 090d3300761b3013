"""Records of data: datasets, the tasks over them, and tags that change tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mml_core.plugins.record_checks import check_line, check_name, check_ref, check_words, task_type


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """Images that can be put in place by ``mml run --mode=create``.

    Attributes:
        name: The dataset's name.
        create: Reference, called as ``create(target: Path, sources: Path) -> None``; fills an empty private
            folder, which is published with its manifest when the call returns.
        license: Under which licence the images are, e.g. ``"CC-BY-4.0"``.
        summary: One line.

    Example:
        >>> DatasetSpec(name="stars", create="mml_x.stars:fill", license="CC0-1.0").summary
        ''
    """

    noun: ClassVar[str] = "dataset"
    name: str
    create: str
    license: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        check_name(self, "name")
        check_ref(self, "create")
        check_line(self, "license")
        check_line(self, "summary")


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task that can be created over a dataset.

    Attributes:
        name: The task's name.
        dataset: Name of the dataset it takes its images from.
        create: Reference, called as ``create(dataset: Path, builder: TaskBuilder) -> None``.
        task_type: One of :data:`TASK_TYPES`.
        keywords: Words to find it by.

    Example:
        >>> TaskSpec(name="star_class", dataset="stars", create="mml_x.stars:classes",
        ...          task_type="classification").keywords
        ()
    """

    noun: ClassVar[str] = "task"
    name: str
    dataset: str
    create: str
    task_type: str
    keywords: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self, "name")
        check_name(self, "dataset")
        check_ref(self, "create")
        object.__setattr__(self, "task_type", task_type(self, "task_type", self.task_type))
        check_words(self, "keywords")


@dataclass(frozen=True, kw_only=True)
class TagSpec:
    """A change to a task, written ``task+tag?arg``; no image is copied.

    Attributes:
        name: The tag's name.
        apply: Reference, called as ``apply(task: TaskDescription, *args: str, seed: int)``; returns a
            ``TaskDescription``.
        args: Names of the arguments, for messages and documentation.
        summary: One line.

    Example:
        >>> TagSpec(name="first", apply="mml_x.tags:first", args=("n",)).args
        ('n',)
    """

    noun: ClassVar[str] = "tag"
    name: str
    apply: str
    args: tuple[str, ...] = ()
    summary: str = ""

    def __post_init__(self) -> None:
        check_name(self, "name")
        check_ref(self, "apply")
        check_words(self, "args")
        check_line(self, "summary")
