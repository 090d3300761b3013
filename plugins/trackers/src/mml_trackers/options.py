"""The options of the trackers, as the config group ``logging`` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from mml_core.api import MMLError
from mml_core.errors import near_matches

T = TypeVar("T", bound="TrackerOptions")


class TrackerError(MMLError):
    """A tracker cannot be used as the config asks for it."""


@dataclass(frozen=True, kw_only=True)
class TrackerOptions:
    """What all trackers are told.

    Attributes:
        copy: Path keys whose files are copied.
        wait: Seconds that the end of the run waits for the tracker.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    copy: tuple[str, ...] = ()
    wait: float = 60

    @classmethod
    def read(cls: type[T], given: Mapping[str, Any]) -> T:
        """Check options, and return them.

        Raises:
            TrackerError: One is unknown, or of a value that cannot be.
        """
        known = [field.name for field in fields(cls)]
        for key in given:
            if key not in known:
                hint = near_matches(key, known) or f" Known: {', '.join(sorted(known))}."
                raise TrackerError(f"Unknown option 'logging.{cls.name}.{key}'.{hint}")
        values = dict(given)
        keys = values.get("copy") or []
        if isinstance(keys, str) or not all(isinstance(key, str) for key in keys):
            raise TrackerError(f"logging.{cls.name}.copy must be a list of path keys, found {keys!r}.")
        for key in ("every", "wait"):
            number = values.get(key, 1)
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not number > 0:
                raise TrackerError(f"logging.{cls.name}.{key} must be a number above 0, found {number!r}.")
        for key in ("uri", "experiment", "project", "entity"):
            if not isinstance(values.get(key), (str, type(None))):
                raise TrackerError(f"logging.{cls.name}.{key} must be text, found {values[key]!r}.")
        return cls(**{**values, "copy": tuple(keys)})

    @property
    def installed(self) -> bool:
        """Whether the tracker's package is there; a folder of its name is none."""
        spec = find_spec(self.package)
        return spec is not None and spec.origin is not None

    def require_installed(self) -> None:
        """Raise TrackerError where the tracker's package is missing."""
        if not self.installed:
            raise TrackerError(
                f"logging.{self.name} needs the package {self.package}, which is not installed;"
                f" pip install 'mml-plugin-trackers[{self.name}]'."
            )


@dataclass(frozen=True, kw_only=True)
class MLflowOptions(TrackerOptions):
    """What MLflow is told.

    Attributes:
        uri: Where it stores; None: MLFLOW_TRACKING_URI, else a file in the results folder.
        experiment: The experiment; None: the project.
        every: Seconds between two looks at the journal.
    """

    name = "mlflow"
    package = "mlflow"
    uri: str | None = None
    experiment: str | None = None
    every: float = 5

    def __post_init__(self) -> None:
        if self.uri is not None and urlsplit(self.uri).password:
            raise TrackerError(
                "logging.mlflow.uri holds a password, and what stands there is stored with the run: change"
                " the password, and set MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_USERNAME and"
                " MLFLOW_TRACKING_PASSWORD, instead."
            )


@dataclass(frozen=True, kw_only=True)
class WandbOptions(TrackerOptions):
    """What W&B is told.

    Attributes:
        project: The project there; None: that of mml.
        entity: User or team there; None: the default of who uploads.
    """

    name = "wandb"
    package = "wandb"
    project: str | None = None
    entity: str | None = None


KINDS: tuple[type[TrackerOptions], ...] = (MLflowOptions, WandbOptions)


def read_options(logging: Mapping[str, Any]) -> list[TrackerOptions]:
    """Return the options of each tracker that the group ``logging`` asks for.

    Raises:
        TrackerError: As `TrackerOptions.read` does.
    """
    found = []
    for kind in KINDS:
        given = logging.get(kind.name)
        if given is None:
            continue
        if not isinstance(given, Mapping):
            raise TrackerError(f"logging.{kind.name} is {given!r}; choose it by logging={kind.name}.")
        found.append(kind.read(given))
    return found
