"""What is there: tasks installed and creatable, models of a project, sample counts, plugins, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager
    from mml_core.tasks.description import TaskHeader


def task_rows(data: Path, plugins: PluginManager) -> list[dict[str, Any]]:
    """Return one row per task that is installed or can be created."""
    from mml_core.tasks.index import TaskIndex

    index = TaskIndex(data)
    headers = index.headers()
    rows = [_installed(name, header) for name, header in headers.items()]
    rows += [
        {"task": name, "type": "", "state": f"damaged: {problem}"}
        for name, problem in index.problems().items()
    ]
    known = {row["task"] for row in rows}
    for item in plugins.tasks.items():
        name = plugins.tasks.label(item)
        if item.name not in known:
            rows.append(
                {"task": name, "type": item.record.task_type, "state": f"can be created ({item.provider})"}
            )
    return sorted(rows, key=lambda row: (row["state"] != "installed", row["task"]))


def sample_rows(data: Path, tasks: Sequence[str], plugins: PluginManager) -> list[dict[str, Any]]:
    """Return the sample counts by split and class of the tasks named, or of all installed ones."""
    from mml_core.tasks.index import TaskIndex

    index = TaskIndex(data)
    headers = {name: index.get(name, plugins=plugins).header for name in tasks} if tasks else index.headers()
    return [
        {
            "task": name,
            **{split: header.num_samples.get(split, 0) for split in ("train", "test", "unlabelled")},
            "folds": header.num_folds,
            "per_class": {
                header.idx_to_class.get(index, index): count for index, count in header.class_counts.items()
            },
        }
        for name, header in headers.items()
    ]


def model_rows(project: Path, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per model that runs of a project have committed, newest last."""
    from mml_core.files.artefacts import ArtefactStore

    rows = []
    for record in ArtefactStore(project).records("models"):
        artefact = record.artefact
        if tasks and artefact.task not in tasks:
            continue
        stored = _stored_model(project / artefact.path)
        rows.append(
            {
                "model": f"{project.name}#{artefact.number}",
                "task": artefact.task,
                "fold": stored.get("fold"),
                "metrics": stored.get("metrics"),
                "bytes": _size_of(project, stored.get("weights")),
                "created": artefact.created,
                "run": record.run,
                "path": artefact.path,
            }
        )
    return sorted(rows, key=lambda row: str(row["created"]))


def plugin_rows(plugins: PluginManager) -> list[dict[str, Any]]:
    """Return the status of each plugin and how much it contributes."""
    return [
        {
            "plugin": name,
            "version": info.version,
            "status": info.status.value,
            "contributes": {kind: len(found) for kind, found in info.contributions.items() if found},
            "cause": info.cause,
        }
        for name, info in plugins.plugins.items()
    ]


def _stored_model(path: Path) -> dict[str, Any]:
    """Return what a model file says, an empty dict where it cannot be read: a list must not fail for one."""
    import msgspec

    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}


def _size_of(project: Path, stored: object) -> int | None:
    """Return how many bytes a file has that a model names, None where it is not there."""
    try:
        return (project / str(stored)).stat().st_size
    except OSError:
        return None


def _installed(name: str, header: TaskHeader) -> dict[str, Any]:
    return {
        "task": name,
        "type": str(header.task_type),
        "samples": sum(header.num_samples.values()),
        "folds": header.num_folds,
        "classes": len(header.idx_to_class) or None,
        "keywords": header.keywords,
        "state": "installed",
    }
