"""What must hold at the very moment of a kill: no half-written file under a name that others read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.testing.crash.picture import Picture, Plain, runs_below, visible_files

if TYPE_CHECKING:
    from mml_core.testing.crash.bench import Bench
    from mml_core.testing.crash.trial import Trial


def committed_steps(results: Path, before: Path) -> set[str]:
    """Return the steps whose records are there, in all runs that were not there before."""
    return {record.stem for run in runs_below(results, before) for record in run.glob("steps/*.json")}


def half_files(trial: Trial, bench: Bench, expected: Picture) -> list[str]:
    """Return what is not whole now.

    A file of a project is whole if a committed record names its size and hash; any file is, if it is the one
    that was there before or the one that the undisturbed run leaves.

    Args:
        trial: Where a command was killed.
        bench: Knows what was there before.
        expected: What the undisturbed run left.
    """
    from mml_core.storage.hashing import sha256_file

    runs = runs_below(trial.results, bench.results)
    plain = Plain(trial.root, runs, bench.scenario.volatile)
    told, known = [], set()
    for path, problem, artefacts in _records(runs):
        if problem:
            told.append(f"{plain.of(path.relative_to(trial.root).as_posix())}: {problem}")
        project = path.relative_to(trial.results).parts[0]
        known |= {(f"results/{project}/{each['path']}", each["sha256"]) for each in artefacts}
    for name in visible_files(trial.root, bench.scenario.ignored):
        path, before = trial.root / name, getattr(bench, name.partition("/")[0], None)
        original = before / name.partition("/")[2] if before is not None else path / "none"
        if path.is_symlink() or expected.files.get(name) == plain.digest(path):
            continue
        if original.is_file() and original.read_bytes() == path.read_bytes():
            continue
        if (name, sha256_file(path)) not in known:
            told.append(f"{name} ({path.stat().st_size} bytes)")
    return told


def _records(runs: list[Path]) -> Iterator[tuple[Path, str, list[Any]]]:
    """Yield the records of runs: path, what is wrong with it, and the artefacts that it names."""
    from mml_core.scheduling.sealed import DamagedRecordError, read_sealed

    for run in runs:
        sealed = [run / "plan.json", run / "done.json", *sorted(run.glob("steps/*.json"))]
        for path in (each for each in sealed if each.exists()):
            try:
                body = read_sealed(path, "")
            except DamagedRecordError as error:
                yield path, str(error), []
            else:
                yield path, "", json.loads(body).get("artefacts", [])
        for path in (run / "run.json", run / "failed.json"):
            if path.exists():
                try:
                    json.loads(path.read_bytes())
                except ValueError as error:
                    yield path, str(error), []
