"""Running the scripts in ``examples`` as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
RunExample = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_example() -> RunExample:
    """Return a function that runs a script with this environment's commands, and fails where it does."""

    def run(name: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        script = ["bash", str(EXAMPLES / name)]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    return run
