"""Steps in worker processes: the results of sequential steps, whoever is killed, and pilots that join."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from mml_core.files.artefacts import ArtefactStore
from mml_core.scheduling import values
from mml_core.scheduling.attempts import unpublished
from mml_core.scheduling.claims import StepClaims
from mml_core.scheduling.driver import DEATHS
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.resources import Machine, ResourceError, visible_gpus
from mml_core.scheduling.run_directory import RunDirectory

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
from mml_core.plugins import *
from mml_core.plugins import hookimpl

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="crowd", target="mml_crowd.scheduler:Crowd", defaults={"plan": [], "marks": 0})

@hookimpl
def mml_path_assignments():
    yield PathAssignment(key="drawn", path="PROJ_PATH/DRAWN/TASK_NAME/FILE_NAME")
"""
SCHEDULER = """
import os, random, signal, subprocess, time
from pathlib import Path
from mml_core.api import AbstractBaseScheduler

class Crowd(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])
        self.marks = Path(cfg.mode.marks)

    def create_routine(self):
        for number, method in enumerate(self.cfg.mode.plan):
            resources = {"gpus": 0} if method == "see_none" else None
            self.add_step(method, number, after=() if method != "tell" else None, resources=resources)

    def see_gpus(self, number):
        return os.environ["CUDA_VISIBLE_DEVICES"]

    see_none = see_gpus

    def mark(self, what, number):
        with (self.marks / what).open("a") as file:
            file.write(f"{number} {os.getpid()}\\n")

    def draw(self, number):
        self.mark("draw", number)
        path = self.fm.construct_saving_path(None, "drawn", "t", f"{number}.txt")
        path.write_text(str(random.random()))
        return {"drawn": random.random(), "path": path}

    def die_once(self, number):
        self.mark("die", number)
        if len((self.marks / "die").read_text().splitlines()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.draw(number)

    def start_program(self, number):
        first = not (self.marks / "program").exists()
        if first:
            subprocess.Popen(["sleep", "600"])
        self.mark("program", number)
        return first

    def leave_program(self, number):
        if self.start_program(number):
            os.kill(os.getpid(), signal.SIGKILL)

    def wait_with_program(self, number):
        self.start_program(number)
        return self.wait(number)

    def always_die(self, number):
        self.mark("die", number)
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(self, number):
        self.mark("fail", number)
        raise ValueError("on purpose")

    def wait(self, number):
        self.mark("wait", number)
        while not (self.marks / "go").exists():
            time.sleep(0.01)
        return number

    def tell(self, number):
        return [self.results[step]["drawn"] for step in self.results]

    def before_finishing_hook(self):
        self.return_value = {step: self.results[step] for step in self.results}
"""


class Crowd:
    """A project of its own for each executor, over the same plan."""

    def __init__(self, project: Any, process: Any, marks: Path) -> None:
        self.project = project
        self.process = process
        self.marks = marks

    def arguments(self, *plan: str, proj: str = "default", options: tuple[str, ...] = ()) -> list[str]:
        chosen = ("executor=processes", "executor.workers=2", "executor.preload=[]")
        return [
            *("run", "--mode=crowd", f"mode.plan=[{','.join(plan)}]", f"mode.marks={self.marks}"),
            *(f"--proj={proj}", *(options or chosen)),
        ]

    def run(self, *plan: str, **more: Any) -> Any:
        return self.process(*self.arguments(*plan, **more))

    def start(self, *plan: str, **more: Any) -> Any:
        return self.process.start(*self.arguments(*plan, **more))

    def marked(self, what: str) -> list[tuple[int, int]]:
        """Numbers of steps and the processes they ran in."""
        path = self.marks / what
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(number), int(pid)) for number, pid in map(str.split, lines)]

    def until(self, process: Any, done: Callable[[], bool]) -> None:
        while not done():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)

    def told(self, proj: str = "default") -> str:
        (run,) = self.project.runs(proj)
        done = RunDirectory(run).done()
        assert done is not None
        return repr(values.decode(done.return_value)).replace(str(self.project.path(proj)), "PROJ")


