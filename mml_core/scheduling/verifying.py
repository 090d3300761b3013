"""Verifying what the runs of a project have recorded, and the files of other projects that they rest on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from mml_core.errors import MMLError
from mml_core.scheduling.environments import Environment
from mml_core.scheduling.ledger import Ledger, StepRecord
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_directory import RunDirectory, run_directories
from mml_core.storage.hashing import sha256_file


def runs_in(project: Path) -> list[RunDirectory]:
    """Return the runs of a project that have a plan, oldest name first."""
    return [run for run in run_directories(project) if run.plan_path.exists()]


def records_of(run: RunDirectory) -> Iterator[StepRecord]:
    """Yield the commit records of a run.

    Raises:
        DamagedRecordError: The plan or a record is not what was written.
    """
    ledger = Ledger(Plan.load(run.plan_path), run.steps_path)
    ledger.refresh()
    yield from (record for _, record in ledger.records())


def damaged_records(project: Path) -> Iterator[tuple[Path, str]]:
    """Yield each record of a project's runs that is not what was written, with what is wrong."""
    for run in runs_in(project):
        try:
            run.info()
            plan = run.load_plan()
            run.done()
        except (MMLError, OSError, msgspec.DecodeError) as error:
            yield run.path, str(error)
            continue
        if plan is not None:
            yield from _damaged_steps(run, plan)


def damaged_elsewhere(project: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file of another project that a run took over and that is not what it was, with that."""
    for run in runs_in(project):
        with suppress(MMLError, OSError, msgspec.DecodeError):  # `damaged_records` tells
            for record in records_of(run):
                if record.taken is not None:
                    for stored, sha256 in record.taken.files.items():
                        path = Path(stored)
                        if path.is_absolute() and (not path.is_file() or sha256_file(path) != sha256):
                            yield (
                                path,
                                f"It was taken over from {record.taken.origin} and is not what it was.",
                            )


def _damaged_steps(run: RunDirectory, plan: Plan) -> Iterator[tuple[Path, str]]:
    ledger, sound = Ledger(plan, run.steps_path), set()
    for position, step in enumerate(plan.steps):
        path = run.steps_path / f"{step.id}.json"
        try:
            record = ledger.look_up(position)
            if record is not None and record.environment and record.environment not in sound:
                path = run.environments_path / f"{record.environment}.json"
                Environment.load(run.environments_path, record.environment)
                sound.add(record.environment)
        except (MMLError, OSError, msgspec.DecodeError) as error:
            yield path, str(error)
