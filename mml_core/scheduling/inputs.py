"""What a step used: tasks, results of other steps and files, each with a hash of its content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from mml_core.files.artefacts import Artefact, ArtefactStore, damage
from mml_core.files.errors import DamagedArtefactError
from mml_core.files.folders import fingerprint
from mml_core.files.layout import Layout
from mml_core.files.publishing import replacing
from mml_core.scheduling.changes import StructState, plain_path, stored_path
from mml_core.storage.hashing import digest, sha256_file
from mml_core.tasks.description import TaskDescription

if TYPE_CHECKING:
    from mml_core.scheduling.ledger import Ledger, StepRecord

KnownFiles: TypeAlias = "dict[str, tuple[tuple[int, int, int], FileInput]]"
"""What files are that were looked at before, with the fingerprint each had then."""

ALL = "*"
"""Stands for all methods where the steps that a step sees are listed."""

_WHEN_AND_WHERE = ("created", "run", "step", "training_time")
"""Fields of a model that are other ones each time it is trained, though the model is the same."""
_PARTS = {
    "samples": "the samples",
    "images": "the images",
    "header": "the entries of the header",
    "state": "the paths or models",
}


class FileInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that a step used.

    Attributes:
        sha256: Of its content.
        project: The project of whoever made it; empty: this run's.
        run: The run that made it; empty: this one.
        step: The step of that run; empty where nobody knows who made it.
    """

    sha256: str
    project: str = ""
    run: str = ""
    step: str = ""


class TaskInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task whose struct a step took.

    Attributes:
        header: Hash of its header, without its time of creation and what stands below.
        samples: Hash of its sample table.
        images: Hash of the manifest of its dataset.
        dataset: The name of that.
        state: Hash of the struct's paths and models as the step found them, each file by its content; empty
            where there are none.
    """

    header: str
    samples: str
    images: str
    dataset: str
    state: str = ""


class Inputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step used.

    Attributes:
        tasks: The tasks whose structs it took.
        results: The steps whose results it read, with the hash of each; empty where it was not seen.
        listings: Method (``*``: all) to the hash of the list of its steps, where the step asked for that.
        return_value: Hash of the ``return_value`` that it found; empty where no step had set one.
        global_files: The global keys whose reused file it took, with the file.
        files: The files named by all of these: path in the project, or absolute.
    """

    tasks: dict[str, TaskInput] = {}
    results: dict[str, str] = {}
    listings: dict[str, str] = {}
    return_value: str = ""
    global_files: dict[str, str] = {}
    files: dict[str, FileInput] = {}

    def difference(self, now: Inputs) -> str:
        """Return what of these inputs is not the same now, in words; empty: nothing."""
        for name, was in self.tasks.items():
            found = now.tasks.get(name)
            if found is None:
                return f"task '{name}' is not used"
            for part, what in _PARTS.items():
                if getattr(was, part) != getattr(found, part):
                    return f"{what} of task '{name}' differ"
        for step, sha256 in self.results.items():
            if sha256 != now.results[step]:
                return f"the result of step {step} differs"
        for method, listed in self.listings.items():
            if listed != now.listings[method]:
                return f"it sees other steps {method}" if method != ALL else "it sees other steps"
        for key, path in self.global_files.items():
            if self.files[path].sha256 != now.files[now.global_files[key]].sha256:
                return f"the reused file of '{key}' differs"
        return "the return_value before it differs" if self.return_value != now.return_value else ""


@dataclass
class Asked:
    """What a step has asked for so far.

    Attributes:
        results: Ids of the steps whose results it wanted.
        listings: Methods whose steps it listed, ``*`` for all.
        global_files: Global keys whose reused file it took, with the file.
    """

    results: set[str] = field(default_factory=set)
    listings: set[str] = field(default_factory=set)
    global_files: dict[str, str] = field(default_factory=dict)


