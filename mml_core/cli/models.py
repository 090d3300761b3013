"""List the models that runs have stored, show one or an architecture in numbers, list architectures.

`mml models show PROJECT#NUMBER` or `mml models show model.json` shows a stored model: what it was trained on
and how, its metrics and predictions. `mml models show resnet18 [OVERRIDE…]` builds what `arch=resnet18` means
and counts parameters and operations; so does `mml models show timm arch.kwargs.model=resnet50`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mml_core.cli.environment import DEFAULT_PROJECT, discover_plugins, project_folder
from mml_core.cli.parsing import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mml_core.learning.network_facts import NetworkFacts
    from mml_core.learning.pipeline import Pipeline
    from mml_core.plugins import PluginManager

ACTIONS = ("list", "show", "architectures")
USAGE = "Write `mml models`, `mml models show MODEL|ARCHITECTURE [OVERRIDE…]` or `mml models architectures`."
INTERMIXED = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions."""
    parser.add_argument(
        "action", nargs="?", default="list", choices=ACTIONS, help="list (default), show, architectures"
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="with show: a model or architecture, and overrides of the config",
    )
    parser.add_argument("--proj", default=None, help="with list: the project (default: default)")
    parser.add_argument(
        "--task", action="append", default=[], metavar="NAME", help="models of this task only"
    )
    parser.add_argument(
        "--type", default=None, metavar="TASK_TYPE", help="architectures for this type of task"
    )
    parser.add_argument(
        "--size", default="224", help="of an image, for an architecture: 224 (default) or 224x160"
    )
    parser.add_argument("--channels", type=int, default=3, help="of that image (3)")
    parser.add_argument("--classes", type=int, default=2, help="that the architecture puts out (2)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print a table, or one model."""
    if (args.action == "show") != bool(args.names):
        raise UsageError(USAGE)
    if args.action == "architectures":
        return _architectures(discover_plugins(args), args.type, as_json=args.json)
    if args.action == "show":
        return _show(args)
    return _list(args)


def _list(args: argparse.Namespace) -> int:
    from mml_core.config.locations import resolve_locations
    from mml_core.schedulers.inventory import model_rows
    from mml_core.schedulers.tables import show

    results = resolve_locations().results
    if args.proj is None and not (results / DEFAULT_PROJECT).is_dir():
        rows = []
    else:
        rows = model_rows(project_folder(results, args.proj or DEFAULT_PROJECT), args.task)
    for row in rows:
        row["size"] = _bytes(row["bytes"])
    show(
        rows,
        ("model", "task", "fold", "metrics", "size", "created", "run"),
        as_json=args.json,
        empty="No model has been stored yet: run the mode train.",
    )
    return 0


def _architectures(plugins: PluginManager, task_type: str | None, *, as_json: bool) -> int:
    from mml_core.plugins import TASK_TYPES
    from mml_core.schedulers.tables import show

    if task_type is not None:
        from mml_core.learning.options import choose

        choose("type of tasks", task_type, dict.fromkeys(TASK_TYPES))
    rows = [
        {
            "architecture": plugins.architectures.label(entry),
            "task_types": list(entry.record.task_types),
            "summary": entry.record.summary,
            "provider": entry.provider,
        }
        for entry in plugins.architectures.items()
        if task_type in (None, *entry.record.task_types)
    ]
    show(
        sorted(rows, key=lambda row: str(row["architecture"]).lower()),
        ("architecture", "task_types", "summary", "provider"),
        as_json=as_json,
        empty="No architecture is installed: pip install mml-plugin-monai.",
    )
    return 0


def _show(args: argparse.Namespace) -> int:
    import json

    from mml_core.config.locations import resolve_locations
    from mml_core.schedulers.tables import show, text_of

    name, *overrides = args.names
    plugins, results = discover_plugins(args), resolve_locations().results
    if name.endswith(".json") or "#" in name:
        if overrides:
            raise UsageError(
                f"'{name}' is a stored model, which has a config of its own: leave out {overrides[0]}."
            )
        content = _stored(name, args.task[0] if args.task else None, results, plugins)
    else:
        content = _architecture(args, name, overrides, plugins)
    if args.json:
        print(json.dumps(content, indent=2, default=str))
        return 0
    rows = [
        {"field": f"{part} {field}".strip(), "value": text_of(value)}
        for part, fields in content.items()
        for field, value in (fields.items() if isinstance(fields, dict) else [("", fields)])
        if value not in (None, "", [], {})
    ]
    show(rows, ("field", "value"), title=name)
    return 0


def _stored(reference: str, task: str | None, results: Path, plugins: PluginManager) -> dict[str, Any]:
    from mml_core.errors import MMLError
    from mml_core.files.stored_models import find_stored_model, load_stored_model
    from mml_core.learning.network_facts import facts_of
    from mml_core.learning.pipeline import load_pipeline

    path = find_stored_model(reference, results, task)
    model = load_stored_model(path)
    pipeline = load_pipeline(model.pipeline)
    network: dict[str, Any]
    try:
        network = _facts(facts_of(pipeline, plugins, pipeline.training.get("adapter")))
    except MMLError as error:  # its plugin need not be installed here
        network = {"": f"not known: {error}"}
    return {
        "model": {
            "file": path,
            "task": model.task,
            "fold": model.fold,
            "outer fold": model.outer,
            "created": model.created,
            "run": model.run,
            "step": model.step,
            "training seconds": model.training_time,
            "selected by": model.selected_by,
            "weights": model.weights,
            "size": _bytes(model.weights.stat().st_size),
        },
        "network": network,
        "metric": model.metrics,
        "predictions": _predictions(path, results),
        "pipeline": {"file": model.pipeline, **_described(pipeline)},
    }


def _predictions(model: Path, results: Path) -> dict[str, str]:
    """Return the files with what a stored model has predicted, by split."""
    from mml_core.learning.prediction_sources import NoPredictionsError, find_predictions
    from mml_core.learning.predictions import contents_of

    try:
        found = find_predictions(str(model), results)
    except NoPredictionsError:  # no step has predicted with it yet
        return {}
    return {
        split: str(file) for files in found.values() for file in files for split in contents_of(file).splits
    }


def _architecture(
    args: argparse.Namespace, name: str, overrides: Sequence[str], plugins: PluginManager
) -> dict[str, Any]:
    from mml_core.config.compose import compose
    from mml_core.learning.architectures import choose_architecture, find_architecture
    from mml_core.learning.network_facts import facts_of
    from mml_core.learning.options import section
    from mml_core.learning.outputs import TaskOutput
    from mml_core.learning.pipeline import Pipeline

    cfg = compose([f"arch={name}", *overrides], plugins)
    named = section(cfg, "arch").get("name")
    first = "classification" if named == "auto" else plugins.architectures.get(str(named)).task_types[0]
    task_type = args.type or first
    architecture = choose_architecture(cfg.arch, task_type)
    spec = find_architecture(architecture, plugins, task_type)
    pipeline = Pipeline(
        architecture=architecture,
        in_channels=args.channels,
        image_size=_size(args.size),
        outputs=(TaskOutput(task="task", task_type=task_type, width=args.classes),),
    )
    return {
        "architecture": {
            "name": architecture.name,
            "provider": plugins.architectures.entry(architecture.name).provider,
            "summary": spec.summary,
            "task types": list(spec.task_types),
            "options": architecture.kwargs,
        },
        "network": {**_facts(facts_of(pipeline, plugins, section(cfg, "adapter"))), "head": task_type},
    }


def _facts(facts: NetworkFacts) -> dict[str, Any]:
    channels, height, width = facts.image
    return {
        "parameters": facts.parameters,
        "trainable parameters": facts.trainable,
        "FLOPs": facts.flops if facts.flops is not None else "not known: it takes no image of this size",
        "for": f"batch 1 of {channels}x{height}x{width}",
        "layers": list(facts.layers),
    }


def _described(pipeline: Pipeline) -> dict[str, Any]:
    groups: Mapping[str, Any] = {"preprocessing": pipeline.preprocessing, **pipeline.training}
    return {
        "architecture": pipeline.architecture.name,
        "options": pipeline.architecture.kwargs,
        "tasks": [f"{output.task} ({output.task_type}, {output.width})" for output in pipeline.outputs],
        "began with": pipeline.initial_weights.get("path", "random weights"),
        **groups,
    }


def _size(text: str) -> tuple[int, int]:
    try:
        height, _, width = text.lower().partition("x")
        size = int(height), int(width or height)
    except ValueError:
        size = (0, 0)
    if min(size) < 1:
        raise UsageError(
            f"--size {text!r}: write a number of pixels, such as 224, or height and width, 224x160."
        )
    return size


def _bytes(number: int | None) -> str:
    return "" if number is None else f"{number / 1e6:.1f} MB"
