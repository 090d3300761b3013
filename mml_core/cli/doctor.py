"""Print what holds on this machine and why: folders, versions, plugins, health checks."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

_PACKAGES = ("torch", "lightning", "hydra-core", "omegaconf", "pluggy", "numpy", "pyarrow")


_USABLE = {"data": ("writable", "read-only", "will be made"), "results": ("writable", "will be made")}
"""States of a folder that mml works with: reading data is enough for many modes, results are written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--storage", metavar="PATH", help="try what mml needs of a file system in a private folder below PATH"
    )


def run(args: argparse.Namespace) -> int:
    """Print the report; the exit code is 1 where something does not work."""
    if args.storage is not None:
        return _check_storage(args)
    from mml_core.cli.environment import inspect_plugins
    from mml_core.config.locations import resolve_locations
    from mml_core.schedulers.tables import show

    locations = resolve_locations()
    plugins = inspect_plugins(args)
    folders = [
        {"what": what, "path": str(path), "why": locations.why[what], "state": _state_of(path)}
        for what, path in (("data", locations.data), ("results", locations.results))
    ]
    report: dict[str, list[dict[str, Any]]] = {
        "folders": folders,
        "versions": _versions(),
        "plugins": _plugins(plugins),
        "wrong": [{"wrong": line} for line in plugins.warnings()],
        "checks": _checks(plugins),
    }
    if args.json:
        import json

        print(json.dumps(report, indent=2))
    else:
        show(folders, ("what", "path", "why", "state"), title="folders")
        print()
        show(report["versions"], ("package", "version"), title="versions")
        print()
        show(
            report["plugins"],
            ("plugin", "version", "status", "cause"),
            title="plugins",
            empty="none installed",
        )
        if report["wrong"]:
            print()
            show(report["wrong"], ("wrong",))
        print()
        show(report["checks"], ("check", "provider", "ok", "message"), title="checks", empty="none")
    healthy = all(check["ok"] for check in report["checks"])
    usable = all(folder["state"] in _USABLE[folder["what"]] for folder in folders)
    broken = any(info.broken for info in plugins.plugins.values())
    return 0 if healthy and usable and not broken else 1


def _check_storage(args: argparse.Namespace) -> int:
    """Print which guarantees hold on a file system; the exit code is 1 where one that is needed does not."""
    from dataclasses import asdict

    from mml_core.schedulers.tables import show
    from mml_core.storage.selfcheck import check_storage

    findings = check_storage(Path(args.storage))
    rows = [asdict(each) for each in findings]
    for row in rows if not args.json else ():
        row["holds"] = "holds" if row["holds"] else "does not hold"
    columns = ("guarantee", "holds", "needed", "means", "detail")
    show(rows, columns, title=f"storage at {args.storage}", as_json=args.json)
    return 0 if all(each.holds for each in findings if each.needed) else 1


def _state_of(path: Path) -> str:
    """Say whether a folder can be used; one that is not there can be made where its parent is writable."""
    if os.path.isdir(path):  # noqa: PTH112  # answers for what cannot be looked at, where Path raises
        if not os.access(path, os.R_OK | os.X_OK):
            return "not readable"
        return "writable" if os.access(path, os.W_OK) else "read-only"
    if os.path.lexists(path):
        return "not a folder"
    parent = next(parent for parent in path.parents if os.path.lexists(parent))
    if not os.path.isdir(parent):  # noqa: PTH112  # as above
        return f"cannot be made: {parent} is not a folder"
    return (
        "will be made"
        if os.access(parent, os.W_OK | os.X_OK)
        else f"cannot be made: {parent} cannot be written to"
    )


def _versions() -> list[dict[str, Any]]:
    """Return versions from metadata; nothing is imported."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from mml_core import __version__

    rows = [
        {"package": "mml-core", "version": __version__},
        {"package": "python", "version": platform.python_version()},
    ]
    for package in _PACKAGES:
        try:
            rows.append({"package": package, "version": version(package)})
        except PackageNotFoundError:
            rows.append({"package": package, "version": "not installed"})
    return rows


def _plugins(plugins: PluginManager) -> list[dict[str, Any]]:
    return [
        {"plugin": name, "version": info.version, "status": info.status.value, "cause": info.cause}
        for name, info in plugins.plugins.items()
        if not info.builtin
    ]


def _checks(plugins: PluginManager) -> list[dict[str, Any]]:
    """Run every health check; one that raises has failed."""
    from mml_core.plugins.calls import Raised
    from mml_core.plugins.refs import describe

    rows = []
    for item in plugins.health_checks.items():
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a check prints must not end up in --json
                result = plugins.resolve(item)()
            ok, message = bool(result.ok), str(result.message)
        except Raised as error:
            ok, message = False, f"the check itself failed: {describe(error)}"
        rows.append({"check": item.name, "provider": item.provider, "ok": ok, "message": message})
    return rows
