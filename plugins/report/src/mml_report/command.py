"""Write a run, or a project, as one HTML page.

The page needs no network. Without ``--output`` it is written to ``REPORTS`` in the project's folder.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mml_core.api import MMLError


class UnwritableReportError(MMLError):
    """The page cannot be written where it was asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="one run by name; by default the whole project")
    parser.add_argument("--proj", default="default", help="the project (default: default)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write the page")


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    with _without_collection():
        output = _write(args)
    print(f"Written to {output}.")
    return 0


@contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no cycles of garbage meanwhile: that takes a sixth of the time, and tables have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _write(args: argparse.Namespace) -> Path:
    from mml_core.api import open_project, writing
    from mml_report.content import collect
    from mml_report.page import render

    project = open_project(args.proj)
    page = render(collect(project, args.run))
    output = args.output or project.path / "REPORTS" / f"{args.run or project.name}.html"
    if output.is_dir():
        raise UnwritableReportError(f"{output} is a folder; give the page a file name by --output.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with writing(output) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UnwritableReportError(
            f"The page cannot be written to {output}: {error.strerror or error}; choose another place by"
            " --output."
        ) from error
    return output
