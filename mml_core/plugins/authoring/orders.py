"""Having the tests of a plugin run in a process of their own, which sees what is to be checked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.plugins.authoring.findings import Finding, State

VARIABLE = "MML_PLUGIN_CHECK"
"""Environment variable that tells the tests what to check."""
_CLASS = re.compile(r"^(AssertionError: |([a-z_]\w*\.)+(?=[A-Z]\w*: ))")
"""What stands before the message of an error that is to be read by people."""
_SUITE = "mml_core.testing.plugin_suite"
_STATES = {"passed": State.OK, "failed": State.FAILED, "skipped": State.NOT_APPLICABLE}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be checked.

    Attributes:
        plugin: The distribution.
        sample: At how many points a run of each of its modes is killed; 0 leaves its modes out.
        tasks: The tasks of these runs.
        overrides: Overrides of their config.
        site: Folder in which the plugin is installed; None: where Python finds it.
    """

    plugin: str
    sample: int
    tasks: Sequence[str]
    overrides: Sequence[str]
    site: Path | None = None


def findings_of(order: Order) -> Iterator[Finding]:
    """Run the tests and yield how each ended, as it ends."""
    ours, theirs = os.pipe()
    known = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    path = [str(order.site), *known] if order.site is not None else known
    told = {
        "plugin": order.plugin,
        "sample": order.sample,
        "tasks": list(order.tasks),
        "overrides": list(order.overrides),
        "pipe": theirs,
    }
    environment = {**os.environ, VARIABLE: json.dumps(told), "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", _SUITE]
    with tempfile.TemporaryDirectory(prefix="mml-check-") as folder, tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(
            [*command, f"--rootdir={folder}"],
            cwd=folder,
            env=environment,
            pass_fds=[theirs],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        ) as process:
            os.close(theirs)
            count = 0
            with os.fdopen(ours, encoding="utf-8") as lines:
                for line in lines:
                    count += 1
                    yield _finding(json.loads(line))
        if process.returncode not in (0, 1) or not count:
            said.seek(0)
            last = [line.strip() for line in said.read().splitlines() if line.strip()][-1:]
            yield Finding(
                check="the tests of the test kit run", state=State.FAILED, message=f"pytest says: {last}"
            )


def _finding(line: dict[str, str]) -> Finding:
    words = line["test"].removeprefix("test_").replace("_", " ")
    mode = line["group"].removeprefix("Test_")
    return Finding(
        check=words if line["group"] == "TestPlugin" else f"mode '{mode}': {words}",
        state=_STATES[line["outcome"]],
        message=_sentence(line["message"]),
    )


def _sentence(message: str) -> str:
    """Return what a failed test says, without how pytest shows the comparison that failed."""
    said, _, _ = _CLASS.sub("", message).partition("\nassert ")
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())
