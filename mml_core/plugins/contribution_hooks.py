"""Hooks by which a plugin contributes: called once, when plugins are loaded, and answered with records."""

from __future__ import annotations

from collections.abc import Iterable

from mml_core.plugins.markers import hookspec
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


@hookspec
def mml_schedulers() -> Iterable[SchedulerSpec]:
    """Contribute schedulers, each of which is a mode of ``mml run``.

    Called once, when plugins are loaded; the scheduler's module is imported when the mode is run.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_schedulers():
                yield SchedulerSpec(name="count", target="mml_x.scheduler:CountScheduler")
                yield SchedulerSpec(name="show", target="mml_x.scheduler:ShowScheduler", writes=False)
    """
    raise NotImplementedError


@hookspec
def mml_path_assignments() -> Iterable[PathAssignment]:
    """Contribute templates for the paths of files.

    Called once, when plugins are loaded. A key that another plugin assigns too is an error at the
    start of a run.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_path_assignments():
                yield PathAssignment(key="maps", path="PROJ_PATH/MAPS/TASK_NAME/map.png", reusable=True)
                yield PathAssignment(key="nets", path="TEMP_PATH/FILE_NAME", type="torch.nn:Module")
    """
    raise NotImplementedError


@hookspec
def mml_config_dirs() -> Iterable[ConfigDir]:
    """Contribute folders of configuration groups, such as ``conf/mode/count.yaml``.

    Called once, when plugins are loaded. The folder is found without importing its package and joins Hydra's
    search path. The same ``group/option.yaml`` in two plugins is reported.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_config_dirs():
                yield ConfigDir(package="mml_x")
    """
    raise NotImplementedError


@hookspec
def mml_datasets() -> Iterable[DatasetSpec]:
    """Contribute datasets that ``mml run --mode=create`` can put in place.

    Called once, when plugins are loaded; the function that fills the folder is imported when it is needed.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_datasets():
                yield DatasetSpec(name="stars", create="mml_x.stars:fill", license="CC0-1.0")
    """
    raise NotImplementedError


@hookspec
def mml_tasks() -> Iterable[TaskSpec]:
    """Contribute tasks that can be created over a dataset.

    Called once, when plugins are loaded; the function that lists the samples is imported when it is needed.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_tasks():
                yield TaskSpec(
                    name="star_class",
                    dataset="stars",
                    create="mml_x.stars:classes",
                    task_type="classification",
                )
    """
    raise NotImplementedError


@hookspec
def mml_tags() -> Iterable[TagSpec]:
    """Contribute tags, which change a task where its name is written: ``star_class+first?10``.

    Called once, when plugins are loaded.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_tags():
                yield TagSpec(name="first", apply="mml_x.tags:first", args=("n",))
    """
    raise NotImplementedError


@hookspec
def mml_architectures() -> Iterable[ArchitectureSpec]:
    """Contribute networks that ``arch.name`` may name.

    Called once, when plugins are loaded; the library is imported when a network is built.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_architectures():
                yield ArchitectureSpec(name="Tiny", target="mml_x.nets:tiny", task_types=("classification",))
    """
    raise NotImplementedError


@hookspec
def mml_executors() -> Iterable[ExecutorSpec]:
    """Contribute ways to start the workers of a run.

    Called once, when plugins are loaded.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_executors():
                yield ExecutorSpec(name="cluster", target="mml_x.cluster:ClusterExecutor")
    """
    raise NotImplementedError


@hookspec
def mml_health_checks() -> Iterable[HealthCheck]:
    """Contribute checks that ``mml doctor`` runs.

    Called once, when plugins are loaded; the check is imported when the doctor runs.

    Returns:
        Records; a generator will do.

    Example:
        ::

            @hookimpl
            def mml_health_checks():
                yield HealthCheck(name="mirror", run="mml_x.health:mirror")
    """
    raise NotImplementedError
