"""The options of the trackers, as the config group ``logging`` gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from mml_core.api import MMLError, near_matches

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


def logging_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the group ``logging`` of a stored config, its variables replaced by what the environment has.

    Raises:
        TrackerError: A variable is not set.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        logging = OmegaConf.create(dict(config)).get("logging") or {}
        found = OmegaConf.to_container(logging, resolve=True) if OmegaConf.is_config(logging) else {}
    except OmegaConfBaseException as error:
        cause = str(error).splitlines()[0]
        raise TrackerError(f"The group logging cannot be read: {cause}.") from None
    return found if isinstance(found, dict) else {}


def variables_in(config: Any) -> list[str]:
    """Return the environment variables that a stored config names in the place of values."""
    return re.findall(r"\$\{\s*oc\.env\s*:\s*([^,}\s]+)", json.dumps(config))


def refuse_stored_password(logging: Mapping[str, Any]) -> None:
    """Refuse an address with a password that stands in the config itself, which is stored with the run.

    Raises:
        TrackerError: There is one; it is not repeated.
    """
    mlflow = logging.get("mlflow")
    uri = mlflow.get("uri") if isinstance(mlflow, Mapping) else None
    if isinstance(uri, str) and "${" not in uri and urlsplit(uri).password:
        raise TrackerError(
            "logging.mlflow.uri holds a password, and what stands there is stored with the run: change the"
            " password, and write '${oc.env:NAME}' with the name of a variable that holds the address, or set"
            " MLFLOW_TRACKING_URI, instead."
        )
