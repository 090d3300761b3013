"""Opening a run that was begun, in any process that is to work on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from mml_core.config.locations import Locations
from mml_core.config.secrets import require_variables
from mml_core.config.validation import check_running
from mml_core.errors import MMLError
from mml_core.plugins import PluginManager
from mml_core.plugins.requiring import check_required
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.continuing import apply_overrides
from mml_core.scheduling.environments import Environment, environment_of
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.providers import providers_of
from mml_core.scheduling.run_directory import RunDirectory, RunDirectoryError
from mml_core.scheduling.run_records import RunInfo, is_shared, new_session, versions
from mml_core.scheduling.target import scheduler_class


class VersionsChangedError(MMLError):
    """A run was begun with other versions than are installed now."""


@dataclass(frozen=True)
class OpenRun:
    """A run with the config and the plugins that its steps are done with.

    Attributes:
        run: Its directory.
        plan: Its plan; None where it has none yet.
        cfg: The stored config with the overrides of the present session.
        plugins: The plugins of this process.
        scheduler_class: The scheduler.
        environment: What steps run with, where that was looked up already.
    """

    run: RunDirectory
    plan: Plan | None
    cfg: DictConfig
    plugins: PluginManager
    scheduler_class: type[AbstractBaseScheduler]
    environment: Environment | None = None

    @property
    def steps(self) -> Plan:
        """The plan; raise RunDirectoryError where there is none yet."""
        if self.plan is None:
            raise RunDirectoryError(f"The run {self.run.id} has no plan yet; there is no step to do.")
        return self.plan

    def scheduler(self) -> AbstractBaseScheduler:
        """Construct the scheduler, as every process that works on the run does."""
        locations = Locations(data=Path(self.cfg.paths.data), results=self.run.project_path.parent)
        context = RunContext(plugins=self.plugins, locations=locations, run_dir=self.run.path)
        scheduler = self.scheduler_class.prepare(self.cfg, context)
        scheduler._notes.environment = self.environment
        if self.plan is not None:
            scheduler._routine.restore(self.plan.steps)
            scheduler._structs.of_plan = self.plan.structs
        return scheduler


def open_run(run_dir: Path) -> OpenRun:
    """Open a run as its present session drives it, the same plugins switched off.

    Raises:
        RunDirectoryError: It is no run, or has no plan yet.
        DamagedRecordError: Its config or plan is not what was written.
        VersionsChangedError: Versions that its results depend on are others here.
    """
    run = RunDirectory(run_dir.resolve())
    info = run.info()
    plan = run.load_plan()
    session = info.sessions[-1]
    plugins = PluginManager.discover(session.blocking)
    cfg = _stored_config(run, session.overrides, plugins)
    if unknown := [change for change in _changes(info, cfg, plugins) if change not in session.accepted]:
        raise VersionsChangedError(f"{'; '.join(unknown)}; a worker must have the versions of its run.")
    found = scheduler_class(cfg, plugins)
    return OpenRun(run, plan, cfg, plugins, found, environment_of(cfg, plugins, found))


def reopen(
    run: RunDirectory,
    plan: Plan | None,
    overrides: Sequence[str],
    plugins: PluginManager,
    *,
    accept_changes: bool,
) -> OpenRun:
    """Open a claimed run for a new session, and note that in the run's record.

    Raises:
        OverrideRefusedError: An override could change results.
        RequiredPluginError: A plugin that the project requires is not there.
        VersionsChangedError: Versions that its results depend on are others now, and that is not accepted.
        DamagedRecordError: Its config is not what was written.
    """
    info = run.info()
    cfg = _stored_config(run, overrides, plugins)
    check_running(cfg, plugins)
    check_required(run.project_path, plugins)
    plugins.check_conflicts(providers_of(cfg, plugins))
    changes = _changes(info, cfg, plugins)
    if changes and not accept_changes:
        raise VersionsChangedError(
            f"{'; '.join(changes)}: install what it was, or go on with --accept-changes, which is noted in "
            "the run's record."
        )
    run.begin_session(new_session(plugins, shared=is_shared(cfg), overrides=overrides, accepted=changes))
    return OpenRun(run, plan, cfg, plugins, scheduler_class(cfg, plugins))


def _stored_config(run: RunDirectory, overrides: Sequence[str], plugins: PluginManager) -> DictConfig:
    stored = run.config()
    require_variables(stored)
    cfg = apply_overrides(stored, overrides, plugins)
    cfg.paths.results = str(run.project_path.parent)
    cfg.proj = run.project_path.name
    return cfg


def _changes(info: RunInfo, cfg: DictConfig, plugins: PluginManager) -> list[str]:
    now = versions(cfg, plugins)
    return [
        f"{name} was {info.versions.get(name, 'not there')} when the run began and is "
        f"{now.get(name, 'not there')} now"
        for name in sorted(info.versions.keys() | now.keys())
        if info.versions.get(name) != now.get(name)
    ]
