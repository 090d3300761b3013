"""The demo's train run, killed ten times at random, ends with the table and weights of an undisturbed one."""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest_plugins = ["mml_core.testing.fixtures"]

DEMO = Path(__file__).parents[2] / "examples" / "demo.sh"
KILLS = 10
START = 2  # seconds, less than a process takes to come to its first step
LEAST = {
    ("digits", "accuracy"): 0.95,
    ("digits_parity", "accuracy"): 0.95,
    ("digits_ink", "dice"): 0.85,
    ("photo_patches", "accuracy"): 0.85,
}
"""What the demo reaches on the test split."""


def commands() -> list[list[str]]:
    """The `mml run` commands of the demo, as it types them."""
    script = DEMO.read_text()
    tasks = re.search(r"^tasks=(.+)$", script, re.MULTILINE)
    assert tasks is not None
    lines = re.findall(r"^run mml (run .+)$", script, re.MULTILINE)
    return [shlex.split(line.replace("$tasks", tasks[1])) for line in lines]


def scores(output: str) -> dict[tuple[str, str], float]:
    """The metrics on the test split, by task and metric."""
    rows = (line.split() for line in table(output).splitlines()[2:])
    return {(row[0], row[1]): float(row[2]) for row in rows if len(row) > 2}


def table(output: str) -> str:
    """The table of metrics in what a train run prints; times and file names stand outside of it."""
    return output[output.index("Metrics, mean") : output.index("Files in ")]


@pytest.mark.long
def test_g01_g02_ten_kills_change_nothing(mml_process, mml_project, capsys):
    *preparation, train = commands()
    for command in preparation:
        result = mml_process(*command, timeout=600)
        assert result.code == 0, result.err
    at = train.index("--proj") + 1
    whole, killed = ([*train[:at], name, *train[at + 1 :]] for name in ("whole", "killed"))
    started = time.monotonic()
    result = mml_process(*whole, timeout=1200)
    between = (time.monotonic() - started) / KILLS  # so that the killed run is not done before the last kill
    assert result.code == 0, result.err
    reached = scores(result.out)
    for (task, metric), least in LEAST.items():
        assert reached[task, metric] > least, (task, metric)
    assert reached["digits_value", "mae"] < 0.6

    seed = int(os.environ.get("MML_KILL_SEED") or random.SystemRandom().randrange(10**6))
    moments = random.Random(seed)
    with capsys.disabled():
        print(f"\nkilling {KILLS} times, MML_KILL_SEED={seed}")
    command = [*killed, "callbacks.checkpoint.every_n_batches=5"]
    for kill in range(KILLS):
        process = mml_process.start(*command)
        try:
            _, errors = process.communicate(timeout=START + moments.uniform(0, between))
            pytest.fail(f"the run ended before kill {kill + 1}, with code {process.returncode}: {errors}")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        if mml_project.runs("killed"):
            command = ["run", "--continue", "--proj", "killed"]
    final = mml_process(*command, timeout=1200)
    assert final.code == 0, final.err
    (run,) = mml_project.runs("killed")
    resumed = (run / "log.txt").read_text().count("goes on from the checkpoint")
    with capsys.disabled():
        print(f"{resumed} of {KILLS} kills came within a training that went on from a checkpoint")
    assert resumed
    assert table(final.out) == table(result.out)
    assert mml_project.files("killed").keys() == mml_project.files("whole").keys()
    weights = [
        {path: sha for path, sha in mml_project.files(name).items() if path.endswith(".safetensors")}
        for name in ("killed", "whole")
    ]
    assert weights[0] == weights[1]
    assert len(weights[0]) == 15
