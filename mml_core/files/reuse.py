"""Reuse: which committed files of which projects fill a task's paths and models."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mml_core.errors import near_matches
from mml_core.files.artefacts import ArtefactRecord, ArtefactStore
from mml_core.files.assignments import Assignments
from mml_core.files.errors import DamagedArtefactError, ReuseError
from mml_core.files.folders import fingerprint
from mml_core.tasks.errors import TaskError
from mml_core.tasks.models import ModelStorage

MODELS = "models"
CLEAN_UP = "clean_up"
AUTO = "auto"
OWN_KEYS = (CLEAN_UP, AUTO)
"""What ``reuse`` of the config holds beside path keys."""
OWN_FILE = "file:"
"""Begins what a file of the user's own is noted by, among the keys of global files."""
_SOURCE = re.compile(r"(?P<project>[^#]+)(#(?P<number>\d+))?")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A project to take from, and the one number to take, if not the newest."""

    project: Path
    number: int | None

    @property
    def store(self) -> ArtefactStore:
        """The project's records."""
        return ArtefactStore(self.project)

    def __str__(self) -> str:
        return self.project.name if self.number is None else f"{self.project.name}#{self.number}"


class Reuse:
    """What the config's ``reuse`` asks for, checked.

    Args:
        wanted: ``reuse`` of the config: key to ``proj``, ``proj#3`` or a list of these.
        results: The folder of all projects.
        assignments: The known path keys.
        own: The folder of the run's own project.

    Attributes:
        auto: The projects whose steps may be taken over, ``reuse.auto``.
        global_files: The files of global keys that were asked for, by key.

    Raises:
        UnknownKeyError: A key is unknown.
        ReuseError: A key is not reusable, or a project does not exist.
    """

    def __init__(self, wanted: Mapping[str, Any], results: Path, assignments: Assignments, own: Path) -> None:
        self._assignments, self._own = assignments, own
        self.auto = _auto(wanted.get(AUTO), results, own)
        self.global_files: dict[str, Path] = {}
        self._sources: dict[str, list[Source]] = {}
        self.used: dict[str, ArtefactRecord] = {}
        self._sound: dict[Path, tuple[int, int, int]] = {}
        for key, value in wanted.items():
            if key in OWN_KEYS or _is_off(value):
                continue
            if not assignments.get(key).reusable:
                raise ReuseError(
                    f"reuse.{key}: files of '{key}' are not reusable; declare its path as reusable, "
                    f"or choose one of {', '.join(sorted(one.key for one in assignments if one.reusable))}."
                )
            self._sources[key] = [_source(key, entry, results) for entry in _entries(value)]

    def paths(self, task: str) -> dict[str, Path]:
        """Return for each key asked for the newest committed file of a task, where there is one.

        Raises:
            ReuseError: The number asked for does not exist.
            DamagedArtefactError: The file is not what was committed.
        """
        found = {}
        for key, sources in self._sources.items():
            if key != MODELS and self._assignments.get(key).per_task:
                path = self._newest(key, task, sources)
                if path is None:
                    _log.warning("reuse.%s: no file of task '%s' in %s.", key, task, _listed(sources))
                else:
                    found[key] = path
        return found

    def models(self, task: str) -> list[ModelStorage]:
        """Return all models of a task in the projects asked for, oldest first within each.

        Raises:
            ReuseError: The number asked for does not exist.
            DamagedArtefactError: A model's file, or one that it refers to, is not what was committed.
        """
        models = []
        sources = self._sources.get(MODELS, [])
        for source in sources:
            records = list(source.store.newest_first(MODELS, task, number=source.number))
            if source.number is not None and not records:
                raise self._no_number(MODELS, task, source)
            for record in reversed(records):
                models.append(self._load_model(self._use(source, record), source.project))
        if sources and not models:
            _log.warning("reuse.models: no model of task '%s' in %s.", task, _listed(sources))
        return models

    def committed(self, key: str, task: str) -> list[tuple[Path, ArtefactRecord]]:
        """Return all live files of a key and task in the projects that ``reuse.<key>`` names, oldest first.

        Nothing is compared with what was committed.

        Args:
            key: The path key.
            task: Name of the task.

        Returns:
            The folder of the project and the record of each; of the run's own project where the key is not
            reused.
        """
        sources = self._sources.get(key, [Source(self._own, None)])
        return [
            (source.project, record)
            for source in sources
            for record in reversed(list(source.store.newest_first(key, task, number=source.number)))
        ]

    def global_path(self, key: str) -> Path:
        """Return the newest committed file of a key without tasks.

        Args:
            key: The key; or what ``take_file`` has noted a file by.

        Raises:
            UnknownKeyError: There is no such key.
            ReuseError: The key is one per task, or is not reused, or there is no file.
        """
        if key.startswith(OWN_FILE):
            return self.take_file(Path(key.removeprefix(OWN_FILE)))
        if self._assignments.get(key).per_task:
            raise ReuseError(f"'{key}' has files per task: find them in the paths of a task's struct.")
        if key not in self._sources:
            raise ReuseError(f"'{key}' is not reused in this run; set reuse.{key}=<project>.")
        sources = self._sources[key]
        path = self._newest(key, None, sources)
        if path is None:
            raise ReuseError(
                f"reuse.{key}: there is no such file in {_listed(sources)}; make it there first."
            )
        self.global_files[key] = path
        return path

    def take_file(self, path: Path) -> Path:
        """Note a file of the user's own among those of global keys, by its absolute path, and return it.

        Raises:
            ReuseError: There is no such file.
        """
        if not path.is_file():
            raise ReuseError(f"The file '{path}' is not there; restore it, or name another one.")
        self.global_files[f"{OWN_FILE}{path.absolute()}"] = path.absolute()
        return path

    def _newest(self, key: str, task: str | None, sources: list[Source]) -> Path | None:
        best: tuple[Source, ArtefactRecord] | None = None
        for source in sources:
            record = next(source.store.newest_first(key, task, number=source.number), None)
            if record is None:
                if source.number is not None:
                    raise self._no_number(key, task, source)
            elif best is None or record.artefact.created > best[1].artefact.created:
                best = (source, record)
        return self._use(*best) if best else None

    def _use(self, source: Source, record: ArtefactRecord) -> Path:
        path = self._verified(source.store, record)
        self.used[str(path)] = record
        return path

    def _verified(self, store: ArtefactStore, record: ArtefactRecord) -> Path:
        """Return the path of an artefact, whose content is compared once as long as nobody touches it."""
        path = store.project / record.artefact.path
        with suppress(OSError):
            if self._sound.get(path) == fingerprint(path.lstat()):
                return path
        store.verify(record)
        self._sound[path] = fingerprint(path.lstat())
        return path

    def _load_model(self, path: Path, project: Path) -> ModelStorage:
        try:
            stored = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            model = ModelStorage.from_json(stored, project)
        except (msgspec.DecodeError, TaskError) as error:
            raise DamagedArtefactError(f"The stored model '{path}' cannot be read: {error}") from error
        self.check_files(model, path)
        return model

    def check_files(self, model: ModelStorage, name: Path | str) -> None:
        """Refuse a model whose files are not what was committed.

        Args:
            model: The model.
            name: What the message calls it.

        Raises:
            DamagedArtefactError: A file is missing or damaged, or no step has committed it.
        """
        for file in (model.weights, model.pipeline, *model.predictions.values()):
            self._check_reference(file, self._own.parent, name)

    def _check_reference(self, file: Path, results: Path, model: Path | str) -> None:
        owner, *inside = file.relative_to(results).parts
        store = ArtefactStore(results / owner)
        record = store.find_path("/".join(inside))
        if record is None:
            raise DamagedArtefactError(
                f"The stored model '{model}' refers to '{file}', which no step has committed, so it is not "
                "used; finish the run that makes it, or make the model again."
            )
        if record.state != "deleted" or os.path.lexists(file):  # what clean-up has deleted is not damaged
            self._verified(store, record)

    def _no_number(self, key: str, task: str | None, source: Source) -> ReuseError:
        numbers = [
            str(record.artefact.number)
            for record in source.store.newest_first(key, task)
            if record.artefact.number is not None
        ]
        of = f" of task '{task}'" if task else ""
        there = f"there are {', '.join(reversed(numbers[:10]))}" if numbers else "there is none at all"
        return ReuseError(
            f"reuse.{key}={source}: project '{source.project.name}' has no number {source.number} "
            f"of '{key}'{of}; {there}.{near_matches(str(source.number), numbers)}"
        )


