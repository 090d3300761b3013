"""What pytest gets by ``pytest_plugins = ["mml_core.testing.crash"]``: the fixture, and a line per kit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mml_core.testing.crash.kit import CrashKit

if TYPE_CHECKING:
    from mml_core.testing.fixtures import MMLProject

_PROPERTY = "crash_kit"


@pytest.fixture
def crash_kit(
    mml_project: MMLProject,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, object], None],
) -> CrashKit:
    """Give a kit that begins with the data and results of ``mml_project``."""
    folder: Path = tmp_path_factory.mktemp("crash")
    return CrashKit(
        mml_project.data, mml_project.results, folder, tell=lambda line: record_property(_PROPERTY, line)
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell at the end how many kill points were run, with the seed of each sample."""
    lines = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == _PROPERTY
    ]
    if lines:
        terminalreporter.section("kill points")
        for line in lines:
            terminalreporter.line(line)
