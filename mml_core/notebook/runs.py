"""Planning, running and continuing from Python, by what ``mml run`` does itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mml_core.config.compose import compose, place
from mml_core.config.locations import resolve_locations
from mml_core.config.logs import logging_on_console, logging_to
from mml_core.config.projects import DEFAULT_PROJECT
from mml_core.config.run_directory import claim_run_directory
from mml_core.config.validation import mode_writes, validate
from mml_core.errors import MMLError
from mml_core.notebook.frames import frame
from mml_core.notebook.overrides import job_overrides, overrides_of
from mml_core.notebook.progress import showing_steps
from mml_core.notebook.project import installed_plugins, open_project
from mml_core.scheduling import runner
from mml_core.scheduling.admission import check_job
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.driver import RunOutcome
from mml_core.scheduling.planning import plan_of
from mml_core.scheduling.runs import find_run, list_runs, newest_to_continue

if TYPE_CHECKING:
    import pandas as pd

    from mml_core.plugins import PluginManager

_COLUMNS = ("step", "waits_for", "needs", "state")


class RunStoppedError(MMLError):
    """A run was interrupted; it can be continued."""


class NothingToContinueError(MMLError):
    """A project has no run."""


def plan(mode: str, tasks: str | Sequence[str] = (), /, **overrides: Any) -> pd.DataFrame:
    """Return the steps of a run that would be started now, as ``mml run --plan`` does; nothing is written.

    Args:
        mode: Name of the mode.
        tasks: The tasks of the run.
        **overrides: Overrides of the config: ``seed=1``, ``trainer={"max_epochs": 1}``,
            ``**{"trainer.max_epochs": 1}``, ``proj="demo"``.

    Returns:
        A row for each step: what it is, what it waits for and needs, and whether it is done already.

    Raises:
        MMLError: The config is wrong; the message says what.
        MissingPandasError: pandas is not installed.
    """
    plugins = installed_plugins(_project(overrides))
    cfg = _admitted(job_overrides(mode, tasks, overrides), plugins)
    rows = plan_of(cfg, RunContext(plugins=plugins, locations=place(cfg), run_dir=None))
    return frame(rows, _COLUMNS)


def run(
    mode: str, tasks: str | Sequence[str] = (), /, *, progress: bool | None = None, **overrides: Any
) -> RunOutcome:
    """Run a mode to its end, as ``mml run`` does.

    Args:
        mode: Name of the mode.
        tasks: The tasks of the run.
        progress: Whether a bar shows how many steps are done; None: in notebooks.
        **overrides: Overrides of the config, as in :func:`plan`.

    Returns:
        ``value``, what the run returned, and ``run_dir``, its directory.

    Raises:
        MMLError: The config is wrong; nothing was started.
        StepFailedError: A step failed; the message says which and why.
        RunStoppedError: It was interrupted; ``continue_run`` goes on with it.
    """
    plugins = installed_plugins(_project(overrides))
    written = job_overrides(mode, tasks, overrides)
    cfg = _admitted(written, plugins)
    locations = place(cfg)
    run_dir = claim_run_directory(locations.results / str(cfg.proj)) if mode_writes(cfg, plugins) else None
    command = ("mml_core.api.run", *written)
    context = RunContext(plugins=plugins, locations=locations, run_dir=run_dir, command=command)
    with logging_on_console(), logging_to(run_dir), showing_steps(run_dir, progress):
        return _finished(runner.run_mode(cfg, context))


def continue_run(
    project: str | Path = DEFAULT_PROJECT,
    run: str | None = None,
    *,
    results: str | Path | None = None,
    accept_changes: bool = False,
    progress: bool | None = None,
    **overrides: Any,
) -> RunOutcome:
    """Go on with a run at the step that was interrupted, as ``mml run --continue`` does.

    Args:
        project: Name or folder of the project.
        run: Name of the run; None: the project's newest that is not finished.
        results: The folder of projects; by default where ``mml`` keeps them.
        accept_changes: Whether to go on though versions have changed since the run began.
        progress: Whether a bar shows how many steps are done; None: in notebooks.
        **overrides: Overrides that cannot change results, such as ``executor="processes"``.

    Returns:
        ``value``, what the run returned, and ``run_dir``, its directory; of a finished run, too.

    Raises:
        NothingToContinueError: The project has no run.
        UnknownRunError: It has none of that name.
        LeaseHeldError: A live process works on the run.
        OverrideRefusedError: An override could change results.
        VersionsChangedError: mml, torch or a plugin that the run uses is of another version now.
        StepFailedError: A step failed.
        RunStoppedError: It was interrupted again.
    """
    folder = open_project(project, results).path
    path = find_run(folder, run) if run is not None else _newest(folder)
    plugins = installed_plugins(folder)
    with logging_on_console(), logging_to(path), showing_steps(path, progress):
        outcome = runner.continue_run(path, overrides_of(overrides), plugins, accept_changes=accept_changes)
    return _finished(outcome)


def _project(overrides: Mapping[str, Any]) -> Path:
    """Return the folder of the project that takes a run."""
    results = overrides.get("paths.results") or (overrides.get("paths") or {}).get("results")
    locations = resolve_locations({"results": results})
    return locations.results / str(overrides.get("proj") or DEFAULT_PROJECT)


def _admitted(overrides: Sequence[str], plugins: PluginManager) -> DictConfig:
    cfg = compose(overrides, plugins)
    validate(cfg, plugins)
    check_job(cfg, plugins)
    return cfg


def _newest(project: Path) -> Path:
    runs = list_runs(project)
    if not runs:
        raise NothingToContinueError(
            f"The project '{project.name}' has no run to continue; start one with mml.run(mode, tasks)."
        )
    return newest_to_continue(runs).path


def _finished(outcome: RunOutcome) -> RunOutcome:
    if outcome.state == "interrupted":
        raise RunStoppedError(outcome.message)
    return outcome.raise_unless_done()
