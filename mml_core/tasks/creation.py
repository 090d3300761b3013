"""Creating tasks over datasets, or both from files outside: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.tasks.builder import TaskBuilder
from mml_core.tasks.datasets import (
    Creation,
    dataset_folder,
    manifest_with_digest,
    read_manifest,
    write_manifest,
)
from mml_core.tasks.description import HEADER_FILE, TaskDescription, TaskHeader, decode_header
from mml_core.tasks.errors import CreationError, TaskError
from mml_core.tasks.finishing import CreationOptions, finish_task
from mml_core.tasks.inspection import Progress
from mml_core.tasks.publishing import heal, hide, publishing

if TYPE_CHECKING:
    from mml_core.plugins import TaskSpec


def create_task(
    spec: TaskSpec, data: Path, options: CreationOptions | None = None, progress: Progress | None = None
) -> Creation:
    """Create a task over a dataset that is there, unless the task is there too.

    Args:
        spec: What is to be created, and by what.
        data: The data folder.
        options: How folds are made, and whether an existing task is replaced.
        progress: Told how many samples are checked.

    Raises:
        CreationError: The creator's samples do not make a task; the message names the first that does not.
            Or the task that is there is none over the dataset as it is now.
        ImageError: An image cannot be used; the message names it.
        LeakageError: An image or group is in training and test.
    """
    from mml_core.plugins import load_ref

    options = options or CreationOptions()
    final = task_folder(data, spec.name)
    with publishing(final, replace=options.force) as private:
        if private is None:
            check_kept(TaskDescription(_read_header(final), final, data), spec.dataset)
            return Creation(final, created=False)
        root = dataset_folder(data, spec.dataset)
        if not root.is_dir():
            raise CreationError(f"Task '{spec.name}' needs the dataset '{spec.dataset}': create that first.")
        builder = TaskBuilder(
            name=spec.name,
            task_type=spec.task_type,
            dataset=spec.dataset,
            dataset_root=root,
            keywords=spec.keywords,
        )
        create = load_ref(spec.create)
        if not callable(create):
            raise CreationError(f"Task '{spec.name}' cannot be created: {spec.create} is not callable.")
        create(root, builder)
        warnings = finish_task(builder, private, options, progress)
    return Creation(final, created=True, warnings=warnings)


def check_kept(task: TaskDescription, dataset: str) -> None:
    """Refuse to go on with an installed task that is not what creating it would give.

    Args:
        task: The task as it is installed.
        dataset: The dataset it has to be over.

    Raises:
        CreationError: It is over another dataset, over another version of it, or over one that is missing.
        DamagedTaskError: Its sample table, or the dataset's manifest, is damaged.
    """
    remedy = "make it anew, with mode.force=true or `mml tasks add … --force`"
    if task.dataset != dataset:
        raise CreationError(
            f"Task '{task.name}' in {task.folder} is over the dataset '{task.dataset}', not over "
            f"'{dataset}': move its folder away, or {remedy}."
        )
    if not heal(task.dataset_root):
        raise CreationError(
            f"Task '{task.name}' is there, but not its dataset {task.dataset_root}: {remedy}."
        )
    if not _is_over_its_dataset(task.folder, task.data):
        raise CreationError(
            f"Task '{task.name}' was made over another version of the dataset '{dataset}': {remedy}."
        )
    task.verify()


def import_task(
    builder_of: Callable[[Path], TaskBuilder],
    name: str,
    data: Path,
    options: CreationOptions | None = None,
    progress: Progress | None = None,
) -> Creation:
    """Create a dataset and the one task over it, both named ``name``, from files outside.

    Nothing is published before every sample has been checked. A task that is there is replaced together with
    its dataset: it is out of sight before its images change. One whose dataset is missing or another, which
    is what a kill may leave, is made anew.

    Args:
        builder_of: Fills the empty folder it is given with images, and returns the builder that describes
            them.
        name: Of the task and of its dataset.
        data: The data folder.
        options: How folds are made, and whether an existing task is replaced.
        progress: Told how many samples are checked.

    Raises:
        CreationError: The samples do not make a task, or a dataset of that name is a plugin's.
    """
    options = options or CreationOptions()
    final = task_folder(data, name)

    def fits(task: Path) -> bool:
        return _is_over_its_dataset(task, data)

    replace = options.force or (final.is_dir() and not fits(final))
    with publishing(final, replace=replace, fits=fits) as private_task:
        if private_task is None:
            return Creation(final, created=False)
        dataset = dataset_folder(data, name)
        if dataset.is_dir() and not read_manifest(dataset).imported:
            raise CreationError(f"'{name}' is the name of a dataset that a plugin made: choose another.")
        # A dataset without its task is what a kill between the two left: it is replaced.
        with publishing(dataset, replace=True) as private_dataset:
            assert private_dataset is not None  # replace never keeps what is there
            builder = builder_of(private_dataset)
            write_manifest(private_dataset, name, builder.texts["license"], imported=True)
            warnings = finish_task(builder, private_task, options, progress)
            hide(final)
    return Creation(final, created=True, warnings=warnings)


def task_folder(data: Path, name: str) -> Path:
    """Where a task lies in a data folder."""
    return data / "tasks" / name


def _read_header(folder: Path) -> TaskHeader:
    path = folder / HEADER_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CreationError(
            f"The folder {folder} holds no task ({error.strerror}): remove it, then create the task."
        ) from error
    return decode_header(data, path)


def _is_over_its_dataset(folder: Path, data: Path) -> bool:
    """Whether a task's dataset is the one it was made over; what cannot be read is for others to report."""
    try:
        header = _read_header(folder)
        dataset = dataset_folder(data, header.dataset)
        return dataset.is_dir() and header.dataset_sha256 in ("", manifest_with_digest(dataset)[1])
    except TaskError:
        return True
