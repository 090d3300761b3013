"""The directory of a run: which files are in it, and who may write them."""

from __future__ import annotations

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

from mml_core.config.locations import resolve_locations
from mml_core.config.run_directory import RUNS
from mml_core.config.secrets import plain_config
from mml_core.errors import MMLError
from mml_core.scheduling import sealed, values
from mml_core.scheduling.claims import StepClaims
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_records import Done, Failure, RunInfo, Session, is_shared, new_session, versions
from mml_core.storage import atomic
from mml_core.storage.hashing import sha256_bytes
from mml_core.storage.leases import Lease, is_alive


class RunDirectoryError(MMLError):
    """A folder is no run directory, or one that cannot be used."""


def run_directories(project: Path) -> list[RunDirectory]:
    """Return the runs of a project by name, those without a plan too; a removed one is none."""
    folder = project / RUNS
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    return [RunDirectory(folder / name) for name in names if not name.startswith(".")]


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
    def environments_path(self) -> Path:
        """What steps ran with, a record for each that there was."""
        return self.path / "environments"

    @property
    def failures_path(self) -> Path:
        """What failed, a file per step."""
        return self.path / "failures"

    @property
    def claims_path(self) -> Path:
        """The claims of single steps, where several processes work on the run."""
        return self.path / "claims"

    @property
    def lease_path(self) -> Path:
        """The claim of the process that drives the run."""
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

    def held(self) -> Path | None:
        """Return the claim of a process that drives the run or does a step of it; None where all are dead."""
        if is_alive(self.lease_path):
            return self.lease_path
        return next((self.claims_path / step for step in StepClaims(self.claims_path).live()), None)

    def describe(self, cfg: DictConfig, context: RunContext) -> None:
        """Write ``config.yaml`` and ``run.json``."""
        mode = cfg.get("mode") or {}
        info = RunInfo(
            id=self.id,
            project=self.project_path.name,
            mode=str(mode.get("name") or ""),
            created=time.time(),
            command=list(context.command),
            versions=versions(cfg, context.plugins),
            sessions=[new_session(context.plugins, shared=is_shared(cfg))],
        )
        atomic.write_text(self.config_path, OmegaConf.to_yaml(OmegaConf.create(plain_config(cfg))))
        atomic.write_json(self.path / "run.json", info)

    def begin_session(self, session: Session) -> None:
        """Note who drives the run from now on."""
        info = self.info()
        changed = msgspec.structs.replace(info, sessions=[*info.sessions, session])
        atomic.write_json(self.path / "run.json", changed)

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
        """What failed since the run was last begun or continued, and was not repaired since."""
        try:
            names = sorted(entry.name for entry in self.failures_path.iterdir())
        except FileNotFoundError:
            return []
        found = (self._failure(self.failures_path / name) for name in names)
        return [failure for failure in found if failure is not None]

    def failure(self, step: str) -> Failure | None:
        """How a step failed; None where it did not."""
        return self._failure(self.failures_path / f"{step}.json")

    def note_failure(self, failure: Failure) -> None:
        """Write that a step failed."""
        atomic.write_json(self.failures_path / f"{failure.step}.json", failure)

    def forget_failure(self, step: str) -> None:
        """Note that a step is tried again."""
        (self.failures_path / f"{step}.json").unlink(missing_ok=True)

    def forget_failures(self) -> None:
        """Note that all that failed is tried again."""
        if self.failures_path.exists():
            shutil.rmtree(self.failures_path)

    @staticmethod
    def _failure(path: Path) -> Failure | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Failure)
        except (OSError, msgspec.DecodeError):
            return None

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