@pytest.fixture
def crowd(inline_plugin: Any, mml_project: Any, mml_process: Any) -> Crowd:
    inline_plugin("crowd", PLUGIN, {"scheduler.py": SCHEDULER})
    marks = mml_project.root / "marks"
    marks.mkdir()
    return Crowd(mml_project, mml_process, marks)


def test_g02_steps_in_processes_have_the_results_of_sequential_ones(crowd: Crowd) -> None:
    plan = ("draw", "draw", "tell", "draw", "draw")
    assert crowd.run(*plan, proj="one", options=("executor=sequential",)).code == 0
    assert len({pid for _, pid in crowd.marked("draw")}) == 1
    ended = crowd.run(*plan, proj="many")
    assert ended.code == 0, ended
    assert len({pid for _, pid in crowd.marked("draw")[4:]}) == 4  # a fresh process each
    strip = lambda text: {line.split("_")[0] for line in text.split("'")}  # noqa: E731 (numbers tell the order)
    assert strip(crowd.told("many")) == strip(crowd.told("one"))
    contents = [sorted(crowd.project.files(proj).values()) for proj in ("one", "many")]
    assert contents[0] == contents[1]


def test_g01_a_worker_that_is_killed_is_reported_and_its_step_done_again(crowd: Crowd) -> None:
    ended = crowd.run("die_once", "draw")
    assert ended.code == 0, ended
    assert "die_once(0) was killed by SIGKILL" in ended.err
    assert len(crowd.marked("die")) == 2


def test_a_step_whose_workers_always_die_fails_and_the_others_are_kept(crowd: Crowd) -> None:
    ended = crowd.run("draw", "always_die")
    assert ended.code == 1
    assert (
        f"always_die(1) failed: its worker was killed by SIGKILL (out of memory?) ({DEATHS} times)"
        in ended.err
    )
    assert len(crowd.marked("die")) == DEATHS
    assert "1 of 3 steps are done" in ended.err


def test_a_failure_in_a_worker_is_that_of_the_run(crowd: Crowd, mml_process: Any) -> None:
    options = ("executor=processes", "executor.preload=[]", "on_error=continue", "retries=1")
    ended = crowd.run("fail", "draw", options=options)
    assert ended.code == 1
    assert "fail(0) failed: ValueError: on purpose (1 of 3 steps are done)" in ended.err
    assert len(crowd.marked("fail")) == 2
    assert "on purpose" in mml_process("runs", "list").out


def test_g08_a_killed_driver_takes_its_workers_along_and_the_run_goes_on_at_once(crowd: Crowd) -> None:
    process = crowd.start("wait", "wait", "draw")
    crowd.until(process, lambda: len(crowd.marked("wait")) == 2)
    process.kill()
    process.communicate()
    (crowd.marks / "go").touch()
    goes_on = crowd.process("run", "--continue")
    assert goes_on.code == 0, goes_on
    assert Counter(number for number, _ in crowd.marked("wait")) == {0: 2, 1: 2}
    assert Counter(number for number, _ in crowd.marked("draw")) == {2: 1}


def test_a_program_that_a_step_has_started_ends_with_its_killed_worker(crowd: Crowd) -> None:
    """A program that lived on would hold the pipes open, and the command would not end for its reader."""
    ended = crowd.run("leave_program", "draw")
    assert ended.code == 0, ended
    assert len(crowd.marked("program")) == 2


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=lambda signum: signum.name)
def test_programs_of_steps_end_with_the_process_that_drives_the_run(
    crowd: Crowd, signum: signal.Signals
) -> None:
    """However it ends: killed, or told to stop with no time for its workers to do so by themselves."""
    options = ("executor=processes", "executor.preload=[]", "executor.grace=0")
    process = crowd.start("wait_with_program", options=options)
    crowd.until(process, lambda: bool(crowd.marked("wait")))
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (-signum, 143), err
    (crowd.marks / "go").touch()
    assert crowd.process("run", "--continue").code == 0


