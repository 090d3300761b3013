"""What every executor has to do, as tests to subclass.

In a plugin's tests, with ``pytest_plugins = ["mml_core.testing.fixtures"]``::

    from mml_core.testing.executors import ExecutorContract

    class TestSlurm(ExecutorContract):
        executor = "slurm"
        options = ("executor.partition=test",)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

if TYPE_CHECKING:
    from mml_core.scheduling.executors import Event, Executor
    from mml_core.scheduling.run_directory import RunDirectory
    from mml_core.testing.fixtures import InlinePlugins, MMLProject, ProcessRunner

_PLUGIN = """
from mml_core.plugins import SchedulerSpec, hookimpl

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="contract", target="mml_contract.scheduler:Contract", defaults={"marks": None})
"""
_SCHEDULER = """
import os, random, signal, time
from pathlib import Path
from mml_core.api import AbstractBaseScheduler

class Contract(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=["fail", "die", "draw", "wait"])

    def create_routine(self):
        for subroutine in self.subroutines:
            for number in range(3):
                self.add_step(subroutine, number, after=())

    def draw(self, number):
        return random.random()

    def fail(self, number):
        raise ValueError(f"failure {number}")

    def die(self, number):
        os.kill(os.getpid(), signal.SIGKILL)

    def wait(self, number):
        (Path(self.cfg.mode.marks) / f"{number}").write_text(str(os.getpid()))
        time.sleep(600)

    def before_finishing_hook(self):
        self.return_value = {step: self.results[step] for step in self.results}
"""


class Contracted:
    """A run whose steps an executor is to do, and the executor.

    Args:
        run: The run's directory.
        executor: The executor.
        marks: Where waiting steps say that they have begun.
    """

    def __init__(self, run: RunDirectory, executor: Executor, marks: Path) -> None:
        self.run = run
        self.executor = executor
        self.marks = marks

    def start(self, method: str, number: int = 0) -> tuple[str, Any]:
        """Start a step and return its id and handle."""
        from mml_core.scheduling.plan import step_id

        step = step_id(method, [number])
        return step, self.executor.start(self.run.path, step, {"threads": 1})

    def events(self, until: Callable[[list[Event]], bool], seconds: float = 120) -> list[Event]:
        """Poll until enough has happened."""
        found: list[Event] = []
        deadline = time.monotonic() + seconds
        while not until(found):
            assert time.monotonic() < deadline, f"nothing more than {found} in {seconds} s"
            found += self.executor.poll()
        return found


class ExecutorContract:
    """Tests of one executor; it works on a real run with real workers.

    Attributes:
        executor: Its name.
        options: Overrides that it needs.
    """

    executor: ClassVar[str]
    options: ClassVar[Sequence[str]] = ()

    @pytest.fixture
    def contracted(
        self,
        inline_plugin: InlinePlugins,
        mml_project: MMLProject,
        mml_process: ProcessRunner,
        tmp_path: Path,
    ) -> Iterator[Contracted]:
        """Begin a run that others may work on, and make its executor."""
        from mml_core.plugins.refs import load_ref
        from mml_core.scheduling.opening import open_run
        from mml_core.scheduling.run_directory import RunDirectory

        plugins = inline_plugin("contract", _PLUGIN, {"scheduler.py": _SCHEDULER})
        marks = tmp_path / "marks"
        marks.mkdir()
        begun = mml_process("run", *self._command("all", marks), *self._chosen())
        assert begun.code == 1, begun
        (path,) = mml_project.runs("contract")
        run = RunDirectory(path)
        run.forget_failures()
        spec = plugins.executors.get(self.executor)
        executor = load_ref(spec.target)(open_run(path).cfg)
        try:
            yield Contracted(run, executor, marks)
        finally:
            executor.close()

    @staticmethod
    def _command(subroutines: str, marks: Path, project: str = "contract") -> tuple[str, ...]:
        mode = ("--mode=contract", f"mode.subroutines=[{subroutines}]", f"mode.marks={marks}")
        return (*mode, "--proj", project)

    def test_a_step_that_is_started_is_committed(self, contracted: Contracted) -> None:
        """Its event comes, and its record is there."""
        step, _ = contracted.start("draw", 1)
        (event,) = contracted.events(bool)
        assert event.step_id == step
        assert (contracted.run.steps_path / f"{step}.json").exists()

    def test_a_failure_is_noted_in_the_run(self, contracted: Contracted) -> None:
        """Its event comes, and the run directory says why."""
        step, _ = contracted.start("fail", 1)
        (event,) = contracted.events(bool)
        assert event.step_id == step
        failure = event.failure or contracted.run.failure(step)
        assert failure is not None
        assert "failure 1" in failure.error

    def test_the_death_of_a_worker_is_told(self, contracted: Contracted) -> None:
        """Its event comes though the worker could say nothing any more."""
        step, _ = contracted.start("die", 0)
        (event,) = contracted.events(bool)
        assert event.step_id == step
        assert event.how
        assert contracted.run.failure(step) is None
        assert not (contracted.run.steps_path / f"{step}.json").exists()

    def test_poll_returns_soon_though_nothing_ends(self, contracted: Contracted) -> None:
        """The process that drives the run has to look at other things, too."""
        contracted.start("wait", 0)
        began = time.monotonic()
        assert contracted.executor.poll() == []
        assert time.monotonic() - began < 5

    def test_a_step_that_was_taken_back_gives_no_event(self, contracted: Contracted) -> None:
        """Cancel says whether the step had begun; if not, it never does."""
        handles = [contracted.start("draw", number) for number in range(3)]
        taken_back = {step for step, handle in reversed(handles) if contracted.executor.cancel(handle)}
        expected = {step for step, _ in handles} - taken_back
        ended = contracted.events(lambda found: {event.step_id for event in found} >= expected)
        assert {event.step_id for event in ended} == expected
        for step in taken_back:
            assert not (contracted.run.steps_path / f"{step}.json").exists()

    def test_close_leaves_no_worker(self, contracted: Contracted) -> None:
        """Nobody holds a step any more when it returns."""
        from mml_core.scheduling.claims import StepClaims

        step, _ = contracted.start("wait", 1)
        while not (contracted.marks / "1").exists():
            contracted.executor.poll()
        contracted.executor.close()
        assert not StepClaims(contracted.run.claims_path).is_live(step)

    def test_a_run_has_the_results_of_a_sequential_one(
        self, contracted: Contracted, mml_process: ProcessRunner, mml_project: MMLProject
    ) -> None:
        """The same return value, to the last bit."""
        from mml_core.scheduling.run_directory import RunDirectory

        told = []
        for project, chosen in (("one", ("executor=sequential",)), ("many", self._chosen())):
            ended = mml_process("run", *self._command("draw", contracted.marks, project), *chosen)
            assert ended.code == 0, ended
            done = RunDirectory(mml_project.runs(project)[0]).done()
            assert done is not None
            told.append(bytes(done.return_value))
        assert told[0] == told[1]

    def _chosen(self) -> tuple[str, ...]:
        return (f"executor={self.executor}", *self.options)
