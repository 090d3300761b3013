"""The crash kit: proves, with real processes and real kills, that a scheduler resumes exactly.

Opt in by ``pytest_plugins = ["mml_core.testing.crash"]``; then the fixture ``crash_kit`` takes a mode or a
scheduler's class, and a suite is one line of a subclass::

    class TestBrightness(SchedulerCrashSuite):
        mode = "brightness"
        tasks = ["shapes"]
        sample = 20

(PYTEST_DONT_REWRITE: tests import names from here, and there is no assertion to explain.)
"""

from mml_core.testing.crash.barriers import Victim
from mml_core.testing.crash.faults import Fault, FaultKind
from mml_core.testing.crash.kit import CrashKit
from mml_core.testing.crash.plugin import crash_kit, pytest_terminal_summary
from mml_core.testing.crash.report import CrashFaultError, CrashReport
from mml_core.testing.crash.suite import SchedulerCrashSuite

pytest_plugins = ["mml_core.testing.fixtures"]

__all__ = [
    "CrashFaultError",
    "CrashKit",
    "CrashReport",
    "Fault",
    "FaultKind",
    "SchedulerCrashSuite",
    "Victim",
    "crash_kit",
    "pytest_terminal_summary",
]
