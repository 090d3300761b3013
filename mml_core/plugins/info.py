"""What is known of one plugin: how far it got, and why not further."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mml_core.plugins.names import CORE
from mml_core.plugins.registry import Contribution


class Status(str, Enum):
    """Whether a plugin can be used."""

    ACTIVE = "active"
    DISABLED = "disabled"
    INCOMPATIBLE = "incompatible"
    IMPORT_FAILED = "import-failed"
    INVALID = "invalid"
    CONFLICTED = "conflicted"


class Stage(str, Enum):
    """How far a plugin got; for a broken one, where it stopped."""

    DISCOVER = "discover"
    CHECK = "check"
    IMPORT = "import"
    API = "api"
    COLLECT = "collect"
    RESOLVE = "resolve"


@dataclass
class PluginInfo:
    """One plugin, whatever became of it.

    Attributes:
        name: Normalised name of its distribution.
        version: The distribution's version.
        summary: The distribution's summary.
        entry_point: The module its entry point names.
        status: Whether it can be used.
        stage: The last stage it reached; for a broken one the stage at which it failed.
        cause: Why it is not active, in one line; empty when it is.
        traceback: The stored traceback, where an exception was the cause.
        file: The file its module was imported from.
        import_seconds: What the import took.
        heavy: Slow libraries that its import pulled in.
        notes: What its author should look at, though it works.
        contributions: Kind (``"schedulers"``, …) to what it contributes.
        hooks: Names of the hooks it implements.
        changing_hooks: Those of the life cycle among them that can change what a run does: they return
            something to it, or are handed something of it that is no frozen view. The results of a run depend
            on a plugin that has any.
        hook_seconds: What its contributing hooks took, each called once.
        offers: ``"commands"`` and ``"importers"`` to the names of those it adds by modules of their own.
    """

    name: str
    version: str = "?"
    summary: str = ""
    entry_point: str = ""
    status: Status = Status.ACTIVE
    stage: Stage = Stage.DISCOVER
    cause: str = ""
    traceback: str | None = None
    file: str | None = None
    import_seconds: float | None = None
    heavy: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    contributions: dict[str, list[Contribution[Any]]] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    changing_hooks: tuple[str, ...] = ()
    hook_seconds: dict[str, float] = field(default_factory=dict)
    offers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Whether it was to be used and cannot be."""
        return self.status in (Status.INCOMPATIBLE, Status.IMPORT_FAILED, Status.INVALID)

    @property
    def builtin(self) -> bool:
        """Whether it is mml itself."""
        return self.name == CORE

    def fail(self, status: Status, stage: Stage, cause: str, traceback: str | None = None) -> None:
        """Record a failure: where it happened and why."""
        self.status, self.stage, self.cause, self.traceback = status, stage, cause, traceback

    def warning(self) -> str:
        """Return one line that says what is wrong and what to do next."""
        if self.status is Status.INCOMPATIBLE:
            step = f"install a version of it that fits, or pass --without-plugin {self.name}"
        elif self.traceback is not None:
            step = f"see `mml plugins info {self.name} --traceback`, or pass --without-plugin {self.name}"
        else:
            step = f"see `mml plugins info {self.name}`, or pass --without-plugin {self.name}"
        cause = self.cause.rstrip(".")
        return f"Plugin {self.name} {self.version} is not used ({self.status.value}): {cause}; {step}."

    def contents(self) -> dict[str, list[str]]:
        """Return kind → names of all it brings."""
        records = {kind: [each.name for each in found] for kind, found in self.contributions.items()}
        return {kind: names for kind, names in {**records, **self.offers}.items() if names}

    def as_json(self, *, traceback: bool = False) -> dict[str, Any]:
        """Return everything as JSON values.

        Args:
            traceback: Whether to include the stored traceback.
        """
        return {
            "name": self.name,
            "version": self.version,
            "summary": self.summary,
            "entry_point": self.entry_point,
            "status": self.status.value,
            "stage": self.stage.value,
            "cause": self.cause,
            "file": self.file,
            "import_seconds": self.import_seconds,
            "heavy": list(self.heavy),
            "notes": list(self.notes),
            "hooks": list(self.hooks),
            "contributions": self.contents(),
            **({"traceback": self.traceback} if traceback else {}),
        }
