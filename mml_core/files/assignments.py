"""Path assignments: for each key the template of its paths, checked rule by rule, and the type it takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol

from mml_core.errors import near_matches
from mml_core.files.errors import AssignmentError, SavingPathError, UnknownKeyError
from mml_core.files.layout import OWN_FOLDERS
from mml_core.files.names import ends_in_number, file_name_problem
from mml_core.files.object_types import ObjectType, is_instance_of, reference_to
from mml_core.plugins.names import CORE

ROOTS = ("PROJ_PATH", "TEMP_PATH")
TASK, FILE = "TASK_NAME", "FILE_NAME"
_KEY = re.compile(r"[a-z][a-z0-9_]*")
_UPPER = re.compile(r"[A-Z][A-Z0-9_]*")
_PLACEHOLDER = re.compile(r"(PROJ|TEMP|TASK|FILE)_(PATH|NAME)|\b[A-Z0-9_]+_(PATH|NAME)\b")


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
        parts = tuple((path if isinstance(path, str) else path.as_posix()).split("/"))
        made = cls(key, parts, reference_to(obj_cls), numbered, reusable, provider)
        if problems := list(dict.fromkeys(made._problems())):
            raise AssignmentError(f"{where}: {'; '.join(problems)}.")
        return made

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
        if self.parts[0] != other.parts[0] or len(self.parts) != len(other.parts):
            return False
        if self.temporary:
            return self.parts == other.parts
        wild = (TASK, FILE)
        return all(
            one in wild or two in wild or one.casefold() == two.casefold()
            for one, two in zip(self.parts, other.parts, strict=True)
        )

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

    def _problems(self) -> Iterator[str]:
        if not _KEY.fullmatch(self.key) or self.key == "clean_up":
            yield "a key consists of a-z, 0-9 and '_', begins with a letter and is not 'clean_up'"
        if re.fullmatch(r"([A-Za-z]:.*)?", self.parts[0]) and len(self.parts) > 1:
            yield "the path is absolute; it must begin with PROJ_PATH or TEMP_PATH"
        elif self.parts[0] not in ROOTS:
            yield f"it must begin with PROJ_PATH or TEMP_PATH, not with {self.parts[0]!r}"
        if len(self.parts) < 2 or self.parts[-1] == TASK:
            yield "it ends in a folder; a file must come last"
        for index, part in enumerate(self.parts[1:], start=1):
            yield from self._part_problems(part, last=index == len(self.parts) - 1)
        if self.parts.count(TASK) > 1:
            yield "TASK_NAME may be used once"
        if not self.temporary and self.parts[1:] and self.parts[1].casefold() in OWN_FOLDERS:
            yield f"the folder {self.parts[1]!r} of a project belongs to mml"
        if not self.takes_file_name and ends_in_number(self.parts[-1]):
            yield "its file name ends like a number mml would give"
        yield from self._reuse_problems()

    def _part_problems(self, part: str, *, last: bool) -> Iterator[str]:
        if part == "":
            yield "it has an empty component"
        elif part in (".", ".."):
            yield f"it has the component {part!r}"
        elif part == FILE:
            if not last:
                yield "FILE_NAME may only come last"
        elif part in ROOTS:
            yield f"{part} may only come first"
        elif part != TASK:
            if found := _PLACEHOLDER.search(part):
                if found.group() in (*ROOTS, TASK, FILE):
                    yield f"the placeholder {found.group()} must be a whole component, not part of {part!r}"
                else:
                    known = ", ".join((*ROOTS, TASK, FILE))
                    yield f"unknown placeholder {found.group()!r}; known are {known}"
            if problem := file_name_problem(part):
                yield f"the component {part!r} {problem}"

    def _reuse_problems(self) -> Iterator[str]:
        if not self.reusable:
            return
        if self.temporary:
            yield "what lies below TEMP_PATH is removed after the run, so it cannot be reusable"
        elif self.per_task and not (
            len(self.parts) == 4 and self.parts[2] == TASK and _UPPER.fullmatch(self.parts[1])
        ):
            yield "a reusable path per task must read PROJ_PATH/<UPPER CASE>/TASK_NAME/<file>"


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
    """Take what all plugins assign; a mistake of one of them is an error when its key is used."""
    found = Assignments()
    for contribution in plugins.path_assignments.items():
        record = contribution.record
        try:
            assignment = Assignment.parse(
                record.key,
                record.path,
                obj_cls=record.type,
                numbered=record.numbered,
                reusable=record.reusable,
                provider=contribution.provider,
            )
        except AssignmentError as error:
            found.refuse(record.key, str(error))
        else:
            found.claim(assignment)
    return found


def _kind(obj: object) -> str:
    return type(obj).__name__
