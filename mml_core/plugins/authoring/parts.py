"""What a new plugin can consist of, and which templates that takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that a plugin contributes, chosen by an option of ``mml plugins new``.

    Attributes:
        name: The option's name.
        summary: What the option adds.
        noun: The same in two or three words.
        kinds: The kinds of contributions whose names it takes, as the plugin manager calls them.
    """

    name: str
    summary: str
    noun: str
    kinds: tuple[str, ...] = ()


PARTS = (
    Part(name="scheduler", summary="a mode with two kinds of steps", noun="a mode", kinds=("schedulers",)),
    Part(
        name="path",
        summary="a kind of file that other projects can reuse",
        noun="a kind of file",
        kinds=("path_assignments",),
    ),
    Part(name="task", summary="a dataset and a task made of it", noun="a task", kinds=("datasets", "tasks")),
    Part(name="tag", summary="a tag that makes variants of tasks", noun="a tag", kinds=("tags",)),
    Part(name="architecture", summary="a network", noun="a network", kinds=("architectures",)),
    Part(name="executor", summary="a way to start workers", noun="an executor", kinds=("executors",)),
    Part(name="command", summary="a command `mml NAME`", noun="a command"),
)
DEFAULT = ("scheduler", "path")
"""The parts of a plugin that is made without an option."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A folder of templates; a file of a later layer replaces that of an earlier one.

    Attributes:
        folder: Its name below ``templates``.
        every: It is taken where all of these parts are chosen,
        some: and one of these; empty: whichever.
        records: The records that its hooks use.
        requires: What it needs besides mml-core.
        replaces: The layer whose hooks and paragraphs its own stand for.
    """

    folder: str
    every: frozenset[str] = frozenset()
    some: frozenset[str] = frozenset()
    records: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    replaces: str = ""

    def applies(self, chosen: frozenset[str]) -> bool:
        """Tell whether a plugin of these parts needs it."""
        return self.every <= chosen and (not self.some or bool(self.some & chosen))


def _layer(folder: str, *parts: str, **further: Any) -> Layer:
    return Layer(folder=folder, every=frozenset(parts), **further)


LAYERS = (
    _layer("base"),
    _layer("scheduler", "scheduler", records=("SchedulerSpec",)),
    _layer("path", "path", records=("PathAssignment",)),
    _layer("scheduler_path", "scheduler", "path", replaces="scheduler"),
    Layer(
        folder="config",
        some=frozenset({"scheduler", "architecture", "executor"}),
        records=("ConfigDir",),
    ),
    _layer("task", "task", records=("DatasetSpec", "TaskSpec"), requires=("pillow>=10.3",)),
    _layer("tag", "tag", records=("TagSpec",), requires=("numpy>=1.26",)),
    _layer("architecture", "architecture", records=("ArchitectureSpec",), requires=("torch>=2.4",)),
    _layer("executor", "executor", records=("ExecutorSpec",)),
    _layer("command", "command"),
)
"""All layers, the ones that replace files behind those whose files they replace."""