def _is_off(value: Any) -> bool:
    return value is None or value is False or value == ""


def _entries(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _auto(value: Any, results: Path, own: Path) -> tuple[Path, ...]:
    if _is_off(value):
        return ()
    if value is True:
        return (own,)
    sources = [_source(AUTO, entry, results) for entry in _entries(value)]
    for source in sources:
        if source.number is not None:
            raise ReuseError(f"reuse.auto={source}: steps have no number; give true, a project or a list.")
    return tuple(dict.fromkeys(source.project for source in sources))


def _source(key: str, entry: Any, results: Path) -> Source:
    text = str(entry) if isinstance(entry, int) and not isinstance(entry, bool) else entry
    match = _SOURCE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ReuseError(f"reuse.{key}={entry!r}: give a project, project#number, or a list of these.")
    name, number = match["project"], match["number"]
    folder = results / name
    if name in (".", "..") or "/" in name or "\\" in name or not folder.is_dir():
        known = sorted(path.name for path in results.iterdir() if path.is_dir()) if results.is_dir() else []
        raise ReuseError(
            f"reuse.{key}: there is no project '{name}' in {results}.{near_matches(name, known)}"
        )
    return Source(results.resolve() / name, int(number) if number else None)


def _listed(sources: list[Source]) -> str:
    return ", ".join(f"'{source}'" for source in sources)
