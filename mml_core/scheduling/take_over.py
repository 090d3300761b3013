"""Taking over: what another run did of a step stands for the same step here, where it used just the same."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from mml_core.errors import MMLError
from mml_core.scheduling import values
from mml_core.scheduling.changes import StructChange, plain_path, stored_path
from mml_core.scheduling.environments import Environment
from mml_core.scheduling.fingerprints import difference
from mml_core.scheduling.inputs import FileInput
from mml_core.scheduling.ledger import Ledger, StepRecord, Taken
from mml_core.scheduling.plan import FINISH, Plan
from mml_core.scheduling.run_directory import RunDirectory, run_directories
from mml_core.scheduling.scope import StepScope
from mml_core.storage.hashing import sha256_file


@dataclass(frozen=True)
class Candidate:
    """What the same step of another run has done.

    Attributes:
        run: The directory of that run.
        plan: Its plan.
        record: The record of the step.
        environment: What it ran with.
    """

    run: RunDirectory
    plan: Plan
    record: StepRecord
    environment: Environment

    def __str__(self) -> str:
        return f"run {self.run.id} of project {self.run.project_path.name}"

    @property
    def origin(self) -> dict[str, str]:
        """The project and the run it is of."""
        return {"project": self.run.project_path.name, "run": self.run.id}

    def files(self) -> dict[str, FileInput]:
        """The files that its record names: those it stands for, and those of its inputs."""
        return {**self.record.inputs.files, **self.record.files()}

    def place(self, stored: str) -> Path:
        """Where a file lies that its record names."""
        return Path(os.path.normpath(self.run.project_path / stored))

    def problem(self, *, content: bool) -> str:
        """Return which file is not what it was, in words; empty: none.

        Args:
            content: Whether to compare hashes, which reads the files, and not just to look for them.
        """
        known = self.files()
        brought = paths_in(self.record.structs.values(), self.run.project_path)
        for stored in (*self.record.files(), *brought):
            if stored not in known:
                return f"its record names no hash of the file {stored}"
            path = self.place(stored)
            if path.is_symlink() or not path.is_file():
                return f"its file {path} is gone"
            if content and sha256_file(path) != known[stored].sha256:
                return f"its file {path} is not what it was"
        return ""


@dataclass(frozen=True)
class Offer:
    """Whether a step can be taken over.

    Attributes:
        candidate: From where; None: it has to be run.
        why_not: Why it has to, in words.
    """

    candidate: Candidate | None
    why_not: str = ""


class Library:
    """The steps that the runs of some projects have done, the newest run first.

    Args:
        projects: The folders of the projects.
        own: The directory of the run that looks, which is left out; None where it has none.
    """

    def __init__(self, projects: Sequence[Path], own: Path | None) -> None:
        self.projects = tuple(projects)
        planned = [(_planned_at(run), run) for project in projects for run in run_directories(project)]
        self._runs = [
            run
            for at, run in sorted(planned, key=lambda each: each[0], reverse=True)
            if at and run.path != own
        ]
        self._ledgers: dict[Path, tuple[Plan, Ledger] | None] = {}
        self._environments: dict[Path, Environment] = {}

    def candidates(self, step: str) -> Iterator[Candidate]:
        """Yield what other runs have done of a step; what is damaged is passed over."""
        for run in self._runs:
            if (run.steps_path / f"{step}.json").exists():
                try:
                    found = self._candidate(run, step)
                except (MMLError, OSError, msgspec.DecodeError):
                    continue
                if found is not None:
                    yield found

    def _candidate(self, run: RunDirectory, step: str) -> Candidate | None:
        if run.path not in self._ledgers:
            self._ledgers[run.path] = None
            plan = Plan.load(run.plan_path)
            self._ledgers[run.path] = (plan, Ledger(plan, run.steps_path))
        known = self._ledgers[run.path]
        position = known[0].position(step) if known is not None else None
        if known is None or position is None:
            return None
        record = known[1].look_up(position)
        if record is None or not record.environment:
            return None
        path = run.environments_path / record.environment
        if path not in self._environments:
            self._environments[path] = Environment.load(run.environments_path, record.environment)
        return Candidate(run, known[0], record, self._environments[path])


def find_offer(
    library: Library,
    plan: Plan,
    position: int,
    environment: Environment,
    new_scope: Callable[[], StepScope],
    global_path: Callable[[str], Path],
    *,
    content: bool = True,
) -> Offer:
    """Look for a run that has done a step with the same config, code and inputs.

    Args:
        library: Where to look.
        plan: The plan of the run that needs the step.
        position: The step.
        environment: What it would run with.
        new_scope: Gives a fresh scope of the step.
        global_path: Gives the reused file of a global key.
        content: Whether to compare the content of the files that would be taken over.
    """
    step = plan.steps[position]
    if step.method == FINISH:
        return Offer(None, "it runs in every run")
    why_not = f"no other run of {' or '.join(each.name for each in library.projects)} has done it"
    for number, candidate in enumerate(library.candidates(step.id)):
        record = candidate.record
        found = difference(candidate.plan, record, candidate.environment, plan, step, environment)
        if not found:
            try:
                found = record.inputs.difference(new_scope().use_again(record.inputs, global_path))
            except MMLError as error:
                found = str(error)
        found = found or candidate.problem(content=content)
        if not found:
            return Offer(candidate)
        if number == 0:
            why_not = f"compared with {candidate}: {found}"
    return Offer(None, why_not)


def taken_over(
    candidate: Candidate, scope: StepScope, project: Path, *, attempt: int, environment: str, started: float
) -> StepRecord:
    """Return the record of a step that is taken over: what was done there, pointing at the files there.

    Args:
        candidate: What was done.
        scope: The scope of the step here.
        project: The project's folder.
        attempt: Which attempt at the step it is.
        environment: Name of what it would have run with.
        started: When it was begun, Unix time.
    """
    record = candidate.record

    def here(stored: str) -> str:
        return stored_path(candidate.place(stored), project)

    def of_model(stored: str) -> str:  # a model of another project is named by the way there
        return Path(os.path.relpath(candidate.place(stored), project)).as_posix()

    there = candidate.run.project_path.name
    origin = record.taken or Taken(project=there, run=record.run, step=record.step)
    structs = {task: _moved(change, here, of_model) for task, change in record.structs.items()}
    scope.check_own(structs, ())
    move = _Mover(candidate)
    return StepRecord(
        run=scope.run,
        step=record.step,
        method=record.method,
        params=record.params,
        attempt=attempt,
        host=platform.node(),
        pid=os.getpid(),
        started=started,
        seconds=time.time() - started,
        seed=scope.seed,
        threads=scope.threads,
        value=move.value(record.value),
        sets_return_value=record.sets_return_value,
        return_value=move.value(record.return_value),
        structs=structs,
        inputs=scope.inputs(),
        reads=record.reads,
        environment=environment,
        taken=msgspec.structs.replace(
            origin, files={here(stored): file.sha256 for stored, file in record.files().items()}
        ),
    )


def paths_in(changes: Iterable[StructChange], project: Path) -> list[str]:
    """Return the paths that changes of structs bring, as paths are stored.

    Args:
        changes: The changes.
        project: The folder of the project whose steps made them.
    """
    found: dict[str, None] = {}

    def note(stored: str) -> str:
        found[stored] = None
        return stored

    for change in changes:
        _moved(change, note, lambda stored: note(plain_path(stored, project)))
    return list(found)


def _planned_at(run: RunDirectory) -> int:
    """Return when a run was planned, in nanoseconds; 0 where it was not."""
    try:
        return run.plan_path.stat().st_mtime_ns
    except OSError:
        return 0


def _moved(
    change: StructChange, move: Callable[[str], str], move_of_model: Callable[[str], str]
) -> StructChange:
    def model(fields: Mapping[str, Any]) -> dict[str, Any]:
        moved: dict[str, Any] = {
            name: move_of_model(fields[name]) for name in ("weights", "pipeline") if name in fields
        }
        if "predictions" in fields:
            moved["predictions"] = {name: move_of_model(path) for name, path in fields["predictions"].items()}
        return {**fields, **moved}

    return StructChange(
        paths={key: path if path is None else move(path) for key, path in change.paths.items()},
        added=[model(fields) for fields in change.added],
        edited={move_of_model(weights): model(fields) for weights, fields in change.edited.items()},
        models=None if change.models is None else [model(fields) for fields in change.models],
    )


class _Mover:
    """Lets paths in a value point at where the files are now, also if their project was moved since."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate
        self._by_name: dict[str, list[str]] = {}
        for stored in candidate.files():
            self._by_name.setdefault(PurePosixPath(stored).name, []).append(stored)

    def value(self, encoded: msgspec.Raw) -> msgspec.Raw:
        return msgspec.Raw(values.encode(self._move(msgspec.json.decode(encoded))))

    def _move(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value) if value.startswith("/") else value
        if isinstance(value, dict):
            return {key: self._move(item) for key, item in value.items()}
        return [self._move(item) for item in value] if isinstance(value, list) else value

    def _text(self, text: str) -> str:
        for stored in self._by_name.get(PurePosixPath(text).name, ()):
            if text == stored or text.endswith(f"/{stored}"):
                return str(self._candidate.place(stored))
        return text
