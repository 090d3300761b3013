"""The example of a transfer does what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long  # six commands, each a process of its own
def test_the_last_layers_fit_better_than_a_probe() -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = ["bash", str(ROOT / "examples" / "transfer.sh")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "made to fit the channels: net.conv1.weight; new classes: 0, 1, 2" in done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("digits  accuracy")]
    probe, partial, _nothing = (float(row[2]) for row in rows[:3])
    assert probe < partial
