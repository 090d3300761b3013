"""The example of importers and `mml predict` does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long  # six commands, each a process of its own
def test_new_digits_are_told_apart() -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = ["bash", str(ROOT / "examples" / "images.sh")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\d+_is_(\d)\.(?:png|npy) +class (\d) ", done.stdout, re.MULTILINE)
    assert len(rows) == 20
    assert sum(truth == found for truth, found in rows) > 10  # two by chance
    assert "Written to ink.parquet and ink_masks." in done.stdout
