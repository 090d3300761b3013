"""Signals and errors end a run at any moment: its lock is free, its exit code tells, and it goes on."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable
from typing import Any

import pytest

from mml_core.scheduling.run_directory import RunDirectory
from mml_core.storage.leases import Lease

KINDS = ("computing", "sleeping", "joining", "swallowing", "delegating")
CODES = {signal.SIGTERM: 143, signal.SIGUSR1: 75, signal.SIGINT: 130}


def is_free(lab: Any) -> bool:
    """Whether the lock of the one run can be taken at once, and nothing of it is left."""
    (run,) = lab.project.runs()
    Lease.acquire(run / "lease", wait=False).release()
    return list(run.glob("lease*")) == []


PROCESSES = ("executor=processes", "executor.workers=1", "executor.preload=[]")


@pytest.mark.parametrize("options", [(), pytest.param(PROCESSES, marks=pytest.mark.long)])
def test_g12_a_signal_ends_every_kind_of_step_and_the_run_goes_on(lab: Any, options: tuple[str, ...]) -> None:
    """Steps that compute, sleep, join a thread, swallow exceptions or wait for a program are signalled."""
    for kind in KINDS:
        lab.mark(f"go-{kind}")
    assert lab.run(*KINDS, proj="whole").code == 0
    for kind in KINDS:
        (lab.marks / f"go-{kind}").unlink()
    process = lab.start(*KINDS, options=options)
    for number, kind in enumerate(KINDS):
        step = f"{kind}-{number}"
        lab.until(process, lambda step=step: lab.ran(step.partition("-")[0])[step] == 2)
        if kind == "delegating":
            lab.until(process, (lab.marks / "delegated").exists)
        signum = list(CODES)[number % 3]
        process.send_signal(signum)
        _, err = process.communicate(timeout=120)
        assert process.returncode == CODES[signum], (kind, err)
        assert ("Traceback" in err, "mml run --continue" in err) == (False, True), (kind, err)
        assert len(lab.records()) == number
        assert is_free(lab)
        lab.mark(f"go-{kind}")
        process = lab.process.start("run", "--continue")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert lab.ran(*KINDS) == {f"{kind}-{number}": 3 for number, kind in enumerate(KINDS)}
    assert lab.project.files() == lab.project.files("whole")
    assert lab.told() == lab.told("whole")


@pytest.mark.parametrize("moment", ["sealed:draw", "committed:draw", "inside:before_finishing_hook"])
def test_g12_a_signal_in_a_commit_waits_for_it_and_the_run_goes_on(lab: Any, moment: str) -> None:
    """A signal between a step's end and its publication ends the run after the commit, not within."""
    assert lab.run("draw", "draw", proj="whole").code == 0
    ended = lab.run("draw", "draw", env={"LAB_AT": f"SIGTERM@{moment}"})
    assert (ended.code, "mml run --continue" in ended.err) == (143, True), ended
    assert len(lab.records()) == (2 if "finishing" in moment else 1)
    assert is_free(lab)
    assert lab.go_on().code == 0
    assert lab.ran("draw") == {"draw-0": 2, "draw-1": 2}
    assert lab.project.files() == lab.project.files("whole")


def test_g11_an_error_in_init_leaves_no_lock_when_a_run_is_begun_or_continued(lab: Any) -> None:
    """Where ``__init__`` raises a new run leaves nothing, and one that was begun can be continued."""
    lab.mark("broken-init")
    ended = lab.run("draw")
    assert (ended.code, "broken before any step" in ended.err) == (1, True), ended
    assert lab.project.runs() == []
    (lab.marks / "broken-init").unlink()
    assert lab.run("draw", "fail_once").code == 1
    assert is_free(lab)
    lab.mark("broken-init")
    assert lab.go_on().code == 1
    assert is_free(lab)
    (lab.marks / "broken-init").unlink()
    lab.mark("mended")
    assert lab.go_on().code == 0
    assert lab.ran("draw") == {"draw-0": 1}


QUICK = ("trainer.max_epochs=2", "trainer.accelerator=cpu", "loader.batch_size=4", "tune.steps=20")
MODES = {
    "create": ("mode.num_folds=2", "mode.force=true"),
    "preprocess": ("preprocessing=size224",),
    "train": (*QUICK, "tune.lr=true", "preprocessing=none"),
}


def results(lab: Any, proj: str) -> dict[str, str]:
    """Files of a project, without the stored models, in which the time of training stands."""
    return {path: sha256 for path, sha256 in lab.project.files(proj).items() if "MODELS" not in path}


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_g12_a_signal_ends_every_kind_of_step_of_the_modes_that_ship(
    lab: Any, dots: str, mode: str, chance: random.Random, tell: Callable[[str], None]
) -> None:
    """SIGTERM or SIGUSR1 at a random moment in each kind of step of create, preprocess and train."""
    command = ("run", f"--mode={mode}", f"--tasks={dots}", *MODES[mode])
    whole = lab.process(*command, "--proj=whole")
    assert whole.code == 0, whole
    (run,) = lab.project.runs("whole")
    plan = RunDirectory(run).load_plan()
    assert plan is not None
    methods = list(dict.fromkeys(step.method for step in plan))
    codes = []
    for method in methods:
        shutil.rmtree(lab.project.data / "preprocessed", ignore_errors=True)
        signum = chance.choice([signal.SIGTERM, signal.SIGUSR1])
        env = {"LAB_AT": f"{signum.name}@during:{method}", "LAB_DELAY": str(chance.uniform(0, 0.02))}
        ended = lab.process(*command, f"--proj={method}", env=env)
        assert ended.code in (0, CODES[signum]), (method, ended)  # 0: the step was over, and the last one
        assert "Traceback" not in ended.err
        codes.append(ended.code)
        assert lab.go_on(proj=method).code == 0
        assert results(lab, method) == results(lab, "whole"), method
    assert set(codes) != {0}
    tell(f"{len(methods) - codes.count(0)} of {len(methods)} kinds of steps interrupted")