def test_workers_are_suspended_and_go_on_with_the_process_that_drives_the_run(crowd: Crowd) -> None:
    """As Ctrl-Z does, and ``fg``."""
    process = crowd.start("wait", options=("executor=processes", "executor.preload=[]"))
    crowd.until(process, lambda: bool(crowd.marked("wait")))
    ((_, worker),) = crowd.marked("wait")
    process.send_signal(signal.SIGTSTP)
    os.waitpid(process.pid, os.WUNTRACED)
    assert psutil.Process(worker).status() == psutil.STATUS_STOPPED
    process.send_signal(signal.SIGCONT)
    (crowd.marks / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_g12_a_signal_ends_the_workers_and_the_run_can_be_continued(
    crowd: Crowd, signum: signal.Signals, code: int
) -> None:
    process = crowd.start("wait", "draw")
    crowd.until(process, lambda: bool(crowd.marked("wait") and crowd.marked("draw")))
    process.send_signal(signum)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "mml run --continue" in err
    ((_, worker),) = crowd.marked("wait")
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    (crowd.marks / "go").touch()
    assert crowd.process("run", "--continue", "executor=sequential").code == 0


def test_a_pilot_joins_a_run_and_leaves_when_nothing_is_left(crowd: Crowd) -> None:
    options = ("executor=processes", "executor.workers=1", "executor.preload=[]")
    process = crowd.start("wait", "draw", "draw", options=options)
    crowd.until(process, lambda: bool(crowd.marked("wait")))
    (run,) = crowd.project.runs()
    pilot = crowd.process("work", run.name)
    assert pilot.code == 0, pilot
    assert "3 of 4 steps are done" in pilot.out or "2 of 4 steps are done" in pilot.out
    assert len(crowd.marked("draw")) == 2
    (crowd.marks / "go").touch()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    assert len(crowd.marked("draw")) == 2
    assert len(crowd.marked("wait")) == 1


def test_a_pilot_finishes_a_run_that_nobody_drives(crowd: Crowd) -> None:
    process = crowd.start("wait", "draw")
    crowd.until(process, lambda: bool(crowd.marked("wait")))
    process.kill()
    process.communicate()
    (crowd.marks / "go").touch()
    (run,) = crowd.project.runs()
    assert crowd.process("work", run.name).code == 0
    assert RunDirectory(run).done() is not None


@pytest.fixture
def unpublished_step(crowd: Crowd) -> tuple[RunDirectory, str]:
    """A run that waits for ``go``, whose workers were killed, one between its commit and its publication."""
    process = crowd.start("wait", "draw")
    crowd.until(process, lambda: bool(crowd.marked("wait") and crowd.marked("draw")))
    run = RunDirectory(crowd.project.runs()[0])
    ledger = Ledger(run.load_plan(), run.steps_path)
    crowd.until(process, lambda: bool(ledger.refresh()))
    ((_, record),) = ledger.records()
    crowd.until(process, lambda: record.step not in unpublished(run.attempts_path))
    process.kill()
    process.communicate()
    (artefact,) = record.artefacts
    attempt = run.attempts_path / f"{record.step}.1"
    (attempt / artefact.source).parent.mkdir(parents=True)
    (crowd.project.path() / artefact.path).rename(attempt / artefact.source)
    ArtefactStore(crowd.project.path()).live_path(artefact).unlink()
    (crowd.marks / "go").touch()
    return run, record.step


@pytest.mark.parametrize(
    "command", [("work",), ("run", "--continue"), ("run", "--continue", "executor=sequential")], ids=" ".join
)
def test_g02_a_committed_file_is_put_in_place_before_another_step_looks_for_it(
    crowd: Crowd, unpublished_step: tuple[RunDirectory, str], command: tuple[str, ...]
) -> None:
    run, _ = unpublished_step
    ended = crowd.process(*command, *([run.id] if command == ("work",) else []))
    assert ended.code == 0, ended
    assert run.done() is not None
    assert len(crowd.marked("draw")) == 1


def test_g02_a_step_that_another_process_publishes_is_waited_for(
    crowd: Crowd, unpublished_step: tuple[RunDirectory, str]
) -> None:
    run, step = unpublished_step
    with StepClaims(run.claims_path).take(step):  # type: ignore[union-attr]
        left = crowd.process("work", run.id)
        assert (left.code, run.done()) == (0, None), left
        assert "2 of 3 steps are done" in left.out
        goes_on = crowd.process.start("run", "--continue")
        ledger = Ledger(run.load_plan(), run.steps_path)
        crowd.until(goes_on, lambda: len(ledger.refresh()) == 0 and len(ledger) == 2)
        assert (goes_on.poll(), run.done()) == (None, None)
    out, err = goes_on.communicate(timeout=60)
    assert goes_on.returncode == 0, (out, err)
    assert len(crowd.marked("draw")) == 1


def test_a_pilot_is_refused_where_one_process_drives_alone(crowd: Crowd) -> None:
    process = crowd.start("wait", options=("executor=sequential",))
    crowd.until(process, lambda: bool(crowd.marked("wait")))
    (run,) = crowd.project.runs()
    refused = crowd.process("work", run.name)
    assert (refused.code, f"pid {process.pid}" in refused.err) == (3, True), refused
    process.kill()
    process.communicate()


def test_g01_one_step_is_done_by_name(crowd: Crowd) -> None:
    assert crowd.run("fail", "draw", options=("on_error=continue",)).code == 1
    (run,) = crowd.project.runs()
    assert crowd.process("work", run.name, "--step", "draw-1").code == 2
    (step,) = (path.stem for path in (run / "steps").iterdir())
    assert crowd.process("work", run.name, "--step", step).code == 0
    assert len(crowd.marked("draw")) == 1  # a committed step never runs again


def test_steps_take_turns_where_the_machine_has_not_enough() -> None:
    machine = Machine(cpus=4, memory=16, gpus=("0", "1"))
    first = machine.take({"cpus": 1, "gpus": 1, "memory": 10})
    assert first is not None
    assert first.gpus == ("0",)
    assert machine.take({"memory": 10}) is None
    second = machine.take({"gpus": 1})
    assert second is not None
    assert second.gpus == ("1",)
    assert machine.take({"gpus": 1}) is None
    machine.give_back(first)
    again = machine.take({"gpus": 4, "cpus": 100})
    assert again is None  # it needs all, and is given all once all is free
    machine.give_back(second)
    everything = machine.take({"gpus": 4, "cpus": 100})
    assert everything is not None
    assert everything.gpus == ("0", "1")


def test_a_step_that_says_nothing_of_gpus_sees_one_as_it_would_in_the_process_of_the_run() -> None:
    machine = Machine(cpus=4, memory=16, gpus=("0", "1"))
    shares = [machine.take({"threads": 1}), machine.take({"gpus": 0}), machine.take({"threads": 1})]
    assert [share.gpus for share in shares if share is not None] == [("0",), (), ("1",)]
    assert machine.take({"threads": 1}) is None


def test_a_worker_is_shown_its_own_gpu(crowd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f")
    assert crowd.run("see_gpus", "see_gpus", "see_none").code == 0
    (run,) = crowd.project.runs()
    seen = [json.loads(path.read_text())["body"]["value"] for path in (run / "steps").glob("see*")]
    assert sorted(seen) == ["", "GPU-8f", "GPU-8f"]


@pytest.mark.parametrize(
    ("named", "seen"), [("", ()), ("-1", ()), ("1, GPU-8f", ("1", "GPU-8f")), ("2,-1,0", ("2",))]
)
def test_gpus_are_those_that_cuda_would_show(
    monkeypatch: pytest.MonkeyPatch, named: str, seen: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == seen


def test_a_library_that_cannot_be_preloaded_is_one_line_and_the_run_goes_on_without(
    crowd: Any, mml_project: Any
) -> None:
    (mml_project.site / "broken_library.py").write_text("raise RuntimeError('no such operator')")
    ended = crowd.run("draw", options=("executor=processes", "executor.preload=[broken_library]"))
    assert ended.code == 2
    assert "mml: The process that workers are forked from has ended" in ended.err
    assert "executor.preload=[broken_library]" in ended.err.splitlines()[-1]
    assert crowd.process("run", "--continue", "executor.preload=[]").code == 0


def test_a_step_that_asks_for_a_gpu_runs_where_there_is_none() -> None:
    share = Machine(cpus=1, memory=1, gpus=()).take({"gpus": 1, "threads": 1})
    assert share is not None
    assert share.gpus == ()


@pytest.mark.parametrize("key", ["cpus", "gpus", "memory"])
def test_what_makes_no_sense_is_refused(key: str) -> None:
    with pytest.raises(ResourceError, match=rf"executor\.{key}"):
        Machine.of({key: -1}, 1)
