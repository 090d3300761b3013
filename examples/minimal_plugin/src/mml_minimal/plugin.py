"""What this distribution contributes: names and references only, so that finding it costs nothing."""

from collections.abc import Iterable

from mml_core.plugins import ConfigDir, DatasetSpec, PathAssignment, SchedulerSpec, TaskSpec, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_schedulers() -> Iterable[SchedulerSpec]:
    """Bring the mode ``brightness``."""
    yield SchedulerSpec(
        name="brightness",
        target="mml_minimal.scheduler:BrightnessScheduler",
        subroutines=("measure", "rank"),
        summary="Measure how bright the images of each task are.",
    )


@hookimpl
def mml_path_assignments() -> Iterable[PathAssignment]:
    """Say where the measurements of a task are kept; other projects may reuse them."""
    yield PathAssignment(
        key="brightness",
        path="PROJ_PATH/BRIGHTNESS/TASK_NAME/brightness.json",
        type="builtins:dict",
        reusable=True,
    )


@hookimpl
def mml_config_dirs() -> Iterable[ConfigDir]:
    """Bring the options of the mode, in ``conf/mode/brightness.yaml``."""
    yield ConfigDir(package="mml_minimal")


@hookimpl
def mml_datasets() -> Iterable[DatasetSpec]:
    """Bring a drawn dataset."""
    yield DatasetSpec(
        name="shapes",
        create="mml_minimal.shapes:draw",
        license="CC0-1.0",
        summary="Bright discs and dark squares.",
    )


@hookimpl
def mml_tasks() -> Iterable[TaskSpec]:
    """Bring the task made from that dataset."""
    yield TaskSpec(
        name="shapes",
        dataset="shapes",
        create="mml_minimal.shapes:describe",
        task_type="classification",
        keywords=("synthetic",),
    )
