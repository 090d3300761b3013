"""The mode train, its process really killed or asked to stop in the midst of a training, ends the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mml_core.testing.fixtures import MMLProject, ProcessRunner

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
import os
from mml_core.plugins import hookimpl

@hookimpl
def mml_trainer_callbacks(scheduler, task):
    if "STOP" not in os.environ:
        return []
    from mml_stopper.callback import Stopper
    return [Stopper(scheduler, os.environ["STOP"], os.environ["STOPPED"])]
"""
CALLBACK = """
import multiprocessing, os, signal, time
from pathlib import Path
from lightning.pytorch import Callback

class Stopper(Callback):
    def __init__(self, scheduler, name, mark):
        self.guard, self.signum, self.mark = scheduler._scope.guard, signal.Signals[name], Path(mark)

    def on_train_batch_start(self, trainer, *args):
        if trainer.fit_loop.total_batch_idx != 4 or self.mark.exists():
            return
        self.mark.touch()
        driver = multiprocessing.parent_process()
        killed = self.signum == signal.SIGKILL or driver is None
        os.kill(os.getpid() if killed else driver.pid, self.signum)
        end = time.monotonic() + 60
        while not self.guard.requested and time.monotonic() < end:
            time.sleep(0.01)
"""
TRAIN = [
    *("run", "--mode=train", "--tasks=tiny", "trainer.max_epochs=3", "trainer.accelerator=cpu"),
    *("preprocessing=none", "loader.batch_size=8", "mode.folds=1", "augmentations=light"),
    "callbacks.checkpoint.every_n_batches=3",
]
OTHERWISE = ["executor=sequential", "callbacks.checkpoint.every_n_batches=1"]
PROCESSES = ["executor=processes", "executor.workers=1"]


def left(project: MMLProject, name: str) -> dict[str, Any]:
    """All that a run left but times and its own name."""
    files = project.files(name)
    models = [path for path in files if path.startswith("MODELS/")]
    told = {path: json.loads((project.path(name) / path).read_text()) for path in models}
    for model in told.values():
        for key in ("training_time", "created", "run"):
            del model[key]
    (run,) = project.runs(name)
    records = [json.loads(path.read_text())["body"] for path in sorted((run / "steps").glob("*.json"))]
    values = json.dumps([record["value"] for record in records]).replace(str(project.path(name)), "")
    return {**{path: sha for path, sha in files.items() if path not in told}, **told, "values": values}


@pytest.mark.parametrize(
    ("signum", "code", "resumed", "options"),
    [
        ("SIGKILL", -9, 3, []),
        ("SIGTERM", 143, 5, []),
        pytest.param("SIGUSR1", 75, 5, ["loader.num_workers=2"], marks=pytest.mark.long),
        pytest.param("SIGKILL", 0, 3, PROCESSES, marks=pytest.mark.long),
        pytest.param("SIGTERM", 143, 5, PROCESSES, marks=pytest.mark.long),
    ],
)
def test_g02_a_training_that_is_stopped_goes_on_within_the_epoch(
    signum: str,
    code: int,
    resumed: int,
    options: list[str],
    mml: Any,
    mml_process: ProcessRunner,
    mml_project: MMLProject,
    inline_plugin: Any,
    install_task: Any,
    tmp_path: Path,
) -> None:
    inline_plugin("stopper", PLUGIN, {"callback.py": CALLBACK})
    install_task(mml_project.data, "tiny")
    assert mml(*TRAIN, "--proj", "whole").code == 0
    stop = {"STOP": signum, "STOPPED": str(tmp_path / "stopped")}
    stopped = mml_process(*TRAIN, "--proj", "stopped", *options, env=stop)
    assert stopped.code == code, stopped.err
    assert "SIGTERM:" not in stopped.err
    if code:
        done = mml("run", "--continue", "--proj", "stopped", *OTHERWISE)
        assert done.code == 0, done.err
    (run,) = mml_project.runs("stopped")
    (line,) = [line for line in (run / "log.txt").read_text().splitlines() if "goes on from" in line]
    assert line.endswith(f"batch-{resumed:09d}.ckpt")
    assert left(mml_project, "stopped") == left(mml_project, "whole")
    assert not list(mml_project.path("stopped").rglob("*.ckpt"))
