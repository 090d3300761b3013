"""What mml itself contributes, through the hooks that plugins use."""

from __future__ import annotations

from collections.abc import Iterator

from mml_core.plugins.markers import hookimpl
from mml_core.plugins.records import ConfigDir, ExecutorSpec, PathAssignment, SchedulerSpec, TagSpec

MML_PLUGIN_API = 1


@hookimpl
def mml_schedulers() -> Iterator[SchedulerSpec]:
    """Contribute the built-in modes."""
    yield SchedulerSpec(
        name="info",
        target="mml_core.schedulers.info:InfoScheduler",
        subroutines=("tasks", "models", "samples", "plugins"),
        summary="show what is installed and what has been made; writes nothing",
        writes=False,
    )
    yield SchedulerSpec(
        name="create",
        target="mml_core.schedulers.create:CreateScheduler",
        subroutines=("dataset", "task"),
        summary="put datasets in place and describe the tasks over them",
    )
    yield SchedulerSpec(
        name="preprocess",
        target="mml_core.schedulers.preprocess:PreprocessScheduler",
        subroutines=("preprocess",),
        summary="store the images of tasks ready for training",
    )
    yield SchedulerSpec(
        name="train",
        target="mml_core.schedulers.train:TrainScheduler",
        subroutines=("train", "predict", "test"),
        summary="train a model per task and fold, predict, and measure",
    )
    yield SchedulerSpec(
        name="postprocess",
        target="mml_core.schedulers.postprocess:PostprocessScheduler",
        subroutines=("calibrate", "ensemble"),
        summary="calibrate and combine saved predictions",
    )
    yield SchedulerSpec(
        name="transfer",
        target="mml_core.schedulers.transfer:TransferScheduler",
        subroutines=("train", "predict", "test"),
        summary="train from the weights of a model that was trained on another task",
    )
    yield SchedulerSpec(
        name="migrate",
        target="mml_core.schedulers.migrate:MigrateScheduler",
        subroutines=("stores",),
        summary="bring what an older mml has stored to the present form",
    )
    yield SchedulerSpec(
        name="clean",
        target="mml_core.schedulers.clean:CleanScheduler",
        subroutines=("temp", "download"),
        summary="remove temporary files and downloads",
    )


@hookimpl
def mml_path_assignments() -> Iterator[PathAssignment]:
    """Contribute the built-in path keys."""
    yield PathAssignment(
        key="parameters",
        path="PROJ_PATH/PARAMETERS/TASK_NAME/model.safetensors",
        type="torch.nn:Module",
        reusable=True,
    )
    yield PathAssignment(
        key="models",
        path="PROJ_PATH/MODELS/TASK_NAME/model.json",
        type="mml_core.tasks.models:ModelStorage",
        reusable=True,
    )
    yield PathAssignment(key="predictions", path="PROJ_PATH/PREDICTIONS/TASK_NAME/FILE_NAME", reusable=True)
    yield PathAssignment(key="pipeline", path="PROJ_PATH/PIPELINES/TASK_NAME/pipeline.yaml", reusable=True)
    yield PathAssignment(key="blueprint", path="PROJ_PATH/BLUEPRINTS/TASK_NAME/blueprint.yaml", reusable=True)
    yield PathAssignment(key="metrics", path="PROJ_PATH/METRICS/TASK_NAME/metrics.parquet", reusable=True)
    yield PathAssignment(
        key="calibration", path="PROJ_PATH/CALIBRATION/TASK_NAME/calibration.json", reusable=True
    )
    yield PathAssignment(key="ensembles", path="PROJ_PATH/ENSEMBLES/TASK_NAME/ensemble.json", reusable=True)
    yield PathAssignment(key="features", path="PROJ_PATH/FEATURES/TASK_NAME/features.parquet", reusable=True)
    yield PathAssignment(key="plots", path="PROJ_PATH/PLOTS/TASK_NAME/FILE_NAME")
    yield PathAssignment(
        key="img_examples", path="PROJ_PATH/IMG_EXAMPLES/TASK_NAME/examples.png", numbered=False
    )
    yield PathAssignment(key="temp", path="TEMP_PATH/FILE_NAME", numbered=False)


@hookimpl
def mml_config_dirs() -> Iterator[ConfigDir]:
    """Contribute the built-in configuration groups."""
    yield ConfigDir(package="mml_core.config", path="conf")


@hookimpl
def mml_tags() -> Iterator[TagSpec]:
    """Contribute the built-in tags."""
    yield TagSpec(
        name="identity",
        apply="mml_core.tasks.tags:apply_identity",
        summary="the same task under another name",
    )
    yield TagSpec(
        name="duplicate",
        apply="mml_core.tasks.tags:apply_duplicate",
        args=("n",),
        summary="every sample n times (2 by default), in the same split and fold",
    )
    yield TagSpec(
        name="nested",
        apply="mml_core.tasks.tags:apply_nested",
        args=("fold",),
        summary="one fold becomes the test split and the other folds stay, for nested validation",
    )


@hookimpl
def mml_executors() -> Iterator[ExecutorSpec]:
    """Contribute the built-in executors."""
    yield ExecutorSpec(
        name="sequential",
        target="mml_core.scheduling.executors:SequentialExecutor",
        summary="one step after the other in this process",
    )
    yield ExecutorSpec(
        name="processes",
        target="mml_core.scheduling.processes:ProcessesExecutor",
        summary="steps at the same time, each in a fresh process of this machine",
    )
