"""What a scheduler's create_routine collects, checked and turned into the steps of a plan."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mml_core.errors import near_matches
from mml_core.scheduling import values
from mml_core.scheduling.plan import FINISH, PlanError, PlanStep, check_resources, describe_call, step_id


class StepHandle:
    """A step that was added to a routine; a later ``after=(handle, …)`` takes it.

    Attributes:
        position: Where the step stands in the plan.
        id: The id of the step, the key of its value in ``results``.
    """

    __slots__ = ("_routine", "id", "position")

    def __init__(self, routine: Routine, position: int, step_id: str) -> None:
        self._routine = routine
        self.position = position
        self.id = step_id

    def __repr__(self) -> str:
        return f"StepHandle({self.id!r})"

    def belongs_to(self, routine: Routine) -> bool:
        """Whether ``routine`` made this handle."""
        return self._routine is routine


class Routine:
    """Two lists that a scheduler extends, and what was said about steps beyond them.

    Args:
        scheduler: The object whose methods the steps call.

    Attributes:
        commands: Names of methods, or the bound methods themselves.
        params: Per command its arguments: a list by position, a dict by name.
    """

    def __init__(self, scheduler: object) -> None:
        self.commands: list[Any] = []
        self.params: list[Any] = []
        self._scheduler = scheduler
        self._after: dict[int, list[int]] = {}
        self._resources: dict[int, dict[str, float]] = {}
        self._signatures: dict[str, inspect.Signature] = {}
        self._counts: Counter[str] = Counter()
        self._checked: list[PlanStep] = []

    def add(
        self,
        method: str | Callable[..., Any],
        params: Sequence[Any],
        after: StepHandle | Iterable[StepHandle] | None,
        resources: dict[str, float] | None,
    ) -> StepHandle:
        """Add a step that waits for ``after`` (None: all before it) and return its handle."""
        self._check_new()
        position = len(self.commands)
        where = f"Step {position + 1} ({_method_name(method)})"
        if after is not None:
            self._after[position] = self._positions(after, where)
        if resources is not None:
            self._resources[position] = check_resources(resources, where)
        self.commands.append(method)
        self.params.append(list(params))
        try:
            self._check_new()
        except BaseException:
            del self.commands[position:], self.params[position:]
            self._after.pop(position, None)
            self._resources.pop(position, None)
            raise
        return StepHandle(self, position, self._checked[position].id)

    def steps(self) -> list[PlanStep]:
        """Return all steps, the finishing one last.

        Raises:
            PlanError: The lists differ in length, or a step is not one.
        """
        self._check_new()
        for position, step in enumerate(self._checked):
            method, params = _method_name(self.commands[position]), self.params[position]
            if (method, _encoded(params)) != (step.method, _encoded(step.params)):
                raise PlanError(
                    f"Step {position + 1} was {step.name} and was changed to {describe_call(method, params)} "
                    "later; add steps in their final order."
                )
        return [*self._checked, PlanStep(id=step_id(FINISH), method=FINISH)]

    def restore(self, steps: Sequence[PlanStep]) -> None:
        """Fill the lists from a stored plan, in a process that does not call create_routine."""
        self.commands[:] = [step.method for step in steps[:-1]]
        self.params[:] = [step.params for step in steps[:-1]]

    def _check_new(self) -> None:
        if len(self._checked) > len(self.commands):
            raise PlanError(
                f"{len(self._checked)} steps were added and {len(self.commands)} are left; do not remove any."
            )
        if len(self.commands) != len(self.params):
            raise PlanError(
                f"The routine has {len(self.commands)} commands and {len(self.params)} params; "
                f"append to both, or use add_step."
            )
        for position in range(len(self._checked), len(self.commands)):
            self._checked.append(self._check(position))

    def _check(self, position: int) -> PlanStep:
        method = self._resolve(self.commands[position], position)
        where = f"Step {position + 1} ({method})"
        given = self.params[position]
        if isinstance(given, str) or not isinstance(given, (list, tuple, dict)):
            raise PlanError(
                f"{where} has the params {given!r}; give a list of arguments (or a dict by name), even for "
                "one."
            )
        try:
            params = values.to_json_value(given, f"{where}: params")
        except values.NotJsonError as error:
            raise PlanError(str(error)) from error
        self._check_call(method, given, where)
        key = f"{method}\0{params!r}"
        self._counts[key] += 1
        return PlanStep(
            id=step_id(method, given, self._counts[key]),
            method=method,
            params=values.decode(values.encode(params)),
            after=self._after.get(position),
            resources=self._resources.get(position, {}),
        )

    def _resolve(self, command: object, position: int) -> str:
        name = _method_name(command)
        owner = getattr(command, "__self__", self._scheduler)
        if not name or owner is not self._scheduler:
            raise PlanError(
                f"Step {position + 1} has the command {command!r}; give the name of a method of the "
                "scheduler."
            )
        if name == FINISH:
            raise PlanError(f"Step {position + 1} calls {FINISH}, which runs as the last step by itself.")
        if not callable(getattr(self._scheduler, name, None)):
            near = near_matches(name, (n for n in dir(self._scheduler) if not n.startswith("__")))
            raise PlanError(
                f"Step {position + 1} calls {name!r}, which {type(self._scheduler).__name__} does not "
                f"have.{near}"
            )
        return name

    def _check_call(self, method: str, params: Any, where: str) -> None:
        signature = self._signatures.get(method)
        if signature is None:
            signature = inspect.signature(getattr(self._scheduler, method))
            self._signatures[method] = signature
        try:
            if isinstance(params, dict):
                signature.bind(**params)
            else:
                signature.bind(*params)
        except TypeError as error:
            raise PlanError(
                f"{where} cannot be called as {describe_call(method, params)}: {error}."
            ) from None

    def _positions(self, after: StepHandle | Iterable[StepHandle], where: str) -> list[int]:
        positions = set()
        for handle in (after,) if isinstance(after, StepHandle) else after:
            if not isinstance(handle, StepHandle) or not handle.belongs_to(self):
                raise PlanError(
                    f"{where} comes after {handle!r}, which is no handle that add_step of this scheduler "
                    "returned."
                )
            positions.add(handle.position)
        return sorted(positions)


def _encoded(params: Any) -> bytes:
    return values.encode(values.to_json_value(params, "params"))


def _method_name(command: object) -> str:
    return command if isinstance(command, str) else str(getattr(command, "__name__", ""))
