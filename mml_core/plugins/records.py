"""What plugins contribute: frozen records that name things by reference, so that naming imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar, Union

from mml_core.plugins.path_templates import key_problem
from mml_core.plugins.record_checks import (
    ANY_CASE_NAME,
    check_flag,
    check_line,
    check_name,
    check_ref,
    check_template,
    check_words,
    is_json,
    task_type,
    wrong,
)
from mml_core.plugins.record_checks import TASK_TYPES as TASK_TYPES
from mml_core.plugins.refs import is_module
from mml_core.plugins.task_records import DatasetSpec as DatasetSpec
from mml_core.plugins.task_records import TagSpec as TagSpec
from mml_core.plugins.task_records import TaskSpec as TaskSpec


@dataclass(frozen=True, kw_only=True)
class SchedulerSpec:
    """A scheduler, and by that a mode: ``mml run --mode=<name>`` works as soon as it is contributed.

    Attributes:
        name: The mode's name.
        target: Reference to a subclass of ``AbstractBaseScheduler``, called as ``Scheduler(cfg)``.
        subroutines: What ``mode.subroutines`` may hold, in the order in which they run.
        summary: One line for ``mml modes``.
        defaults: Further keys of ``mode`` with their defaults (JSON values).
        writes: False for a mode that only reads: no run directory is made for it.

    Example:
        >>> SchedulerSpec(name="count", target="mml_x.scheduler:Count", subroutines=("count",)).name
        'count'
    """

    noun: ClassVar[str] = "mode"
    name: str
    target: str
    subroutines: tuple[str, ...] = ()
    summary: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    writes: bool = True

    def __post_init__(self) -> None:
        check_name(self, "name")
        check_ref(self, "target")
        check_words(self, "subroutines")
        check_line(self, "summary")
        check_flag(self, "writes")
        if not isinstance(self.defaults, Mapping):
            raise wrong(self, "defaults", "must be a mapping of JSON values")
        if not is_json(dict(self.defaults)):
            raise wrong(self, "defaults", "must hold JSON values under string keys only")
        reserved = sorted({"name", "scheduler", "subroutines"} & set(self.defaults))
        if reserved:
            raise wrong(
                self, "defaults", f"must leave {reserved[0]!r} to mml, which fills it from the record"
            )
        object.__setattr__(self, "defaults", deepcopy(dict(self.defaults)))


@dataclass(frozen=True, kw_only=True)
class PathAssignment:
    """A template for where objects of one kind are stored.

    Attributes:
        key: What ``construct_saving_path`` and ``reuse.<key>`` call it.
        path: Template below ``PROJ_PATH`` or ``TEMP_PATH``; may use ``TASK_NAME`` and, last, ``FILE_NAME``.
        type: Reference to the type of the objects, such as ``"torch.nn:Module"``; ``None`` takes any.
        numbered: Whether each new file gets a number.
        reusable: Whether ``reuse.<key>`` may take it from another project.

    Example:
        >>> PathAssignment(key="maps", path="PROJ_PATH/MAPS/TASK_NAME/map.png", reusable=True).numbered
        True
    """

    noun: ClassVar[str] = "path key"
    key: str
    path: str
    type: str | None = None
    numbered: bool = True
    reusable: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or key_problem(self.key):
            raise wrong(self, "key", f"breaks a rule: {key_problem(str(self.key))}")
        check_flag(self, "numbered")
        check_flag(self, "reusable")
        check_template(self, self.path, reusable=self.reusable)
        if self.type is not None:
            check_ref(self, "type")

    @property
    def name(self) -> str:
        """The key, under the name every record has."""
        return self.key


@dataclass(frozen=True, kw_only=True)
class ConfigDir:
    """A folder of configuration groups inside a package; the package is never imported to find it.

    Attributes:
        package: Dotted name of the package that holds the folder.
        path: The folder, relative to the package.

    Example:
        >>> ConfigDir(package="mml_x").name
        'mml_x/conf'
    """

    noun: ClassVar[str] = "config folder"
    package: str
    path: str = "conf"

    def __post_init__(self) -> None:
        if not is_module(self.package):
            raise wrong(self, "package", "must be the dotted name of a package, such as 'mml_x'")
        parts = self.path.split("/") if isinstance(self.path, str) else []
        if not parts or any(part in ("", ".", "..") for part in parts) or "\\" in self.path:
            raise wrong(self, "path", "must be a folder inside the package, such as 'conf'")

    @property
    def name(self) -> str:
        """Package and folder in one word."""
        return f"{self.package}/{self.path}"


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec:
    """A network that can be built by name.

    Attributes:
        name: The architecture's name; upper case is kept (``"DenseNet121"``).
        target: Reference, called as ``build(task_type, in_channels, out_channels, image_size, **cfg)``;
            returns a ``torch.nn.Module``, with ``feature_dim`` where it is a backbone.
        task_types: For which of :data:`TASK_TYPES` it can be built.
        summary: One line.

    Example:
        >>> ArchitectureSpec(name="Tiny", target="mml_x.nets:tiny", task_types=("regression",)).name
        'Tiny'
    """

    noun: ClassVar[str] = "architecture"
    name: str
    target: str
    task_types: tuple[str, ...]
    summary: str = ""

    def __post_init__(self) -> None:
        check_name(self, "name", ANY_CASE_NAME)
        check_ref(self, "target")
        check_words(self, "task_types")
        if not self.task_types:
            raise wrong(self, "task_types", f"must name at least one of {', '.join(TASK_TYPES)}")
        types = tuple(task_type(self, "task_types", each) for each in self.task_types)
        object.__setattr__(self, "task_types", types)
        check_line(self, "summary")


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec:
    """A way to start the workers of a run.

    Attributes:
        name: What ``--executor`` calls it.
        target: Reference, called as ``Executor(cfg)``; has ``start``, ``poll``, ``cancel`` and ``close``.
        summary: One line.

    Example:
        >>> ExecutorSpec(name="cluster", target="mml_x.cluster:ClusterExecutor").name
        'cluster'
    """

    noun: ClassVar[str] = "executor"
    name: str
    target: str
    summary: str = ""

    def __post_init__(self) -> None:
        check_name(self, "name")
        check_ref(self, "target")
        check_line(self, "summary")


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A check that ``mml doctor`` runs.

    Attributes:
        name: The check's name.
        run: Reference, called as ``run() -> Health``.
        summary: One line.

    Example:
        >>> HealthCheck(name="mirror", run="mml_x.health:mirror").summary
        ''
    """

    noun: ClassVar[str] = "health check"
    name: str
    run: str
    summary: str = ""

    def __post_init__(self) -> None:
        check_name(self, "name")
        check_ref(self, "run")
        check_line(self, "summary")


@dataclass(frozen=True)
class Health:
    """What a health check found.

    Attributes:
        ok: Whether all is well.
        message: One line for the user: what was found and, if it is not well, what to do.

    Example:
        >>> Health(ok=False, message="The mirror does not answer; see the setting MIRROR.").ok
        False
    """

    ok: bool
    message: str


Record = Union[  # noqa: UP007  # evaluated at run time on Python 3.10
    SchedulerSpec,
    PathAssignment,
    ConfigDir,
    DatasetSpec,
    TaskSpec,
    TagSpec,
    ArchitectureSpec,
    ExecutorSpec,
    HealthCheck,
]
"""Anything a contribution hook may yield."""
