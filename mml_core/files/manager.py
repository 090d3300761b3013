"""MMLFileManager: the one place that says where files go and where they are."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path, PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from mml_core.files import sessions
from mml_core.files.artefacts import Artefact, ArtefactRecord, ArtefactStore
from mml_core.files.assignments import Assignment, Assignments, Plugins, contributed
from mml_core.files.attempts import Attempt
from mml_core.files.cleanup import clean_up, keys_to_clean
from mml_core.files.errors import NoAttemptError, NoManagerError, SavingPathError
from mml_core.files.folders import prepare_folder, remove_folder
from mml_core.files.layout import SCRIPT, Layout
from mml_core.files.names import file_name_problem
from mml_core.files.numbering import Numbers
from mml_core.files.object_types import ObjectType
from mml_core.files.publishing import Publication
from mml_core.files.reuse import CLEAN_UP, Reuse
from mml_core.files.targets import check_names

if TYPE_CHECKING:
    from mml_core.tasks.index import TaskIndex
    from mml_core.tasks.models import ModelStorage
    from mml_core.tasks.struct import TaskStruct


class MMLFileManager:
    """Makes saving paths, publishes what was saved, and finds what can be reused.

    Constructing one installs it as `instance`; `close`, or the end of a ``with`` block, removes it. In a
    ``with`` block of a script all files saved appear together when the block ends well, but for temporary
    ones and those of the keys in ``reuse.clean_up``, which go then.

    Args:
        data: The data folder.
        results: The folder of all projects.
        project: The project's name.
        plugins: The plugin manager, whose path assignments hold.
        reuse: ``reuse`` of the config.
        run: The run that writes; None for a script, which counts as a run of its own.

    Attributes:
        clean_up_keys: The keys with ``reuse.clean_up.<key>=true``.

    Raises:
        AssignmentError: A path assignment breaks a rule or contradicts another.
        ReuseError: What is to be reused does not exist.
        UnknownKeyError: ``reuse`` names an unknown key.
    """

    _declared: ClassVar[dict[str, Assignment]] = {}
    _installed: ClassVar[list[MMLFileManager]] = []

    def __init__(
        self,
        *,
        data: Path,
        results: Path,
        project: str,
        plugins: Plugins,
        reuse: Mapping[str, Any] | None = None,
        run: str | None = None,
    ) -> None:
        if problem := file_name_problem(project):
            raise SavingPathError(f"The project name {project!r} {problem}; choose another one.")
        self.data = data
        self.plugins: Any = plugins
        self.project_path = (results / project).resolve()
        self.layout = Layout(self.project_path, run or _session_name())
        self.assignments = contributed(plugins)
        for assignment in self._declared.values():
            self.assignments.add(assignment)
        self._reuse = Reuse(reuse or {}, results, self.assignments, self.project_path)
        self.clean_up_keys = keys_to_clean((reuse or {}).get(CLEAN_UP), self.assignments)
        self._attempts: list[Attempt] = []
        self._session: sessions.Session | None = None
        self._fingerprints: dict[Path, tuple[int, int, int]] = {}
        self._tasks: TaskIndex | None = None
        self._lock = threading.Lock()
        self._installed.append(self)

    @classmethod
    def instance(cls) -> MMLFileManager:
        """Return the installed file manager.

        Raises:
            NoManagerError: There is none.
        """
        if not cls._installed:
            raise NoManagerError(
                "No file manager is open: use it inside of a scheduler or of `with MMLFileManager(...)`."
            )
        return cls._installed[-1]

    @classmethod
    def add_assignment_path(
        cls,
        obj_cls: ObjectType,
        key: str,
        path: str | PurePath,
        enable_numbering: bool = True,
        reusable: bool = False,
    ) -> None:
        """Declare where files of a key go, before or after a file manager is made.

        Args:
            obj_cls: The type of the objects, a reference ``"pkg.mod:Name"`` to it, or None for any.
            key: What `construct_saving_path` and ``reuse.<key>`` will call it.
            path: The template, such as ``PROJ_PATH/MAPS/TASK_NAME/map.png``.
            enable_numbering: Whether each new file gets a number; otherwise it replaces the one before.
            reusable: Whether ``reuse.<key>`` may take it from another project.

        Raises:
            AssignmentError: The template breaks a rule, or contradicts another assignment.
        """
        assignment = Assignment.parse(
            key, path, obj_cls=obj_cls, numbered=enable_numbering, reusable=reusable
        )
        Assignments(cls._declared.values()).add(assignment)
        for manager in cls._installed:
            manager.assignments.add(assignment)
        cls._declared.setdefault(key, assignment)

    @property
    def store(self) -> ArtefactStore:
        """The provenance records of the project."""
        return ArtefactStore(self.project_path)

    @property
    def reused(self) -> dict[str, ArtefactRecord]:
        """What was taken from earlier runs so far: path to provenance record."""
        return self._reuse.used

    @property
    def taken_over_from(self) -> tuple[Path, ...]:
        """The projects whose steps may be taken over instead of running them again, ``reuse.auto``."""
        return self._reuse.auto

    @property
    def global_files(self) -> dict[str, Path]:
        """The reused files of global keys that were asked for: key to file; clear it to begin anew."""
        return self._reuse.global_files

    @property
    def tasks(self) -> TaskIndex:
        """The installed tasks."""
        if self._tasks is None:
            from mml_core.tasks.index import TaskIndex

            self._tasks = TaskIndex(self.data)
        return self._tasks

    def load_struct(self, name: str, preprocessing: str | None = None, seed: int = 0) -> TaskStruct:
        """Return a task's struct with what ``reuse`` asks for in its paths and models.

        Args:
            name: The task, tags included.
            preprocessing: The id of the preprocessing it must be stored in; None for the raw images.
            seed: What tags that choose at random choose by.

        Raises:
            UnknownTaskError: There is no such task.
            ReuseError: A number that is to be reused does not exist.
            DamagedArtefactError: A file to be reused is not what was committed.
        """
        from mml_core.tasks.struct import TaskStruct

        description = self.tasks.get(name, preprocessing=preprocessing, plugins=self.plugins, seed=seed)
        return TaskStruct(description, self._reuse.paths(name), self._reuse.models(name))

    def committed(self, key: str, task: str) -> list[tuple[Path, ArtefactRecord]]:
        """Return all files of a key and task that could be reused (see `Reuse.committed`)."""
        return self._reuse.committed(key, task)

    def check_models(self, models: Iterable[ModelStorage]) -> None:
        """Refuse models whose files are not what was committed; none is compared twice while untouched.

        Raises:
            DamagedArtefactError: A file is missing or damaged, or no step has committed it.
        """
        for model in models:
            self._reuse.check_files(model, f"model of task {model.task}, fold {model.fold}")

    def global_path(self, key: str) -> Path:
        """Return the reused file of a key that has no tasks (see `Reuse.global_path`)."""
        return self._reuse.global_path(key)

    def take_file(self, path: Path) -> None:
        """Note that the running step uses a file of the user's own: with another content it is another step.

        Raises:
            ReuseError: There is no such file.
        """
        self._reuse.take_file(path)

    def construct_saving_path(
        self, obj: object, key: str, task_name: str | None = None, file_name: str | None = None
    ) -> Path:
        """Return a path to save an object at; its folder exists, and any writer may be used.

        The path is private to the running step. When the step is committed, the file gets its final name,
        and so do all paths to it in what the step returns or attaches to a task's struct.

        Args:
            obj: What will be saved; its type is checked.
            key: The path key.
            task_name: The task, needed where the template has TASK_NAME; it need not be installed.
            file_name: The file's name, needed where the template has FILE_NAME.

        Raises:
            UnknownKeyError: There is no such key.
            SavingPathError: The object's type, the task name or the file name does not fit the template.
            NoAttemptError: No step runs and no ``with`` block is open.
            WriteFailedError: The disk is full, broken or read-only.
        """
        assignment = self.assignments.get(key)
        assignment.check_type(obj)
        check_names(assignment, task_name, file_name)
        with self._lock:
            if not self._attempts:
                raise NoAttemptError(
                    f"A path for '{key}' was asked for outside of a step; save files in a scheduler's step, "
                    "or in a `with MMLFileManager(...)` block."
                )
            return self._attempts[-1].path_for(assignment, task_name, file_name)

    @contextmanager
    def attempt(self, folder: Path, identity: str) -> Iterator[Attempt]:
        """Run a step: saving paths point below ``folder`` while the block lasts.

        Args:
            folder: Private to this attempt, below ``layout.attempts``; it is made.
            identity: ``<run>/<step>``: the same for every attempt at the step.

        Yields:
            The attempt, to be sealed when the step is done. A failed one is left for the next attempt to
            find its checkpoints in.
        """
        prepare_folder(folder)
        attempt = Attempt(folder, identity, self.layout)
        self._attempts.append(attempt)
        try:
            yield attempt
        finally:
            self._attempts.remove(attempt)
            self._fingerprints.update(attempt.fingerprints)

    def publish(
        self,
        artefacts: Sequence[Artefact],
        attempt_folder: Path,
        *,
        run: str | None = None,
        step: str = "",
        extra: Mapping[str, Any] | None = None,
        identity: str | None = None,
    ) -> None:
        """Move committed files to their final names; idempotent, and safe when several finish one record.

        Args:
            artefacts: Those of the step's commit record.
            attempt_folder: The attempt that was committed; it is removed at the end.
            run: The run that made them; by default the present one.
            step: The step that made them.
            extra: Provenance the runner knows: config read, inputs, versions, seed (JSON values).
            identity: What the attempt was given as such; by default ``<run>/<step>``.

        Raises:
            DamagedArtefactError: A file is not what was committed; the message names it.
            TakenPathError: A final name is taken by a file that is not from mml.
        """
        run = run or self.layout.run
        if artefacts:
            folder = attempt_folder.absolute()
            Publication(self.layout, folder, run, step, extra or {}, self._fingerprints).publish(artefacts)
            if any(artefact.number is not None for artefact in artefacts):
                for root in (self.layout.numbers, self.layout.temp_numbers):
                    Numbers(root).forget(identity or f"{run}/{step}")
            for artefact in artefacts:
                self._fingerprints.pop(folder / artefact.source, None)
        remove_folder(attempt_folder)

    def clean_up(self, artefacts: Iterable[Artefact], keys: Collection[str] | None = None) -> list[Path]:
        """Remove, after success, what the run made of some keys, its temporary files and checkpoints.

        Args:
            artefacts: What the run committed.
            keys: The keys; by default those with ``reuse.clean_up.<key>=true``.

        Returns:
            The artefacts' files that were removed.

        Raises:
            UnsafePathError: A path leads out of the project or through a symbolic link.
        """
        return clean_up(self.layout, artefacts, self.clean_up_keys if keys is None else keys)

    def close(self) -> None:
        """Remove this manager as `instance`; a second call does nothing."""
        with suppress(ValueError):
            self._installed.remove(self)

    def __enter__(self) -> MMLFileManager:
        sessions.finish(self)
        self._session = sessions.Session(self.layout)
        self._attempts.append(self._session)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        assert session is not None  # __enter__ made it
        self._attempts.remove(session)
        try:
            if kind is None:
                sessions.commit(self, session)
            else:
                session.discard()
        finally:
            self.close()


def _session_name() -> str:
    return f"{SCRIPT}{datetime.now(timezone.utc):%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"
