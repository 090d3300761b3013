"""What this distribution contributes to mml: the mode dimensionality, and where its table goes."""

from __future__ import annotations

from mml_core.plugins import ConfigDir, PathAssignment, SchedulerSpec, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_schedulers() -> list[SchedulerSpec]:
    """Contribute the mode."""
    return [
        SchedulerSpec(
            name="dimensionality",
            target="mml_dimensionality.scheduler:DimensionalityScheduler",
            summary="estimate the intrinsic dimension of the features or the pixels of tasks",
        )
    ]


@hookimpl
def mml_path_assignments() -> list[PathAssignment]:
    """Say where the table of a run goes; it is one for all tasks."""
    return [
        PathAssignment(
            key="dimensionality", path="PROJ_PATH/DIMENSIONALITY/dimensionality.parquet", reusable=True
        )
    ]


@hookimpl
def mml_config_dirs() -> list[ConfigDir]:
    """Name the folder with mode=dimensionality."""
    return [ConfigDir(package="mml_dimensionality")]
