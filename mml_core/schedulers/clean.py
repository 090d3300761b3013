"""The mode ``clean``: remove what dead runs left, and downloads; never what another run needs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mml_core.config.run_directory import RUNS
from mml_core.files.cleanup import inside
from mml_core.files.folders import remove_folder
from mml_core.files.layout import Layout
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.claims import StepClaims
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.storage.atomic import TEMP_PREFIX
from mml_core.storage.leases import Lease, LeaseHeldError, is_alive

_STARTING = 600.0
"""Seconds in which a folder without a run may be that of one that is starting."""


class CleanScheduler(AbstractBaseScheduler):
    """Lists what can go, says so, and then removes what was listed.

    Of a run that is alive nothing goes. Of a run that can be continued only attempts at steps that are not
    committed go: the steps begin anew. Of a script that died before it committed all goes.
    """

    def __init__(self, cfg: DictConfig | Mapping[str, Any]) -> None:
        super().__init__(cfg, available_subroutines=["temp", "download"])

    def create_routine(self) -> None:
        """Plan, per subroutine, a step that lists and one that removes what was listed."""
        for subroutine in self.subroutines:
            self.add_step(f"list_{subroutine}")
            if not self.cfg.mode.get("dry_run", False):
                self.add_step("remove", subroutine)

    def list_temp(self) -> list[str]:
        """Return folders of dead attempts and temporary files below the project's folder, relative to it."""
        project = self.fm.project_path
        found = sorted(
            {
                *self._attempts(project),
                *_temp(project, self._own),
                *_strays(project, self._own),
                *_never_begun(project, self._own),
            }
        )
        return self._shown("temporary files and dead attempts", project, found)

    def list_download(self) -> list[str]:
        """Return the downloads in the data folder, relative to it."""
        sources = self.fm.data / "sources"
        found = [f"sources/{path.name}" for path in sorted(_entries(sources))]
        return self._shown("downloads", self.fm.data, found)

    def remove(self, subroutine: str) -> int:
        """Remove what the step before listed; what came to life since then stays.

        Args:
            subroutine: ``temp`` or ``download``.

        Returns:
            How many of the entries are gone, whichever attempt at the step removed them.
        """
        root = self.fm.project_path if subroutine == "temp" else self.fm.data
        removed = 0
        for name in self.results.of(f"list_{subroutine}"):
            path = inside(root.resolve(), name)
            with _unclaimed(self.fm.project_path, _run_of(name)) as free:
                if free and path.exists():
                    path.unlink() if path.is_file() else remove_folder(path)
            removed += not path.exists()
        return removed

    def before_finishing_hook(self) -> None:
        """Return how much was removed, by subroutine."""
        if not self.cfg.mode.get("dry_run", False):
            self.return_value = {name: self.results.of("remove", name) for name in self.subroutines}

    @property
    def _own(self) -> str:
        return self.fm.layout.run

    def _attempts(self, project: Path) -> Iterator[str]:
        for folder in _entries(project / ".mml" / "attempts"):
            if folder.name == self._own or _is_live(project, folder.name):
                continue
            layout = Layout(project, folder.name)
            if layout.is_script:
                if not layout.script_record.exists():
                    yield folder.relative_to(project).as_posix()
                continue
            steps = project / RUNS / folder.name / "steps"
            for attempt in _entries(folder):
                if not (steps / f"{attempt.name.partition('.')[0]}.json").exists():
                    yield attempt.relative_to(project).as_posix()

    def _shown(self, what: str, root: Path, names: list[str]) -> list[str]:
        size = sum(_size(root / name) for name in names)
        print(f"{what} in {root}: {len(names)}, {size / 2**20:.1f} MiB")
        for name in names:
            print(f"  {name}")
        return names


def _temp(project: Path, own: str) -> Iterator[str]:
    for folder in _entries(project / ".mml" / "temp"):
        run, layout = project / RUNS / folder.name, Layout(project, folder.name)
        over = not run.exists() or (run / "done.json").exists()
        if layout.is_script:
            over = not layout.script_record.exists() and not _is_live(project, folder.name)
        if over and folder.name != own:
            yield folder.relative_to(project).as_posix()


def _strays(project: Path, own: str) -> Iterator[str]:
    for run in _entries(project / RUNS):
        if run.name != own and not _is_live(project, run.name):
            for path in (*_entries(run), *_entries(run / "steps")):
                if path.name.startswith(TEMP_PREFIX) and path.is_file():
                    yield path.relative_to(project).as_posix()


def _never_begun(project: Path, own: str) -> Iterator[str]:
    for run in _entries(project / RUNS):
        if (
            run.name != own
            and not (run / "run.json").exists()
            and time.time() - run.stat().st_mtime > _STARTING
        ):
            yield run.relative_to(project).as_posix()


def _run_of(name: str) -> str | None:
    parts = Path(name).parts
    if parts[0] == RUNS:
        return parts[1]
    return parts[2] if parts[0] == ".mml" else None


@contextmanager
def _unclaimed(project: Path, run: str | None) -> Iterator[bool]:
    """Hold the run's lease for the block, and say whether it was free; one that never began needs none."""
    if run is not None and Layout(project, run).is_script:
        yield not _is_live(project, run)  # a dead one is never taken over
        return
    if run is None or not (project / RUNS / run / "run.json").exists():
        yield True
        return
    try:
        lease = Lease.acquire(RunDirectory(project / RUNS / run).lease_path, wait=False)
    except LeaseHeldError:
        yield False
        return
    with lease:
        yield not StepClaims(RunDirectory(project / RUNS / run).claims_path).live()


def _is_live(project: Path, run: str) -> bool:
    layout = Layout(project, run)
    if layout.is_script:
        return is_alive(layout.script_lease)
    return RunDirectory(project / RUNS / run).held() is not None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(path: Path) -> int:
    if path.is_file():
        return path.lstat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if each.is_file())
