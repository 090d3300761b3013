"""Path assignments: for each key the template of its paths, checked rule by rule, and the type it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol

from mml_core.errors import near_matches
from mml_core.files.errors import AssignmentError, SavingPathError, UnknownKeyError
from mml_core.files.object_types import ObjectType, is_instance_of, reference_to
from mml_core.plugins.names import CORE
from mml_core.plugins.path_templates import FILE as FILE
from mml_core.plugins.path_templates import TASK as TASK
from mml_core.plugins.path_templates import key_problem, overlap, template_problems


@dataclass(frozen=True)
class Assignment:
    """One key and where its files go.

    Attributes:
        key: What ``construct_saving_path`` and ``reuse.<key>`` call it.
        parts: The components of the template, root included.
        type: ``"pkg.mod:Name"`` of the objects it takes; None takes any.
        numbered: Whether each new file gets a number.
        reusable: Whether other runs and projects may load it.
        provider: Who declared it, for messages.
    """

    key: str
    parts: tuple[str, ...]
    type: str | None = None
    numbered: bool = True
    reusable: bool = False
    provider: str = "this process"

    @classmethod
    def parse(
        cls,
        key: str,
        path: str | PurePath,
        *,
        obj_cls: ObjectType = None,
        numbered: bool = True,
        reusable: bool = False,
        provider: str = "this process",
    ) -> Assignment:
        """Check a key and its template.

        Raises:
            AssignmentError: It names every violated rule.
        """
        where = f"The path assignment {key!r} of {provider}, {str(path)!r}"
        if not isinstance(key, str) or not isinstance(path, str | PurePath):
            raise AssignmentError(f"{where}: key and path are texts, not {_kind(key)} and {_kind(path)}.")
        template = path if isinstance(path, str) else path.as_posix()
        problems = [key_problem(key), *template_problems(template, reusable=reusable)]
        if any(problems):
            raise AssignmentError(f"{where}: {'; '.join(filter(None, problems))}.")
        return cls(key, tuple(template.split("/")), reference_to(obj_cls), numbered, reusable, provider)

    def __str__(self) -> str:
        return f"{self.provider} ({self.template!r})"

    @property
    def template(self) -> str:
        """The template as text."""
        return "/".join(self.parts)

    @property
    def temporary(self) -> bool:
        """Whether its files go when the run succeeds."""
        return self.parts[0] == "TEMP_PATH"

    @property
    def per_task(self) -> bool:
        """Whether it needs a task name."""
        return TASK in self.parts

    @property
    def takes_file_name(self) -> bool:
        """Whether it needs a file name."""
        return self.parts[-1] == FILE

    def same_definition(self, other: Assignment) -> bool:
        """Tell whether two assignments agree in all but who declared them."""
        return self._definition() == other._definition()

    def overlaps(self, other: Assignment) -> bool:
        """Tell whether some task and file name give both one path."""
        return overlap(self.parts, other.parts)

    def check_type(self, obj: object) -> None:
        """Refuse an object of another type, importing nothing that is not imported.

        Raises:
            SavingPathError: It names what was expected and found.
        """
        if self.type is not None and not is_instance_of(obj, self.type):
            found = f"{type(obj).__module__}:{type(obj).__qualname__}"
            raise SavingPathError(
                f"The path key '{self.key}' takes a {self.type}, not a {found}; use another key."
            )

    def _definition(self) -> tuple[object, ...]:
        return (self.key, self.parts, self.type, self.numbered, self.reusable)


class Assignments:
    """The assignments of one file manager: one definition per key, one key per path."""

    def __init__(self, assignments: Iterable[Assignment] = ()) -> None:
        self._by_key: dict[str, Assignment] = {}
        self._refused: dict[str, str] = {}
        for assignment in assignments:
            self.add(assignment)

    def __iter__(self) -> Iterator[Assignment]:
        return (assignment for key, assignment in self._by_key.items() if key not in self._refused)

    def __contains__(self, key: str) -> bool:
        return key in self._by_key and key not in self._refused

    def add(self, assignment: Assignment) -> None:
        """Add an assignment; the same once more changes nothing.

        Raises:
            AssignmentError: The key is defined otherwise, or another key has its path.
        """
        self._check_usable(assignment.key)
        known = self._by_key.get(assignment.key)
        if known is not None:
            if not known.same_definition(assignment):
                raise AssignmentError(
                    f"The path key '{assignment.key}' is defined differently by {known} and {assignment}; "
                    "rename one of them."
                )
            return
        for other in self._by_key.values():
            if other.overlaps(assignment):
                raise AssignmentError(
                    f"The path keys '{other.key}' of {other} and '{assignment.key}' of {assignment} "
                    "can name one path; change one of them."
                )
        self._by_key[assignment.key] = assignment

    def claim(self, assignment: Assignment) -> None:
        """Add what a plugin contributes; where it contradicts another, using any of the keys says so.

        The core comes first and owns its keys: they stay as they are.
        """
        try:
            self.add(assignment)
        except AssignmentError as error:
            overlapping = [other.key for other in self._by_key.values() if other.overlaps(assignment)]
            for key in (assignment.key, *overlapping):
                if key not in self._by_key or self._by_key[key].provider != CORE:
                    self.refuse(key, str(error))

    def refuse(self, key: str, cause: str) -> None:
        """Make a key unusable; whoever asks for it is told the first cause."""
        self._refused.setdefault(key, cause)

    def _check_usable(self, key: str) -> None:
        if key in self._refused:
            raise AssignmentError(self._refused[key])

    def get(self, key: str) -> Assignment:
        """Return the assignment of a key.

        Raises:
            AssignmentError: What plugins say of it contradicts itself.
            UnknownKeyError: It names near matches.
        """
        if not isinstance(key, str):
            raise UnknownKeyError(
                f"A path key is a text, not {key!r}; known: {', '.join(sorted(self._by_key))}."
            )
        self._check_usable(key)
        if key not in self._by_key:
            raise UnknownKeyError(
                f"There is no path key '{key}'; known: {', '.join(sorted(self._by_key)) or 'none'}."
                f"{near_matches(key, self._by_key)}"
            )
        return self._by_key[key]


class _Contribution(Protocol):
    @property
    def provider(self) -> str: ...
    @property
    def record(self) -> Any: ...


class _Contributions(Protocol):
    def items(self) -> Iterable[_Contribution]: ...


class Plugins(Protocol):
    """What the file manager needs of a plugin manager."""

    @property
    def path_assignments(self) -> _Contributions:
        """The path assignments of all plugins."""


def contributed(plugins: Plugins) -> Assignments:
    """Take what all plugins assign; where they contradict each other, that is an error when a key is used."""
    found = Assignments()
    for contribution in plugins.path_assignments.items():
        record = contribution.record
        found.claim(
            Assignment.parse(
                record.key,
                record.path,
                obj_cls=record.type,
                numbered=record.numbered,
                reusable=record.reusable,
                provider=contribution.provider,
            )
        )
    return found


def _kind(obj: object) -> str:
    return type(obj).__name__
