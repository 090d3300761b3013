"""What this distribution contributes to mml: the mode ``suggest`` and where its tables lie."""

from __future__ import annotations

from mml_core.plugins import ConfigDir, PathAssignment, SchedulerSpec, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_schedulers() -> list[SchedulerSpec]:
    """Name the scheduler."""
    return [
        SchedulerSpec(
            name="suggest",
            target="mml_suggest.scheduler:SuggestScheduler",
            subroutines=("suggest", "evaluate"),
            summary="propose blueprints by what was best on the nearest tasks, and measure how good that is",
        )
    ]


@hookimpl
def mml_config_dirs() -> list[ConfigDir]:
    """Name the folder with the options of the mode."""
    return [ConfigDir(package="mml_suggest")]


@hookimpl
def mml_path_assignments() -> list[PathAssignment]:
    """Say where tables of suggestions lie."""
    return [PathAssignment(key="suggestions", path="PROJ_PATH/SUGGESTIONS/FILE_NAME")]
