"""Hooks of pytest that send the outcome of each test, as a line of JSON, to the process that started it."""

from __future__ import annotations

import json
import os
from typing import Any

from mml_core.plugins.authoring.orders import VARIABLE

_told: set[str] = set()


def pytest_runtest_logreport(report: Any) -> None:
    """Tell how a test ended, once: a set-up that fails ends it, too."""
    if report.nodeid in _told or (report.when != "call" and report.passed):
        return
    _told.add(report.nodeid)
    _, _, test = report.nodeid.partition("::")
    group, _, name = test.partition("::")
    if report.skipped:
        message = str(report.longrepr[2]).removeprefix("Skipped: ")
    else:
        crash = getattr(report.longrepr, "reprcrash", None)
        message = "" if report.passed else str(crash.message if crash else report.longrepr)
    line = {"group": group, "test": name, "outcome": report.outcome, "message": message}
    os.write(json.loads(os.environ[VARIABLE])["pipe"], f"{json.dumps(line)}\n".encode())
