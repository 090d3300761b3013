"""A project as tables, and its stored models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.config.locations import resolve_locations
from mml_core.config.projects import UnknownProjectError, project_folder
from mml_core.notebook.frames import frame
from mml_core.plugins import Blocking, PluginManager
from mml_core.schedulers.inventory import model_rows, task_rows
from mml_core.scheduling.runs import list_runs

if TYPE_CHECKING:
    import pandas as pd

    from mml_core.files.artefacts import ArtefactRecord
    from mml_core.notebook.model import Model

log = logging.getLogger(__name__)


def open_project(project: str | Path, results: str | Path | None = None) -> Project:
    """Open a project to look at what is in it; nothing is written.

    Args:
        project: Its name, or its folder.
        results: The folder of projects, where a name is given; by default where ``mml`` keeps them.

    Raises:
        UnknownProjectError: There is no such project.
    """
    if isinstance(project, Path) or "/" in project or "\\" in project:
        folder = Path(project).absolute()
        if not folder.is_dir():
            raise UnknownProjectError(f"There is no folder '{folder}'; give a project's folder, or its name.")
        project, results = folder.name, folder.parent
    locations = resolve_locations({"results": None if results is None else str(results)})
    path = project_folder(locations.results, project)
    return Project(path=path, data=locations.data, plugins=installed_plugins(path))


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project: what its runs have made, as tables.

    Attributes:
        path: Its folder.
        data: The data folder.
        plugins: The plugins that are installed.
    """

    path: Path
    data: Path
    plugins: PluginManager

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name

    def __repr__(self) -> str:
        return f"<Project {self.name} in {self.path.parent}>"

    def tasks(self) -> pd.DataFrame:
        """Return the tasks that are installed or can be created, one row each, as ``mml tasks`` does."""
        columns = ("task", "type", "samples", "folds", "classes", "keywords", "state")
        rows = task_rows(self.data, self.plugins)
        return frame(rows, columns, integers=("samples", "folds", "classes"))

    def runs(self) -> pd.DataFrame:
        """Return the runs, one row each, oldest first, as ``mml runs`` does; times are in UTC."""
        columns = ("run", "mode", "status", "state", "steps_done", "steps", "created", "finished", "seconds")
        summaries = sorted(list_runs(self.path), key=lambda each: each.created)
        rows = [{"run": each.id, **asdict(each), "path": str(each.path)} for each in summaries]
        for row in rows:
            del row["id"]
        table = frame(rows, columns)
        for key in ("created", "finished"):
            table[key] = table[key].astype(float).astype("datetime64[s]").dt.tz_localize("UTC")
        return table

    def models(self) -> pd.DataFrame:
        """Return the stored models, one row each, oldest first.

        Beside task, fold, size, time, run and path there is a column for each metric that they store.
        """
        rows = [
            {**row, **(row["metrics"] or {}), "path": str(self.path / row["path"])}
            for row in model_rows(self.path, ())
        ]
        for row in rows:
            del row["metrics"]
        return frame(rows, ("model", "task", "fold", "created", "run", "path", "bytes"))

    def metrics(self) -> pd.DataFrame:
        """Return what metrics the steps have stored: a row for each value, of all runs.

        The columns are those of the files (``task``, ``fold``, ``split``, ``epoch``, ``metric``, ``value``,
        ``class_name``, ``low``, ``high``, ``confidence``), ``run`` and ``path``. Values of an epoch are the
        history of a training; values without epoch are of saved predictions.

        Raises:
            DamagedArtefactError: A file is not what its step committed.
        """
        import pyarrow.parquet as pq

        rows = []
        for record, path in self._files("metrics"):
            if path.suffix == ".parquet":
                with pq.ParquetFile(path) as file:  # read_table would import the whole of pyarrow.dataset
                    read = file.read().to_pylist()
                rows += [{**row, "run": record.run, "path": str(path)} for row in read]
        columns = ("task", "fold", "split", "epoch", "metric", "value", "class_name", "low", "high", "run")
        return frame(rows, columns, integers=("epoch",))

    def predictions(self, task: str | None = None, *, split: str | None = None) -> pd.DataFrame:
        """Return what models have predicted: a row for each sample and file, of all runs.

        ``target`` and ``prediction`` are names of classes, lists of labels, values by name, or masks (H, W)
        of class numbers; ``probabilities`` are by class or label. Samples without a target have None.

        Args:
            task: Of this task only.
            split: Of this split only, such as ``"test"``.

        Raises:
            DamagedArtefactError: A file is not what its step committed.
        """
        from mml_core.notebook.samples import sample_rows

        classes = self.classes()
        rows = [
            {**row, "run": record.run, "path": str(path)}
            for record, path in self._files("predictions")
            if path.suffix == ".parquet" and task in (None, record.artefact.task)
            for row in sample_rows(path, classes.get(str(record.artefact.task), ()), split)
        ]
        columns = (
            "task",
            "fold",
            "split",
            "sample_id",
            "subject_id",
            "target",
            "prediction",
            "probabilities",
        )
        return frame(rows, (*columns, "run", "path"))

    def load_model(
        self, model: str | int | Path | None = None, *, task: str | None = None, device: str = "auto"
    ) -> Model:
        """Load what predicts new images.

        Args:
            model: A task: all models of its newest training predict together. Or one stored model: its
                number, ``"project#number"`` or its file. None: the project's only task.
            task: Which task of a model that has learnt several; of a number which task's model is meant.
            device: ``cpu``, ``cuda``, …; ``auto`` takes a GPU where there is one.

        Raises:
            NoStoredModelError: There is none of that task.
            ReuseError: There is none of that number or file.
            DamagedArtefactError: A file is not what its step committed.
            DeviceError: The device cannot be used.
        """
        from mml_core.files.stored_models import find_stored_model
        from mml_core.learning.applying import Ensemble
        from mml_core.learning.devices import choose_device
        from mml_core.learning.model_sources import find_models
        from mml_core.notebook.model import Model

        results = self.path.parent
        chosen = f"{self.name}#{model}" if isinstance(model, int) else str(model or "")
        if "#" in chosen or chosen.endswith(".json"):
            source = str(find_stored_model(chosen, results, task))
        else:
            source = f"{self.name}/{chosen}" if chosen else self.name
        models = find_models(source, results)
        ensemble = Ensemble.load(models, self.plugins, task=task, device=choose_device(device))
        return Model(ensemble, models, results)

    def files(self, key: str) -> pd.DataFrame:
        """Return the files of a path key, such as ``"predictions"``: a row each, oldest first, of all runs.

        The columns are ``task``, ``run``, ``step``, ``path``, ``created`` and ``bytes``.

        Raises:
            DamagedArtefactError: A file is not what its step committed.
        """
        rows = [
            {
                "task": record.artefact.task,
                "run": record.run,
                "step": record.step,
                "path": str(path),
                "created": record.artefact.created,
                "bytes": record.artefact.size,
            }
            for record, path in self._files(key)
        ]
        return frame(rows, ("task", "run", "step", "path", "created", "bytes"))

    def _files(self, key: str) -> Iterator[tuple[ArtefactRecord, Path]]:
        from mml_core.files.artefacts import ArtefactStore

        store = ArtefactStore(self.path)
        for record in sorted(store.records(key), key=lambda each: each.artefact.created):
            yield record, store.verify(record)

    def classes(self) -> dict[str, list[str]]:
        """Return the names of classes, labels or values by task, as the newest model of each has them.

        Raises:
            DamagedArtefactError: A file of a model is not what its step committed.
        """
        import msgspec

        from mml_core.learning.pipeline import load_pipeline
        from mml_core.tasks.models import ModelStorage

        found: dict[str, list[str]] = {}
        for record, path in reversed(list(self._files("models"))):
            if record.artefact.task not in found:
                stored = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
                pipeline = ModelStorage.from_json(stored, self.path).pipeline
                found = {**load_pipeline(pipeline).classes, **found}
        return found


def installed_plugins(project: Path) -> PluginManager:
    """Find the plugins that a project may use, and warn of each that cannot be used.

    Args:
        project: The project's folder; it need not be there.
    """
    plugins = PluginManager.discover(Blocking.from_environment(project=project))
    for warning in plugins.warnings():
        log.warning("%s", warning)
    return plugins