class Contents:
    """Tells what a file is that a step uses: who made it, and the hash of its content.

    Args:
        project: The project's folder.
        ledger: The run's ledger, which knows what the run itself has made.
        known: What was found before in this process.
    """

    def __init__(self, project: Path, ledger: Ledger, known: KnownFiles) -> None:
        self._project = project
        self._ledger = ledger
        self._known = known

    def of(self, stored: str) -> FileInput | None:
        """Return what is known of a file; None where there is no plain file.

        Args:
            stored: Its path in the project, or absolute.
        """
        made = self._ledger.file(stored)
        if made is not None:
            return made
        path = self._project / stored
        try:
            mark = fingerprint(path.stat())
        except (OSError, ValueError):  # a null character is no path
            return None
        if not path.is_file():
            return None
        if stored not in self._known or self._known[stored][0] != mark:
            self._known[stored] = (mark, self._look_up(path, mark[1]))
        return self._known[stored][1]

    def check(self, stored: str) -> None:
        """Refuse a file of this run that is not what its step has committed.

        Args:
            stored: Its path in the project, or absolute.

        Raises:
            DamagedArtefactError: It is missing, or damaged.
        """
        artefact, made = self._ledger.artefact(stored), self._ledger.file(stored)
        if artefact is None or made is None or self._is_known(stored, made):
            return
        path = self._project / stored
        problem = damage(path, artefact)
        if problem and not self._is_replaced(artefact):
            raise DamagedArtefactError(
                f"'{path}', committed by step {made.step}, {problem}, so it is not used; restore it, or "
                "start the run anew."
            )
        self._know(stored, made)

    def trust(self, record: StepRecord) -> None:
        """Take the files of a step for sound that this process has just published."""
        if record.taken is None:
            for stored, made in record.files().items():
                self._know(stored, made)

    def _is_known(self, stored: str, made: FileInput) -> bool:
        try:
            return self._known.get(stored) == (fingerprint((self._project / stored).lstat()), made)
        except OSError:
            return False

    def _know(self, stored: str, made: FileInput) -> None:
        with suppress(FileNotFoundError):  # replaced or cleaned up by now
            self._known[stored] = (fingerprint((self._project / stored).lstat()), made)

    def _is_replaced(self, artefact: Artefact) -> bool:
        """Tell whether another step or run has put a sound file in the place of one that is not numbered."""
        if artefact.number is not None:
            return False
        with replacing(Layout(self._project, ""), artefact):
            record = ArtefactStore(self._project).find_path(artefact.path)
            path = self._project / artefact.path
            return record is not None and record.state == "live" and not damage(path, record.artefact)

    def _look_up(self, path: Path, size: int) -> FileInput:
        results = self._project.parent
        if path.is_relative_to(results) and len(path.relative_to(results).parts) > 1:
            owner, *inside = path.relative_to(results).parts
            record = ArtefactStore(results / owner).find_path(PurePosixPath(*inside).as_posix())
            if record is not None and record.state == "live" and record.artefact.size == size:
                return FileInput(
                    sha256=record.artefact.sha256, project=owner, run=record.run, step=record.step
                )
        return FileInput(sha256=sha256_file(path))


class Hashes:
    """Hashes what a step used, every file by its content wherever it lies, and collects these files.

    Args:
        contents: Tells what a file is.
        project: The project's folder.

    Attributes:
        files: The files met so far.
    """

    def __init__(self, contents: Contents, project: Path) -> None:
        self.files: dict[str, FileInput] = {}
        self._contents = contents
        self._project = project

    def of_state(self, state: StructState) -> str:
        """Hash the paths and models of a struct; empty where there are none."""
        if not state.paths and not state.models:
            return ""
        paths = {key: self.of_file(path) for key, path in state.paths.items()}
        return digest([paths, [self._model(model) for model in state.models]])

    def of_value(self, encoded: bytes | msgspec.Raw) -> str:
        """Hash what a step returned, JSON text."""
        return digest(_replaced(msgspec.json.decode(encoded), self._of_text))

    def of_file(self, stored: str) -> str:
        """Hash a file; what is none is its own hash.

        Args:
            stored: Its path in the project, absolute, or as a stored model names one of another project.
        """
        stored = plain_path(stored, self._project)
        found = self._contents.of(stored)
        if found is None:
            return stored
        self.files[stored] = found
        return found.sha256

    def _model(self, model: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in model.items() if name not in _WHEN_AND_WHERE}
        return {
            **kept,
            "weights": self.of_file(model["weights"]),
            "pipeline": self.of_file(model["pipeline"]),
            "predictions": {name: self.of_file(path) for name, path in model["predictions"].items()},
        }

    def _of_text(self, text: str) -> str:
        return self.of_file(stored_path(Path(text), self._project)) if text.startswith("/") else text


def task_input(description: TaskDescription, state: str) -> TaskInput:
    """Return a task as an input."""
    header = description.header
    rest = msgspec.structs.replace(header, created="", samples_sha256="", dataset_sha256="")
    return TaskInput(
        header=digest(rest),
        samples=description.stored_sha256,
        images=header.dataset_sha256,
        dataset=header.dataset,
        state=state,
    )


def files_in(value: Any, project: Path) -> Iterator[str]:
    """Yield the absolute paths in what a step returned, as they are stored."""
    if isinstance(value, str):
        if value.startswith("/"):
            yield stored_path(Path(value), project)
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from files_in(item, project)


def _replaced(value: Any, replace: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, dict):
        return {key: _replaced(item, replace) for key, item in value.items()}
    return [_replaced(item, replace) for item in value] if isinstance(value, list) else value
