"""Explaining a file: the step that made it, what that used, and so on back to the tasks and their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from mml_core.config.run_directory import RUNS
from mml_core.errors import MMLError
from mml_core.files.artefacts import ArtefactRecord, ArtefactStore
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.provenance import provenance_of
from mml_core.scheduling.run_directory import RunDirectory

_SHORT = 12
_LIBRARIES = ("torch", "lightning", "python")


@dataclass
class Cause:
    """Something that a file rests on.

    Attributes:
        kind: ``file``, ``step``, ``task``, ``dataset``, ``config``, ``code`` or ``note``.
        text: What it is, one line.
        facts: All that is known of it.
        causes: What it rests on itself.
    """

    kind: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    causes: list[Cause] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        rests_on = [cause.as_json() for cause in self.causes]
        return {"kind": self.kind, "text": self.text, **self.facts, "rests_on": rests_on}


class Explainer:
    """Explains the files of the projects in one results folder; what was explained once is not repeated.

    Args:
        results: The folder of all projects.
    """

    def __init__(self, results: Path) -> None:
        self._results = results
        self._told: set[tuple[str, str, str]] = set()

    def file(self, project: str, record: ArtefactRecord) -> Cause:
        """Explain a file by its record."""
        made = record.artefact
        state = "" if record.state == "live" else f", {record.state}"
        of = f"{made.key} of task {made.task}" if made.task is not None else made.key
        facts = {"project": project, **msgspec.to_builtins(made), "state": record.state}
        text = f"{project}/{made.path} ({of}, {made.size} bytes, sha256 {made.sha256[:_SHORT]}{state})"
        step = self._step(project, record.run, record.step, record.extra)
        return Cause("file", text, facts, [step])

    def _step(self, project: str, run: str, step: str, known: Mapping[str, Any]) -> Cause:
        facts = {"project": project, "run": run, "step": step}
        if (project, run, step) in self._told:
            return Cause("step", f"step {step} of run {run}, see above", facts)
        self._told.add((project, run, step))
        found = self._stored(project, run, step) or known
        if not found:
            what = f"script {run}" if run.startswith("script-") else f"step {step} of run {run}"
            return Cause("step", f"{what} of project {project}; nothing more is recorded", facts)
        when = datetime.fromtimestamp(found["started"]).isoformat(" ", "seconds")
        seconds, host, threads = found["seconds"], found["host"], found["threads"]
        text = (
            f"step {found['name']} of run {run} of project {project}: {when}, {seconds:.1f} s on {host}, "
            f"seed {found['seed']}, threads {threads}"
        )
        return Cause("step", text, {**facts, **found}, list(self._causes(project, run, found)))

    def _causes(self, project: str, run: str, found: Mapping[str, Any]) -> Iterator[Cause]:
        if taken := found.get("taken"):
            yield Cause("note", "was taken over, with all it rests on, and not run")
            yield self._step(taken["project"], taken["run"], taken["step"], {})
            return
        for key, value in found["config"].items():
            yield Cause(
                "config", f"{key or 'the whole config'} = {_line(value)}", {"key": key, "value": value}
            )
        yield from _code(found)
        inputs = found["inputs"]
        for name, hashes in inputs.get("tasks", {}).items():
            yield _task(name, hashes)
        for path, file in inputs.get("files", {}).items():
            yield self._used(project, run, path, file)
        for step, sha256 in inputs.get("results", {}).items():
            if sha256:
                yield self._step(project, run, step, {})

    def _used(self, project: str, run: str, path: str, file: Mapping[str, str]) -> Cause:
        place = self._results / project / path
        owner, name = project, path
        if place.is_relative_to(self._results) and Path(path).is_absolute():
            owner, *inside = place.relative_to(self._results).parts
            name = "/".join(inside)
        record = _record_of(self._results / owner, name)
        if record is not None and record.artefact.sha256 == file["sha256"]:
            return self.file(owner, record)
        text = f"{path} (sha256 {file['sha256'][:_SHORT]}, not there as it was)"
        maker = file.get("step")
        causes = [self._step(file.get("project", project), file.get("run", run), maker, {})] if maker else []
        return Cause("file", text, {"path": path, **file}, causes)

    def _stored(self, project: str, run: str, step: str) -> dict[str, Any]:
        """Return what a run's own records tell of a step; empty where they are gone or damaged."""
        directory = RunDirectory(self._results / project / RUNS / run)
        try:
            plan = Plan.load(directory.plan_path)
            position = plan.position(step)
            ledger = Ledger(plan, directory.steps_path)
            record = ledger.look_up(position) if position is not None else None
        except (MMLError, OSError, msgspec.DecodeError):
            return {}
        return provenance_of(plan, record, directory.environments_path) if record is not None else {}


def _record_of(project: Path, path: str) -> ArtefactRecord | None:
    try:
        return ArtefactStore(project).find_path(path)
    except (MMLError, OSError, ValueError, IndexError):
        return None


def _code(found: Mapping[str, Any]) -> Iterator[Cause]:
    versions, code, states = (found.get(name, {}) for name in ("versions", "code", "git"))
    for name in dict.fromkeys([*code, *_LIBRARIES]):
        text = f"{name} {versions[name]}" if name in versions else name
        state = states.get(name)
        if state:
            text += f", commit {state['commit'][:_SHORT]}{' with changes' if state['dirty'] else ''}"
        facts = {"name": name, "version": versions.get(name), "sources_sha256": code.get(name), "git": state}
        yield Cause("code", text, facts)


def _task(name: str, hashes: Mapping[str, str]) -> Cause:
    manifest = hashes["images"]
    dataset = Cause(
        "dataset",
        f"dataset {hashes['dataset']}: manifest sha256 {manifest[:_SHORT]}",
        {"name": hashes["dataset"], "sha256": manifest},
    )
    text = f"task {name}: samples sha256 {hashes['samples'][:_SHORT]}, header {hashes['header'][:_SHORT]}"
    return Cause("task", text, {"name": name, **hashes}, [dataset])


def _line(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:199]}…"
