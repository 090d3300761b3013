"""The directory of a run: which files are in it, and who may write them."""

from __future__ import annotations

import platform
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mml_core import __version__
from mml_core.config.locations import resolve_locations
from mml_core.config.run_directory import RUNS
from mml_core.errors import MMLError
from mml_core.scheduling import sealed, values
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.plan import Plan
from mml_core.storage import atomic
from mml_core.storage.hashing import sha256_bytes
from mml_core.storage.leases import Lease


class RunDirectoryError(MMLError):
    """A folder is no run directory, or one that cannot be used."""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What ``run.json`` says of a run.

    Attributes:
        id: Name of the run's directory.
        project: Its project.
        mode: Its mode.
        created: Unix time.
        command: What the user typed.
        versions: Versions of mml, Python and the plugins.
    """

    id: str
    project: str
    mode: str
    created: float
    command: list[str] = []
    versions: dict[str, str] = {}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A step that failed, as ``failed.json`` holds it.

    Attributes:
        step: Id of the step.
        name: The step as a reader knows it.
        error: Type and message, one line.
        traceback: Where it was raised.
    """

    step: str
    name: str
    error: str
    traceback: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What ``done.json`` holds: that all steps and the clean-up are done.

    Attributes:
        finished: Unix time.
        return_value: What the run returned, JSON text.
    """

    finished: float
    return_value: msgspec.Raw


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run.

    Attributes:
        path: ``PROJ_PATH/runs/<id>``.
    """

    path: Path

    @property
    def id(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def project_path(self) -> Path:
        """``PROJ_PATH``."""
        return self.path.parent.parent

    @property
    def plan_path(self) -> Path:
        """The plan; a run without one has done nothing yet."""
        return self.path / "plan.json"

    @property
    def config_path(self) -> Path:
        """The composed config."""
        return self.path / "config.yaml"

    @property
    def steps_path(self) -> Path:
        """The commit records."""
        return self.path / "steps"

    @property
    def lease_path(self) -> Path:
        """The claim of the process that works on the run."""
        return self.path / "lease"

    @property
    def attempts_path(self) -> Path:
        """The private folders of attempts at steps."""
        return self.project_path / ".mml" / "attempts" / self.id

    @property
    def continue_command(self) -> str:
        """What to type to go on with the run."""
        results = self.project_path.parent
        elsewhere = "" if resolve_locations().results == results else f" {quote(f'paths.results={results}')}"
        return f"mml run --continue {self.id} --proj {quote(self.project_path.name)}{elsewhere}"

    def check_new(self, project: Path) -> None:
        """Raise RunDirectoryError unless the folder was made for a new run of the project."""
        if self.path.parent != project / RUNS or (self.path / "run.json").exists():
            raise RunDirectoryError(
                f"{self.path} is no new folder in {project / RUNS}; run directories are made by mml, choose "
                "where by --proj and paths.results."
            )

    def claim(self) -> Lease:
        """Claim the run for this process; raise LeaseHeldError (exit 3) where a live one holds it."""
        return Lease.acquire(self.lease_path)

    def describe(self, cfg: DictConfig, context: RunContext) -> None:
        """Write ``config.yaml`` and ``run.json``."""
        plugins = {name: str(info.version) for name, info in sorted(context.plugins.plugins.items())}
        mode = cfg.get("mode") or {}
        info = RunInfo(
            id=self.id,
            project=self.project_path.name,
            mode=str(mode.get("name") or ""),
            created=time.time(),
            command=list(context.command),
            versions={"mml-core": __version__, "python": platform.python_version(), **plugins},
        )
        atomic.write_text(self.config_path, OmegaConf.to_yaml(cfg, resolve=True))
        atomic.write_json(self.path / "run.json", info)

    def info(self) -> RunInfo:
        """Read ``run.json``."""
        try:
            return msgspec.json.decode((self.path / "run.json").read_bytes(), type=RunInfo)
        except (OSError, msgspec.DecodeError) as error:
            raise RunDirectoryError(
                f"{self.path} is no run directory: run.json cannot be read ({error})."
            ) from None

    def config(self) -> DictConfig:
        """Read the composed config; raise DamagedRecordError where it is none."""
        try:
            cfg = OmegaConf.create(self._config_bytes().decode())
        except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
            raise self._damaged_config(str(error)) from error
        if not isinstance(cfg, DictConfig):
            raise self._damaged_config("it is no mapping")
        return cfg

    def config_sha256(self) -> str:
        """Hash of the stored config."""
        return sha256_bytes(self._config_bytes())

    def load_plan(self) -> Plan | None:
        """Read the plan, and check that the config is the one it was made from; None: there is none yet.

        Raises:
            DamagedRecordError: The plan is damaged, or the config another one, or gone.
        """
        try:
            plan = Plan.load(self.plan_path)
        except FileNotFoundError:
            return None
        if plan.config_sha256 != self.config_sha256():
            raise self._damaged_config("it is not the config that the run was planned with")
        return plan

    def _config_bytes(self) -> bytes:
        try:
            return self.config_path.read_bytes()
        except OSError as error:
            raise self._damaged_config(f"it cannot be read, {error.strerror}") from error

    def _damaged_config(self, problem: str) -> sealed.DamagedRecordError:
        return sealed.DamagedRecordError(
            f"{self.config_path} is not used: {' '.join(problem.split())}. Put the stored config back as it "
            "was, or start a new run."
        )

    def save_plan(self, plan: Plan) -> None:
        """Write the plan; from here on the run can be continued step by step."""
        atomic.make_dirs(self.steps_path)
        plan.save(self.plan_path)

    def failures(self) -> list[Failure]:
        """What failed when the run was last worked on."""
        try:
            return msgspec.json.decode((self.path / "failed.json").read_bytes(), type=list[Failure])
        except (OSError, msgspec.DecodeError):
            return []

    def save_failures(self, failures: list[Failure]) -> None:
        """Write what failed; an empty list removes the file."""
        path = self.path / "failed.json"
        if failures:
            atomic.write_json(path, failures)
        else:
            path.unlink(missing_ok=True)

    def done(self) -> Done | None:
        """What the finished run left; None while it is not finished."""
        path = self.path / "done.json"
        try:
            body = sealed.read_sealed(path, f"Delete it and continue the run: rm '{path}'")
        except FileNotFoundError:
            return None
        return msgspec.json.decode(body, type=Done)

    def finish(self, return_value: Any) -> None:
        """Write that the run is done."""
        done = Done(finished=time.time(), return_value=msgspec.Raw(values.encode(return_value)))
        atomic.write_bytes(self.path / "done.json", sealed.seal(msgspec.json.encode(done)))

    def discard(self) -> None:
        """Remove the directory of a run that never got a plan."""
        if not self.plan_path.exists():
            shutil.rmtree(self.path, ignore_errors=True)
