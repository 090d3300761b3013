"""Print what holds on this machine and why: folders, versions, plugins, health checks."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

_PACKAGES = ("torch", "lightning", "hydra-core", "omegaconf", "pluggy", "numpy", "pyarrow")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the report; the exit code is 1 where something does not work."""
    from mml_core.cli.environment import discover_plugins
    from mml_core.config.locations import resolve_locations
    from mml_core.schedulers.tables import show

    locations = resolve_locations()
    plugins = discover_plugins(args)
    folders = [
        {"what": what, "path": str(path), "why": locations.why[what], "state": _state_of(path)}
        for what, path in (("data", locations.data), ("results", locations.results))
    ]
    report: dict[str, list[dict[str, Any]]] = {
        "folders": folders,
        "versions": _versions(),
        "plugins": _plugins(plugins),
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
        print()
        show(report["checks"], ("check", "provider", "ok", "message"), title="checks", empty="none")
    healthy = all(check["ok"] for check in report["checks"])
    usable = all(not folder["state"].startswith("not ") for folder in folders)
    broken = any(info.broken for info in plugins.plugins.values())
    return 0 if healthy and usable and not broken else 1


def _state_of(path: Path) -> str:
    """Say whether a folder can be used; one that is not there can be made where its parent is writable."""
    if path.is_dir():
        return "writable" if os.access(path, os.W_OK) else "read-only"
    if path.exists():
        return "not a folder"
    parent = next(parent for parent in path.parents if parent.exists())
    return "will be made" if os.access(parent, os.W_OK) else f"not there, and {parent} is read-only"


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
    rows = []
    for item in plugins.health_checks.items():
        try:
            result = plugins.resolve(item)()
            ok, message = bool(result.ok), str(result.message)
        except Exception as error:
            ok, message = False, f"the check itself failed: {type(error).__name__}: {error}"
        rows.append({"check": item.name, "provider": item.provider, "ok": ok, "message": message})
    return rows
