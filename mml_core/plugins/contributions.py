"""What plugins contribute, by name and provider, and where their contributions contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mml_core.plugins.config_folders import (
    ConfigConflict,
    ConfigFolder,
    conflicts_of,
    existing_folders,
    options_of,
)
from mml_core.plugins.info import PluginInfo
from mml_core.plugins.path_conflicts import PathConflict, find_path_conflicts
from mml_core.plugins.records import (
    ArchitectureSpec,
    ConfigDir,
    DatasetSpec,
    ExecutorSpec,
    HealthCheck,
    PathAssignment,
    SchedulerSpec,
    TagSpec,
    TaskSpec,
)
from mml_core.plugins.registry import Contribution, Registry


class Contributions:
    """All that plugins contribute.

    Attributes:
        schedulers: Modes by name.
        path_assignments: Path templates by key.
        config_dirs: Config folders by ``package/path``; see :meth:`config_folders` for places on disk.
        datasets: Datasets that can be created, by name.
        tasks: Tasks that can be created, by name.
        tags: Tags by name.
        architectures: Networks by name.
        executors: Executors by name.
        health_checks: Checks of ``mml doctor`` by name.
    """

    def _join(self, plugins: Iterable[PluginInfo], hint: Callable[[], str]) -> None:
        """Join what plugins contribute, in their order; ``hint`` names those that are not loaded."""
        self.schedulers: Registry[SchedulerSpec] = Registry(SchedulerSpec.noun, hint)
        self.path_assignments: Registry[PathAssignment] = Registry(PathAssignment.noun, hint)
        self.config_dirs: Registry[ConfigDir] = Registry(ConfigDir.noun, hint)
        self.datasets: Registry[DatasetSpec] = Registry(DatasetSpec.noun, hint)
        self.tasks: Registry[TaskSpec] = Registry(TaskSpec.noun, hint)
        self.tags: Registry[TagSpec] = Registry(TagSpec.noun, hint)
        self.architectures: Registry[ArchitectureSpec] = Registry(ArchitectureSpec.noun, hint)
        self.executors: Registry[ExecutorSpec] = Registry(ExecutorSpec.noun, hint)
        self.health_checks: Registry[HealthCheck] = Registry(HealthCheck.noun, hint)
        for info in plugins:
            for kind, found in info.contributions.items():
                registry: Registry[Any] = getattr(self, kind)
                for each in found:
                    registry.add(each)

    def dataset_of(self, task: TaskSpec) -> Contribution[DatasetSpec]:
        """Return the dataset that a task takes its images from: that of its own plugin before all others.

        Raises:
            UnknownNameError: Nobody contributes it.
            AmbiguousNameError: Several plugins contribute it, and the task's own does not.
        """
        providers = {item.provider for item in self.tasks.items() if item.record is task}
        own = (item for item in self.datasets.items() if item.provider in providers)
        return next((item for item in own if item.name == task.dataset), None) or self.datasets.entry(
            task.dataset
        )

    def config_folders(self) -> list[ConfigFolder]:
        """Return the config folders on disk: mml's own first, then sorted by provider."""
        return existing_folders(self.config_dirs.items())

    def config_files(self) -> dict[str, list[ConfigFolder]]:
        """Return ``"group/option.yaml"`` to the folders that hold it, in search order."""
        return options_of(self.config_folders())

    def config_conflicts(self) -> list[ConfigConflict]:
        """Return the options that several plugins hold."""
        return conflicts_of(self.config_files())

    def path_conflicts(self) -> list[PathConflict]:
        """Return the path keys that several plugins assign, and the paths that several keys have."""
        return find_path_conflicts(self.path_assignments.items())
