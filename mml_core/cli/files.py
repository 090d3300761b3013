"""List the files that runs have made, explain where one comes from, verify, remove, pack and unpack them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mml_core.cli.environment import DEFAULT_PROJECT, project_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mml_core.files.artefacts import ArtefactRecord, ArtefactStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list what runs have committed")
    listing.add_argument("--key", help="files of this path key only")
    listing.add_argument("--task", help="files of this task only")
    listing.add_argument("--run", help="files of this run only")
    listing.add_argument("--all", action="store_true", help="also what is superseded or deleted")
    why = actions.add_parser("why", help="tell what a file rests on, back to tasks and their images")
    why.add_argument("file", help="path of the file, absolute or relative to the project")
    verify = actions.add_parser(
        "verify", help="compare files and records with the hashes that were committed"
    )
    prune = actions.add_parser("prune", help="remove what nothing needs any more; shows it and asks first")
    prune.add_argument("--yes", action="store_true", help="remove what is found without asking")
    for action in (listing, why, verify, prune):
        action.add_argument("--proj", default=DEFAULT_PROJECT, help="the project (default: default)")
        action.add_argument("--json", action="store_true", help="print JSON")
    export = actions.add_parser("export", help="pack a project, with all records of it, into one archive")
    export.add_argument("project", help="the project")
    export.add_argument("file", help="the archive to write, .tar or .tar.gz")
    unpack = actions.add_parser("import", help="unpack such an archive, when all in it is as its records say")
    unpack.add_argument("file", help="the archive")
    unpack.add_argument("--proj", help="name of the project (default: the one it had)")


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    from mml_core.config.locations import resolve_locations
    from mml_core.files.artefacts import ArtefactStore

    results = resolve_locations().results
    if args.action == "why":
        from mml_core.cli.files_why import show_why

        return show_why(results, args.proj, args.file, as_json=args.json)
    if args.action == "prune":
        from mml_core.cli.files_prune import prune

        return prune(results, args)
    if args.action == "export":
        from mml_core.cli.files_archive import export

        return export(results, args.project, args.file)
    if args.action == "import":
        from mml_core.cli.files_archive import import_

        return import_(results, args.file, args.proj)
    store = ArtefactStore(project_folder(results, args.proj))
    return _verify(store, as_json=args.json) if args.action == "verify" else _list(store, args)


def _list(store: ArtefactStore, args: argparse.Namespace) -> int:
    from mml_core.schedulers.tables import show

    rows = [
        row_of(record)
        for record in store.records(history=args.all)
        if args.key in (None, record.artefact.key)
        and args.task in (None, record.artefact.task)
        and args.run in (None, record.run)
    ]
    show(
        rows,
        ("key", "task", "path", "size", "run", *(("state",) if args.all else ())),
        as_json=args.json,
        empty=f"No run of the project '{args.proj}' has committed such a file.",
    )
    return 0


def _verify(store: ArtefactStore, *, as_json: bool) -> int:
    from mml_core.schedulers.tables import show

    rows = list(_damaged(store))
    empty = "Every committed file and every record of the runs is whole."
    show(rows, ("path", "problem"), as_json=as_json, empty=empty)
    return 1 if rows else 0


def _damaged(store: ArtefactStore) -> Iterator[dict[str, Any]]:
    from mml_core.errors import MMLError
    from mml_core.scheduling.verifying import damaged_elsewhere, damaged_records

    for record in store.records():
        try:
            store.verify(record)
        except MMLError as error:
            yield {**row_of(record), "problem": str(error)}
    for path, problem in damaged_records(store.project):
        yield {"path": path.relative_to(store.project).as_posix(), "problem": problem}
    for path, problem in damaged_elsewhere(store.project):
        yield {"path": str(path), "problem": problem}


def row_of(record: ArtefactRecord) -> dict[str, Any]:
    """Return a record as a row of a table."""
    artefact = record.artefact
    return {
        "path": artefact.path,
        "key": artefact.key,
        "task": artefact.task,
        "size": artefact.size,
        "sha256": artefact.sha256,
        "created": artefact.created,
        "run": record.run,
        "step": record.step,
        "state": record.state,
    }
