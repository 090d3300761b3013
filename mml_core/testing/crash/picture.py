"""What a finished run left, without what differs between any two runs: times, ids, hosts, places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from mml_core.testing.crash.scenario import Scenario

VOLATILE = frozenset(
    {"created", "finished", "host", "hostname", "pid", "seconds", "started", "timestamp", "training_time"}
)
"""Keys of JSON files whose values differ from run to run; a scenario may name more."""

_OF_ATTEMPT = ("attempt", "environment", "host", "pid", "run", "seconds", "started")
_OF_MOMENT = ("created", "sha256", "size", "source")
_ROOT, _RUN = "<root>", "<run>"


@dataclass(frozen=True)
class Picture:
    """What can be compared of a trial.

    Attributes:
        done: Whether the run is finished.
        value: What it returned.
        steps: Step id to what its record says.
        files: Path relative to the trial's root → hash of the content.
        artefacts: The provenance records: project, key, task, path and state of each.
        paths: Where they lie, relative to the trial's root.
        left: What lies where nothing should be after a run: attempts, temporary files.
        names: Step id to the step as a reader knows it.
    """

    done: bool
    value: Any
    steps: Mapping[str, Any]
    files: Mapping[str, str]
    artefacts: tuple[tuple[str, ...], ...]
    paths: frozenset[str]
    left: tuple[str, ...]
    names: Mapping[str, str]


def runs_below(results: Path, before: Path) -> list[Path]:
    """Return the run directories in a results folder that were not there before, oldest first."""
    known = {path.relative_to(before) for path in before.glob("*/runs/*")}
    found = results.glob("*/runs/*")
    return sorted(path for path in found if path.relative_to(results) not in known)


def take_picture(root: Path, scenario: Scenario, before: Path) -> Picture:
    """Take the picture of a trial.

    Args:
        root: The trial's root.
        scenario: What was run in it.
        before: The results that it began with.
    """
    from mml_core.scheduling.ledger import Ledger
    from mml_core.scheduling.run_directory import RunDirectory
    from mml_core.scheduling.values import decode

    plain = Plain(root, runs_below(root / "results", before), scenario.volatile)
    done, value = False, None
    steps: dict[str, Any] = {}
    names: dict[str, str] = {}
    for run in map(RunDirectory, plain.runs):
        plan = run.load_plan() if run.config_path.exists() else None
        if plan is None:
            continue  # it never began
        finished = run.done()
        done = done or finished is not None
        value = decode(finished.return_value) if finished is not None else value
        names |= {step.id: step.name for step in plan}
        ledger = Ledger(plan, run.steps_path)
        ledger.refresh()
        records = {record.step: _plain_record(record) for _, record in ledger.records()}
        if scenario.executor:
            plain.forget_numbers(records)
        for step, record in plain.without_times(plain.of(records)).items():
            inputs = {what: sorted(used) for what, used in record["inputs"].items()}
            steps[step] = {**record, "inputs": inputs}
    artefacts = list(_artefacts(root / "results"))
    return Picture(
        done=done,
        value=plain.of(value),
        steps=steps,
        files={plain.of(path): plain.digest(root / path) for path in visible_files(root, scenario.ignored)},
        artefacts=tuple(sorted(tuple(plain.of(artefact)) for artefact in artefacts)),
        paths=frozenset(f"results/{project}/{path}" for project, _, _, path, _ in artefacts),
        left=tuple(sorted(plain.of(_left(root)))),
        names=names,
    )


class Plain:
    """Takes out of values and files what differs between runs.

    Args:
        root: The trial's root.
        runs: The directories of the runs in it.
        volatile: Further keys of JSON files that are left out.
    """

    def __init__(self, root: Path, runs: list[Path], volatile: frozenset[str] = frozenset()) -> None:
        self.runs = runs
        self._volatile = VOLATILE | volatile
        self._replaced = [(str(root), _ROOT), *((run.name, _RUN) for run in runs)]

    def forget_numbers(self, records: Mapping[str, Any]) -> None:
        """Take the numbers out of files' names: steps that run at one time share them out as they come."""
        for step, record in records.items():
            for place, artefact in enumerate(record["artefacts"]):
                if artefact["number"] is not None:
                    path = PurePosixPath(artefact["path"])
                    label = path.with_name(f"<{step}:{place}>{path.suffix}")
                    self._replaced.append((str(path), str(label)))
                    artefact["number"] = None

    def without_volatile(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return a JSON object without what differs from run to run, such as times."""
        return {key: item for key, item in value.items() if key not in self._volatile}

    def of(self, value: Any) -> Any:
        """Return a JSON value without places and ids."""
        if isinstance(value, str):
            for old, new in self._replaced:
                value = value.replace(old, new)
            return value
        if isinstance(value, Mapping):
            return {self.of(key): self.of(item) for key, item in value.items()}
        return [self.of(item) for item in value] if isinstance(value, (list, tuple)) else value

    def without_times(self, value: Any) -> Any:
        """Return a JSON value without the keys whose values differ from run to run."""
        if isinstance(value, Mapping):
            kept = self.without_volatile(value)
            return {key: self.without_times(item) for key, item in kept.items()}
        return [self.without_times(item) for item in value] if isinstance(value, list) else value

    def digest(self, path: Path) -> str:
        """Return the hash of a file's content without places, ids and, where it is JSON, times."""
        if path.is_symlink():
            return f"→ {self.of(str(path.readlink()))}"
        content = path.read_bytes()
        for old, new in self._replaced:
            content = content.replace(old.encode(), new.encode())
        if path.suffix == ".json":
            with suppress(ValueError):  # what only looks like JSON is compared as it is
                content = json.dumps(self.without_times(json.loads(content)), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()


def visible_files(root: Path, ignored: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield what others can see in a trial: no hidden files, run directories or caches."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        left_out = not is_visible(relative) or any(fnmatch(str(path), glob) for glob in ignored)
        if not left_out and (path.is_file() or path.is_symlink()):
            yield relative.as_posix()


def is_visible(relative: Path) -> bool:
    """Tell whether a path below the root of a trial is one that others read by its name."""
    parts = relative.parts
    hidden = any(part.startswith(".") for part in parts) or "__pycache__" in parts
    own = parts[0] == "results" and parts[2:3] in (("runs",), ("sweeps",))
    return not hidden and not own and parts[:2] != ("data", "cache")


def _plain_record(record: Any) -> dict[str, Any]:
    import msgspec

    from mml_core.scheduling.values import decode

    found: dict[str, Any] = {
        name: decode(value) if isinstance(value, msgspec.Raw) else msgspec.to_builtins(value)
        for name, value in msgspec.structs.asdict(record).items()
        if name not in _OF_ATTEMPT
    }
    # What a step used is told by name: the hashes are of results and files, which are compared themselves.
    found["inputs"] = {what: list(used) for what, used in found["inputs"].items() if isinstance(used, dict)}
    found["artefacts"] = [
        {name: value for name, value in artefact.items() if name not in _OF_MOMENT}
        for artefact in found["artefacts"]
    ]
    return found


def _artefacts(results: Path) -> Iterator[tuple[str, str, str, str, str]]:
    from mml_core.files.artefacts import ArtefactStore

    for project in sorted(results.glob("*")):
        for record in ArtefactStore(project).records(history=True):
            artefact = record.artefact
            yield project.name, artefact.key, artefact.task or "", artefact.path, record.state


def _left(root: Path) -> list[str]:
    found = []
    for place in ("attempts", "temp"):
        found += [path.relative_to(root).as_posix() for path in root.glob(f"results/*/.mml/{place}/*")]
    return found


def differences(expected: Picture, found: Picture) -> list[str]:
    """Return how a picture differs from the expected one, most telling first; empty: not at all."""
    told = ["the run is not finished"] if expected.done and not found.done else []
    told += _between(expected.value, found.value, "the run returned")
    for step in {**expected.steps, **found.steps}:
        name = expected.names.get(step) or found.names.get(step) or step
        if step not in found.steps or step not in expected.steps:
            told.append(f"step {name} is {'missing' if step in expected.steps else 'one too many'}")
            continue
        before, after = expected.steps[step], found.steps[step]
        for key in {**before, **after}:
            told += _between(before.get(key), after.get(key), f"step {name}: {key}")
    for path in sorted({**expected.files, **found.files}):
        if path not in found.files or path not in expected.files:
            told.append(f"file {path} is {'missing' if path in expected.files else 'one too many'}")
        elif expected.files[path] != found.files[path]:
            told.append(f"file {path} has another content")
    told += _between(expected.artefacts, found.artefacts, "the provenance records are")
    return told


def _between(expected: Any, found: Any, what: str) -> list[str]:
    if json.dumps(expected, sort_keys=True) == json.dumps(found, sort_keys=True):
        return []
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in sorted({*expected, *found}):
            inner = _between(expected.get(key), found.get(key), f"{what}.{key}")
            if inner:
                return inner
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return next(told for at, (one, other) in pairs if (told := _between(one, other, f"{what}[{at}]")))
    return [f"{what} {_short(found)} instead of {_short(expected)}"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:157]}…"
