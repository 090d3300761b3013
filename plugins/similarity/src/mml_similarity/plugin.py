"""What this distribution contributes to mml: the mode ``similarity``, and where its files go."""

from __future__ import annotations

from mml_core.plugins import ConfigDir, PathAssignment, SchedulerSpec, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_schedulers() -> list[SchedulerSpec]:
    """Bring the mode ``similarity``."""
    return [
        SchedulerSpec(
            name="similarity",
            target="mml_similarity.scheduler:SimilarityScheduler",
            subroutines=("features", "distances"),
            summary="extract features of tasks, and measure how far the tasks are from each other",
        )
    ]


@hookimpl
def mml_path_assignments() -> list[PathAssignment]:
    """Say where tables, embeddings and plots go; features have a key of mml's own."""
    return [
        PathAssignment(key="distances", path="PROJ_PATH/DISTANCES/FILE_NAME", reusable=True),
        PathAssignment(
            key="fisher_embeddings",
            path="PROJ_PATH/FISHER_EMBEDDINGS/TASK_NAME/embedding.parquet",
            reusable=True,
        ),
        PathAssignment(key="similarity_plots", path="PROJ_PATH/SIMILARITY/FILE_NAME"),
    ]


@hookimpl
def mml_config_dirs() -> list[ConfigDir]:
    """Bring the options of the mode."""
    return [ConfigDir(package="mml_similarity")]
