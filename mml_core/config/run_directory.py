"""Making the directory of a run, and telling Hydra where it is.

Hydra creates ``hydra.run.dir`` with ``exist_ok``, so that two runs of one second would share a folder, and
creates it for a mode that only reads, too. Therefore the directory is made here, by an exclusive mkdir, at
the moment Hydra asks for its name to start a job (the resolver ``mml.run_dir``); Hydra's own mkdir then
finds it. Where nothing is started (``--cfg``, ``--info``) the name is only shown, and for a mode that only
reads the answer is the working directory, which exists. A Hydra callback cannot do this: its errors are lost.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mml_core.errors import MMLError
from mml_core.plugins.path_templates import RUNS as RUNS
from mml_core.plugins.path_templates import SWEEPS as SWEEPS
from mml_core.storage.atomic import fsync_dir, make_dirs

if TYPE_CHECKING:
    from omegaconf import DictConfig

Admission = Callable[["DictConfig"], bool]
"""Checks a job's config, raises where it must not start, and says whether the job writes."""

_admission: ContextVar[Admission | None] = ContextVar("mml_admission", default=None)
_scratch: ContextVar[Callable[[DictConfig], str | None] | None] = ContextVar("mml_scratch", default=None)


class RunDirectoryError(MMLError):
    """The directory of a run cannot be made."""


@contextmanager
def starting_jobs(admission: Admission, writes: Admission | None = None) -> Iterator[None]:
    """Let jobs that Hydra starts inside the block make their run directories.

    Args:
        admission: Called with a job's composed config before its directory is made.
        writes: Tells from the config of a sweep whether its jobs write. The folder that describes the sweep,
            which Hydra makes in any case, is a temporary one where they do not.
    """
    with ExitStack() as stack:

        @cache
        def temporary() -> str:
            return stack.enter_context(TemporaryDirectory(prefix="mml-sweep-"))

        def scratch(root: DictConfig) -> str | None:
            return temporary() if writes is not None and not writes(root) else None

        tokens = _admission.set(admission), _scratch.set(scratch)
        try:
            yield
        finally:
            _admission.reset(tokens[0])
            _scratch.reset(tokens[1])


def run_name() -> str:
    """Return ``<date>_<time>_<4 hex>``; it sorts by time."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(2)}"


def claim_run_directory(project_path: Path) -> Path:
    """Make a new run directory below ``project_path`` that no other run can have.

    Raises:
        RunDirectoryError: The results folder cannot be written.
    """
    runs = project_path / RUNS
    try:
        make_dirs(runs)
        while True:
            directory = runs / run_name()
            try:
                directory.mkdir()
            except FileExistsError:
                continue
            fsync_dir(runs)
            return directory
    except OSError as error:
        raise RunDirectoryError(
            f"No run directory can be made in {runs} ({error.strerror or error}); make it writable or "
            "choose another results folder with MML_RESULTS_PATH."
        ) from error


def job_directory(root: DictConfig) -> str:
    """Return the output directory of the job that ``root`` (a config with its ``hydra`` node) describes.

    The directory is made when Hydra is starting the job; later calls return the same one.
    """
    from omegaconf import OmegaConf

    hydra = root.get("hydra")
    if hydra is None or not _is_starting(root):
        return str(project_path(root) / RUNS / "<date>_<time>_<4 hex>")
    if not OmegaConf.is_missing(hydra.runtime, "output_dir"):
        return str(hydra.runtime.output_dir)
    admission = _admission.get()
    writes = True if admission is None else admission(root)
    return str(claim_run_directory(project_path(root))) if writes else str(Path.cwd())


def sweep_directory(root: DictConfig, name: str) -> str:
    """Return the folder that describes the sweep called ``name`` whose config ``root`` is."""
    scratch = _scratch.get()
    return (scratch(root) if scratch is not None else None) or str(project_path(root) / SWEEPS / name)


def project_path(root: DictConfig) -> Path:
    """Return the folder of the project; a placeholder where ``--cfg hydra`` has cut off the job's config."""
    if "paths" not in root:
        return Path("<results>") / "<proj>"
    return Path.cwd() / str(root.paths.results) / str(root.proj)


def _is_starting(root: DictConfig) -> bool:
    """Tell a job being started: Hydra numbers the jobs of a sweep, and has set the mode of a single run."""
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    if not OmegaConf.is_missing(root.hydra.job, "num"):
        return True
    return _admission.get() is not None and root.hydra.mode == RunMode.RUN
