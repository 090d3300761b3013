"""Check a plugin as its users will meet it: its wheel, its names, its options, its tests by contract.

Of a source folder the wheel is built and checked, of an installed plugin what is installed. Each of its modes
is run, killed and continued, over --tasks; what a mode cannot do without, give as KEY=VALUE.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.errors import MMLError

if TYPE_CHECKING:
    from mml_core.plugins.authoring.findings import Finding

INTERMIXED = True
"""Overrides and options may stand in any order."""


class PytestMissingError(MMLError):
    """The checks are tests, and there is nothing to run them with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "plugin", metavar="PATH|NAME", help="folder of its source, or name of an installed one"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="config of the runs of its modes")
    parser.add_argument("--quick", action="store_true", help="do not run its modes")
    parser.add_argument(
        "--tasks",
        metavar="A,B",
        default="tiny_classification,tiny_regression",
        help="tasks of these runs (default: tiny_classification,tiny_regression, which come with mml)",
    )
    parser.add_argument(
        "--sample", type=int, metavar="N", default=3, help="kill a run at so many points (default: 3)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print a line for each check.

    Returns:
        0; 1 where a check failed.

    Raises:
        UnknownPluginError: No plugin of that name is installed.
        WheelError: The folder is no source of a plugin, or it cannot be built.
        PytestMissingError: pytest is not installed.
    """
    from importlib.util import find_spec

    from mml_core.plugins.authoring.findings import State

    if find_spec("pytest") is None:
        raise PytestMissingError("`mml plugins check` runs tests, and there is no pytest: pip install pytest")
    failed = 0
    rows = []
    for finding in _findings(args):
        failed += finding.state is State.FAILED
        rows.append({"check": finding.check, "state": finding.state.value, "message": finding.message})
        if not args.json:
            message = f": {finding.message}" if finding.message else ""
            print(f"{finding.state.value:16}{finding.check}{message}", flush=True)
    if args.json:
        print(json.dumps(rows, indent=2))
    elif failed:
        print(f"{failed} of {len(rows)} checks failed.")
    return 1 if failed else 0


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    from mml_core.plugins.authoring.findings import Finding, State
    from mml_core.plugins.authoring.orders import Order, findings_of
    from mml_core.plugins.authoring.wheels import Metadata, built, is_source

    with ExitStack() as stack:
        site: Path | None = None
        if is_source(args.plugin):
            wheel = stack.enter_context(built(Path(args.plugin)))
            site, metadata = wheel.site, wheel.metadata
            yield from wheel.findings()
        else:
            metadata = Metadata(text=_installed_metadata(args))
            yield Finding(
                check="its wheel holds its package and nothing else",
                state=State.NOT_APPLICABLE,
                message="it is installed; name the folder of its source to have its wheel built",
            )
        yield from metadata.findings()
        tasks = [name.strip() for name in args.tasks.split(",") if name.strip()]
        sample = 0 if args.quick else args.sample
        yield from findings_of(
            Order(plugin=metadata.name, sample=sample, tasks=tasks, overrides=args.overrides, site=site)
        )


def _installed_metadata(args: argparse.Namespace) -> str:
    from importlib.metadata import distribution

    from mml_core.cli.environment import inspect_plugins

    name = inspect_plugins(args).plugin(args.plugin).name
    return distribution(name).read_text("METADATA") or ""
