"""List the files that runs of a project have made, explain where one comes from, verify them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.cli.environment import DEFAULT_PROJECT, project_folder
from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from mml_core.files.artefacts import ArtefactRecord, ArtefactStore


class UnknownFileError(MMLError):
    """No run of the project has committed that file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list what runs have committed")
    listing.add_argument("--key", help="files of this path key only")
    listing.add_argument("--task", help="files of this task only")
    listing.add_argument("--all", action="store_true", help="also what is superseded or deleted")
    why = actions.add_parser("why", help="tell which run and step made a file, from which config and inputs")
    why.add_argument("file", help="path of the file, absolute or relative to the project")
    verify = actions.add_parser("verify", help="compare size and hash of every file with its record")
    for action in (listing, why, verify):
        action.add_argument("--proj", default=DEFAULT_PROJECT, help="the project (default: default)")
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what the provenance records of the project say."""
    from mml_core.config.locations import resolve_locations
    from mml_core.files.artefacts import ArtefactStore

    store = ArtefactStore(project_folder(resolve_locations().results, args.proj))
    if args.action == "why":
        return _why(store, args.file, as_json=args.json)
    if args.action == "verify":
        return _verify(store, as_json=args.json)
    return _list(store, args)


def _list(store: ArtefactStore, args: argparse.Namespace) -> int:
    from mml_core.schedulers.tables import show

    rows = [
        _row(record)
        for record in store.records(history=args.all)
        if args.key in (None, record.artefact.key) and args.task in (None, record.artefact.task)
    ]
    show(
        rows,
        ("key", "task", "path", "size", "run", *(("state",) if args.all else ())),
        as_json=args.json,
        empty=f"No run of the project '{args.proj}' has committed such a file.",
    )
    return 0


def _why(store: ArtefactStore, file: str, *, as_json: bool) -> int:
    from mml_core.schedulers.tables import show

    project = store.project.resolve()
    candidates = {(project / file), Path(file).absolute().resolve()}
    known: list[str] = []
    found: list[ArtefactRecord] = []
    for record in store.records(history=True):
        known.append(record.artefact.path)
        if project / record.artefact.path in candidates:
            found.append(record)
    if not found:
        raise UnknownFileError(
            f"No run of the project '{project.name}' has committed '{file}'.{near_matches(file, known)} "
            f"`mml files list --proj {project.name}` shows all."
        )
    record = max(found, key=lambda each: (each.state == "live", each.artefact.created))
    content = {**_row(record), "sha256": record.artefact.sha256, **record.extra}
    if as_json:
        import json

        print(json.dumps(content, indent=2, default=str))
    else:
        show([{"what": what, "value": value} for what, value in content.items()], ("what", "value"))
    return 0


def _verify(store: ArtefactStore, *, as_json: bool) -> int:
    from mml_core.schedulers.tables import show

    rows = []
    for record in store.records():
        try:
            store.verify(record)
        except MMLError as error:
            rows.append({**_row(record), "problem": str(error)})
    show(rows, ("path", "problem"), as_json=as_json, empty="Every committed file is whole.")
    return 1 if rows else 0


def _row(record: ArtefactRecord) -> dict[str, Any]:
    artefact = record.artefact
    return {
        "path": artefact.path,
        "key": artefact.key,
        "task": artefact.task,
        "size": artefact.size,
        "created": artefact.created,
        "run": record.run,
        "step": record.step,
        "state": record.state,
    }
