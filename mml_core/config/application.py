"""Hydra's own command line behind ``mml run``: jobs, sweeps, launchers, ``--cfg``, ``--info``, completion."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any, Protocol

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log, env_override, run_job
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import mml_core.config.resolvers  # noqa: F401  (registers the resolvers of the root config)
from mml_core.config.compose import (
    CONFIG_NAME,
    HYDRA_VERSION,
    chosen_options,
    compose_with_hydra,
    initialized,
    name_mode,
    prepare,
)
from mml_core.config.errors import ConfigError, translated_errors, unknown_key
from mml_core.config.folders import CORE_CONF
from mml_core.config.overrides import key_of
from mml_core.config.run_directory import starting_jobs
from mml_core.config.search_path import check_choices, searching
from mml_core.config.validation import check_paths, mode_writes, validate

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

FULL_ERROR = "HYDRA_FULL_ERROR"
MADE_BY_MML = ("hydra.run.dir", "hydra.sweep.subdir", "hydra.job.chdir", "hydra.runtime.output_dir")
"""Keys that decide which folder a job takes for its own."""


class Job(Protocol):
    """What is started. An object of a module, so that launchers can send it to other processes."""

    def __call__(self, cfg: DictConfig) -> Any:
        """Run in the directory that Hydra's config names."""

    def read(self, cfg: DictConfig) -> Any:
        """Run a mode that writes nothing, without a directory."""


def launch(
    options: Sequence[str],
    overrides: Sequence[str],
    job: Job,
    plugins: PluginManager,
    check: Callable[[DictConfig], None],
) -> None:
    """Do with the command line what users of Hydra know.

    ``hydra.main`` composes the config twice to learn whether it asks for a sweep. So a single job is composed
    and started here, and ``hydra.main`` does all else: options, sweeps, overrides of Hydra's own config, and
    what cannot be composed.

    Args:
        options: Options of Hydra, such as ``["--multirun"]``.
        overrides: Overrides as typed.
        job: Called with the config of each job.
        plugins: Where config folders and modes come from.
        check: Called before a job's run directory is made; raises where the job must not start.

    Raises:
        MMLError: The config is wrong, or ``job`` raised it.
        SystemExit: Hydra has answered, such as ``--help``.
    """

    def admit(cfg: DictConfig) -> bool:
        check_choices(chosen_options(cfg), plugins)
        name_mode(cfg, plugins)
        validate(cfg, plugins)
        check(cfg)
        return mode_writes(cfg, plugins)

    def sweep_writes(cfg: DictConfig) -> bool:
        if set(cfg) != {"hydra"}:  # all that `--cfg hydra` leaves of a config
            check_paths(cfg)
        name_mode(cfg, plugins)
        return OmegaConf.select(cfg, "mode.name") is None or mode_writes(cfg, plugins)

    _check_run_directory(overrides)
    wanted = prepare(overrides, plugins)
    application = hydra.main(config_path=str(CORE_CONF), config_name=CONFIG_NAME, version_base=HYDRA_VERSION)(
        job
    )
    with searching(plugins), _logging_kept(), translated_errors(wanted, plugins):
        plain = not options and not any(each.lstrip("+~").startswith("hydra") for each in wanted)
        if plain and _start_single(wanted, job, admit):
            return
        with starting_jobs(admit, sweep_writes), _command_line([*options, *wanted]), _raising():
            if "--package" in options:
                _print_package(application, options[options.index("--package") + 1], wanted)
            else:
                application()


def _print_package(application: Callable[[], Any], package: str, overrides: Sequence[str]) -> None:
    """Let Hydra print one package of the config; where there is none it says so and exits."""
    with redirect_stderr(StringIO()) as said:
        try:
            application()
        except SystemExit as exit_:
            if exit_.code and "not found" in said.getvalue():
                raise unknown_key(package, overrides) from exit_
            raise


def _check_run_directory(overrides: Sequence[str]) -> None:
    """Refuse to let a job take a folder that another run may own."""
    for override in overrides:
        key = key_of(override)
        if any(made == key or made.startswith(f"{key}.") for made in MADE_BY_MML):
            raise ConfigError(
                f"The override {override!r} cannot be taken: run directories are made by mml; set "
                "paths.results or --proj to have them elsewhere."
            )


def _start_single(overrides: Sequence[str], job: Job, admit: Callable[[DictConfig], bool]) -> bool:
    """Compose once and start the one job; False where that is for ``hydra.main`` to do or to refuse."""
    with initialized() as loader:
        try:
            cfg = compose_with_hydra(overrides)
        except (HydraException, OmegaConfBaseException, ValueError):
            return False
        settings = cfg.hydra
        if settings.mode not in (None, RunMode.RUN) or settings.callbacks or settings.job.chdir:
            return False
        settings.mode = RunMode.RUN
        with _resolvable(cfg):
            if not admit(cfg):
                _read(cfg, job)
                return True
            from hydra._internal.callbacks import Callbacks

            context = HydraContext(config_loader=loader, callbacks=Callbacks())
            with starting_jobs(lambda _: True):
                done = run_job(job, cfg, "hydra.run.dir", None, context)
            done.return_value  # noqa: B018  # raises what the job raised
            return True


def _read(cfg: DictConfig, job: Job) -> None:
    """Start a job that writes nothing as Hydra's ``run_job`` would, but for the directory."""
    job_cfg = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    OmegaConf.set_struct(job_cfg, True)
    configure_log(cfg.hydra.job_logging, cfg.hydra.verbose)
    with env_override(cfg.hydra.job.env_set):
        job.read(job_cfg)


@contextmanager
def _resolvable(cfg: DictConfig) -> Iterator[None]:
    """Let ``${hydra:…}`` be resolved by this job's config."""
    hydra_config = HydraConfig.instance()
    before = hydra_config.cfg
    hydra_config.set_config(cfg)
    try:
        yield
    finally:
        hydra_config.cfg = before


@contextmanager
def _command_line(arguments: Sequence[str]) -> Iterator[None]:
    """``hydra.main`` reads ``sys.argv``; the program's name is what completion scripts are made for."""
    before = sys.argv
    sys.argv = ["mml", *arguments]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _logging_kept() -> Iterator[None]:
    """Hydra sets up logging for the job and leaves it so; a caller in the same process gets its own back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def _raising() -> Iterator[None]:
    """Let Hydra raise, rather than print and exit; it knows an environment variable for that only."""
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(FULL_ERROR, None)
        else:
            os.environ[FULL_ERROR] = before
