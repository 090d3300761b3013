"""The plan of a run: its steps, their identities and what each waits for, written once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mml_core.errors import MMLError
from mml_core.scheduling import sealed, values
from mml_core.scheduling.inputs import TaskInput
from mml_core.storage import atomic

FINISH = "before_finishing_hook"
"""The method of a plan's last step."""

_RESOURCES = frozenset({"cpus", "gpus", "memory", "threads"})


class PlanError(MMLError):
    """A routine is not a valid plan."""


class PlanStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One atomic step.

    Attributes:
        id: Method, params and occurrence, safe as a file name.
        method: The scheduler's method that does the work.
        params: What the method is called with: a list by position, a dict by name.
        after: Positions in the plan of the steps it waits for; None: all before it.
        resources: ``cpus``, ``gpus``, ``memory`` (GiB), ``threads``.
    """

    id: str
    method: str
    params: list[Any] | dict[str, Any] = []
    after: list[int] | None = None
    resources: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The step as a reader knows it: ``train_fold('digits', 0)``."""
        return describe_call(self.method, self.params)


class Basis(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all steps of a run rest on, beside its seed.

    Attributes:
        scheduler: ``pkg.mod:Class`` of the scheduler.
        reads: Keys of the config that were read outside of steps: in ``__init__``, hooks and
            ``create_routine``.
        config: The config in plain values, without what cannot change results.
        tasks: Tasks whose structs were taken outside of steps.
    """

    scheduler: str = ""
    reads: list[str] = []
    config: dict[str, Any] = {}
    tasks: dict[str, TaskInput] = {}


class _PlanFile(msgspec.Struct, kw_only=True):
    schema: int = 1
    run: str
    seed: int
    threads: int
    config_sha256: str
    steps: list[PlanStep]
    structs: dict[str, Any]
    basis: Basis = Basis()
    notices: list[str] = []


class Plan:
    """The steps of a run in order, and who comes before whom.

    Args:
        run: The id of the run.
        steps: The steps; each waits only for steps before it.
        seed: The run's seed.
        threads: Threads of a step that does not say otherwise.
        config_sha256: Hash of the stored config.
        structs: What reuse attached to the tasks when the run began, by task, as stored JSON.
        basis: What all steps rest on.
        notices: What a reader of the run has to know, one line each.
    """

    def __init__(
        self,
        run: str,
        steps: Sequence[PlanStep],
        *,
        seed: int,
        threads: int = 1,
        config_sha256: str = "",
        structs: dict[str, Any] | None = None,
        basis: Basis | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        self.run = run
        self.steps = tuple(steps)
        self.seed = seed
        self.threads = threads
        self.config_sha256 = config_sha256
        self.structs = structs or {}
        self.basis = basis or Basis()
        self.notices = list(notices)
        self._positions = {step.id: position for position, step in enumerate(self.steps)}
        if len(self._positions) < len(self.steps):
            raise PlanError("Two steps of the plan have one identity; each must be a step of its own.")
        self._ancestors: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[PlanStep]:
        return iter(self.steps)

    def threads_of(self, step: PlanStep) -> int:
        """The threads a step is given."""
        return int(step.resources.get("threads", self.threads))

    def position(self, step_id: str) -> int | None:
        """Where the step stands in the plan; None when it is not in it."""
        return self._positions.get(step_id)

    def steps_of(self, positions: int) -> Iterator[PlanStep]:
        """The steps at some positions, a bit mask, in plan order."""
        return (step for position, step in enumerate(self.steps) if positions >> position & 1)

    def ancestors(self, position: int) -> int:
        """The transitive ancestors of a step, as a bit mask over positions."""
        after = self.steps[position].after
        if after is None:
            return (1 << position) - 1
        known = self._ancestors
        pending = [position]
        while pending:
            current = pending[-1]
            if current in known:
                pending.pop()
                continue
            parents = self.steps[current].after
            if parents is None:
                known[current] = (1 << current) - 1
                continue
            missing = [parent for parent in parents if parent not in known]
            if missing:
                pending.extend(missing)
                continue
            mask = 0
            for parent in parents:
                mask |= known[parent] | (1 << parent)
            known[current] = mask
        return known[position]

    def save(self, path: Path) -> None:
        """Write the plan, durable and whole."""
        stored = _PlanFile(
            run=self.run,
            seed=self.seed,
            threads=self.threads,
            config_sha256=self.config_sha256,
            steps=[
                msgspec.structs.replace(step, params=values.to_json_value(step.params, "params"))
                for step in self.steps
            ],
            structs=self.structs,
            basis=self.basis,
            notices=self.notices,
        )
        atomic.write_bytes(path, sealed.seal(msgspec.json.encode(stored)))

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a plan; raise DamagedRecordError where the file is damaged."""
        body = sealed.read_sealed(path, "Start a new run.")
        stored = msgspec.json.decode(body, type=_PlanFile)
        steps = stored.steps
        if b"$float" in body:
            steps = [msgspec.structs.replace(s, params=values.decode(values.encode(s.params))) for s in steps]
        return cls(
            stored.run,
            steps,
            seed=stored.seed,
            threads=stored.threads,
            config_sha256=stored.config_sha256,
            structs=stored.structs,
            basis=stored.basis,
            notices=stored.notices,
        )


def step_id(method: str, params: Sequence[Any] | dict[str, Any] = (), occurrence: int = 1) -> str:
    """Return the identity of a step: stable, safe as a file name, different for different steps.

    Args:
        method: Name of the scheduler's method.
        params: Its params, JSON values.
        occurrence: 1 for the first step of that method and params in the plan, 2 for the second, …
    """
    plain = values.to_json_value(params, f"The params of {method}")
    return _identity(method, plain, values.encode(plain), occurrence)


def describe_call(method: str, params: Sequence[Any] | dict[str, Any]) -> str:
    """Return a call as a reader knows it: ``train_fold('digits', 0)``."""
    if isinstance(params, dict):
        return f"{method}({', '.join(f'{key}={value!r}' for key, value in params.items())})"
    return f"{method}({', '.join(map(repr, params))})"


def _identity(method: str, params: Any, encoded: bytes, occurrence: int) -> str:
    words = params.values() if isinstance(params, dict) else params
    digest = hashlib.sha256(b"%s\0%s\0%d" % (method.encode(), encoded, occurrence)).hexdigest()[:12]
    readable = "-".join(_slug(word) for word in (method, *words) if isinstance(word, (str, int, float)))
    return f"{readable[:60].strip('-.')}-{digest}".lstrip("-")


def _slug(word: object) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", str(word)).strip("-")


def check_resources(resources: object, where: str) -> dict[str, float]:
    """Return the resources of a step as numbers; raise PlanError where a name or number is wrong."""
    if resources is None:
        return {}
    if not isinstance(resources, dict) or not resources.keys() <= _RESOURCES:
        raise PlanError(
            f"{where} asks for the resources {resources!r}; give a dict with keys of {sorted(_RESOURCES)}."
        )
    for key, amount in resources.items():
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount < 0:
            raise PlanError(f"{where} asks for {key}={amount!r}; give a number that is not negative.")
    return dict(resources)
