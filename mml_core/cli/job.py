"""The jobs that Hydra starts for `mml run`: one run each."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mml_core.plugins import PluginManager
    from mml_core.scheduling.driver import RunOutcome


class RunJob:
    """What Hydra calls with each job's config.

    An object of a module and picklable, so that a Hydra launcher may send it to another process; there the
    plugins are found anew, under the same blocking.
    """

    def __init__(self, plugins: PluginManager, arguments: argparse.Namespace) -> None:
        self._plugins: PluginManager | None = plugins
        self._arguments = arguments
        self.error: Exception | None = None
        self.exit_code = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"_plugins": None, "_arguments": self._arguments, "error": None, "exit_code": 0}

    def __call__(self, cfg: DictConfig) -> Any:
        """Run the mode and return its value, which a sweeper may optimise."""
        from hydra.core.hydra_config import HydraConfig

        from mml_core.config.validation import mode_writes

        try:
            output_dir = Path(HydraConfig.get().runtime.output_dir)
            run_dir = output_dir if mode_writes(cfg, self.plugins()) else None
            return self._run(cfg, run_dir, in_sweep=_in_sweep())
        except Exception as error:
            if _in_sweep():
                raise  # a job of a sweep: the launcher goes on with the others and reports
            self.error = error
            return None

    def read(self, cfg: DictConfig) -> Any:
        """Run a mode that writes nothing."""
        try:
            return self._run(cfg, None, in_sweep=False)
        except Exception as error:
            self.error = error
            return None

    def _run(self, cfg: DictConfig, run_dir: Path | None, *, in_sweep: bool) -> Any:
        from mml_core.config.compose import place
        from mml_core.config.logs import logging_to
        from mml_core.scheduling.context import RunContext
        from mml_core.scheduling.runner import run_mode

        plugins = self.plugins()
        locations = place(cfg)
        command = tuple(getattr(self._arguments, "command_line", ()))
        context = RunContext(plugins=plugins, locations=locations, run_dir=run_dir, command=command)
        gc.freeze()  # what a start makes stays: looking through it again and again takes a fifth of a second
        gc.enable()  # see mml_core.cli.run
        with logging_to(run_dir):
            outcome = run_mode(cfg, context)
        self.exit_code = report(outcome, in_sweep=in_sweep, debug=self._arguments.debug)
        return outcome.value

    def plugins(self) -> PluginManager:
        """Return the manager of this process."""
        if self._plugins is None:
            from mml_core.cli.environment import discover_plugins

            self._plugins = discover_plugins(self._arguments)
        return self._plugins


def _in_sweep() -> bool:
    """Tell a job of a sweep: Hydra numbers those."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    return not OmegaConf.is_missing(HydraConfig.get().job, "num")


def report(outcome: RunOutcome, *, in_sweep: bool = False, debug: bool = False) -> int:
    """Say how a run ended, where there is something to say, and return its exit code.

    Raises:
        StepFailedError: It failed as a job of a sweep, which Hydra has to know.
        SystemExit: It was interrupted as a job of a sweep, which ends with it.
    """
    if debug:
        for failure in outcome.failures:
            print(failure.traceback, file=sys.stderr)
    if in_sweep and outcome.state == "failed":
        outcome.raise_unless_done()  # Hydra says what it was
    if outcome.message:
        done = outcome.exit_code == 0
        print(outcome.message if done else f"mml: {outcome.message}", file=sys.stdout if done else sys.stderr)
    if in_sweep:
        outcome.raise_unless_done()
    return outcome.exit_code


def run_jobs(
    options: Sequence[str], overrides: Sequence[str], plugins: PluginManager, arguments: argparse.Namespace
) -> int:
    """Let Hydra start the job, or the jobs of a sweep, and return the exit code."""
    from mml_core.config.application import launch
    from mml_core.scheduling.admission import check_job

    job = RunJob(plugins, arguments)
    launch(options, overrides, job, plugins, check=lambda cfg: check_job(cfg, plugins))
    if job.error is not None:
        raise job.error
    return job.exit_code
