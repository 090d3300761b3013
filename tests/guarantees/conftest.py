"""A plugin whose steps can be killed, stopped or signalled at a chosen moment, and what drives it."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mml_core.scheduling import values
from mml_core.scheduling.run_directory import RunDirectory

if TYPE_CHECKING:
    from mml_core.testing.fixtures import InlinePlugins, MMLProject, ProcessRunner, Result

PLUGIN = """
import os, signal, socket
from mml_core.plugins import hookimpl, SchedulerSpec, PathAssignment

if os.environ.get("LAB_HOST"):  # this process believes itself to be on another machine
    socket.gethostname = lambda: os.environ["LAB_HOST"]

def at(where, step):
    '''Do to this process what LAB_AT says: SIGNAL@WHERE:METHOD, once for each process.'''
    if os.environ.get("LAB_AT", "").partition("@")[2] == f"{where}:{step}":
        number = getattr(signal, os.environ.pop("LAB_AT").partition("@")[0])
        os.kill(os.getpid(), number)

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="lab", target="mml_lab.scheduler:Lab", defaults={"steps": [], "value": 0})

@hookimpl
def mml_path_assignments():
    yield PathAssignment(key="drawn", path="PROJ_PATH/DRAWN/TASK_NAME/drawn.txt", reusable=True)
    yield PathAssignment(key="last", path="PROJ_PATH/LAST/last.txt", numbered=False)

@hookimpl
def mml_step_started(scheduler, step):
    at("before", step.name)

@hookimpl
def mml_step_finished(scheduler, step, outcome):
    at("after", step.name)

@hookimpl
def mml_scheduler_created(scheduler):
    from mml_core.scheduling import worker
    from mml_core.scheduling.ledger import Ledger
    publish, commit = scheduler.fm.publish, Ledger.commit
    def publishing(artefacts, folder, **more):
        at("committed", more["step"].partition("-")[0])
        publish(artefacts, folder, **more)
    def committing(ledger, position, record, folder):
        at("sealed", record.method)
        return commit(ledger, position, record, folder)
    scheduler.fm.publish, Ledger.commit = publishing, committing
"""

SCHEDULER = """
import os, random, subprocess, sys, threading, time
from pathlib import Path
from mml_core.api import AbstractBaseScheduler
from mml_lab.plugin import at

MARKS = Path(os.environ["LAB_MARKS"])

class Lab(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])
        if (MARKS / "broken-init").exists():
            raise RuntimeError("broken before any step")

    def create_routine(self):
        for number, method in enumerate(self.cfg.mode.steps):
            self.add_step(method, number, after=() if method in ("free", "wait") else None)

    def mark(self, what, number=0):
        with (MARKS / what).open("a") as file:
            file.write(f"{what}-{number} {os.getpid()}\\n")

    def save(self, key, text, **names):
        path = self.fm.construct_saving_path(None, key, **names)
        path.write_text(text)
        return path

    def draw(self, number):
        self.mark("draw", number)
        drawn = str(random.random())
        path = self.save("drawn", drawn, task_name=f"a:{number}\\n../b")
        self.save("last", drawn)
        at("inside", "draw")
        return {"drawn": drawn, "path": path}

    def free(self, number):
        self.mark("free", number)
        path = self.save("drawn", str(number), task_name="free")
        at("inside", "free")
        return number

    def wait(self, number):
        self.mark("wait", number)
        self.save("drawn", f"waited by {os.environ.get('LAB_NAME', 'nobody')}", task_name="wait")
        at("inside", "wait")
        while not (MARKS / "go").exists():
            time.sleep(0.01)
        return number

    def fail_once(self, number):
        self.mark("fail_once", number)
        if not (MARKS / "mended").exists():
            raise ValueError("not yet")

    def scratch(self, number):
        self.mark("scratch", number)
        return {"scratch": self.save("temp", self.fm.layout.run, file_name="notes.txt")}

    def reread(self, number):
        self.mark("reread", number)
        found = [Path(self.results[step]["scratch"]) for step in self.results if "scratch-" in step]
        return [path.read_text() == self.fm.layout.run for path in found]

    # one method for each way in which a step can spend its time

    def _spend(self, kind, number):
        self.mark(kind, number)
        self.save("drawn", f"{kind} {random.random()}", task_name=kind)
        return MARKS / f"go-{kind}"

    def computing(self, number):
        go = self._spend("computing", number)
        while not go.exists():
            sum(range(100_000))
        return number

    def sleeping(self, number):
        go = self._spend("sleeping", number)
        while not go.exists():
            time.sleep(3600)
        return number

    def joining(self, number):
        go = self._spend("joining", number)
        if not go.exists():
            thread = threading.Thread(target=time.sleep, args=(3600,), daemon=True)
            thread.start()
            thread.join()
        return number

    def swallowing(self, number):
        go = self._spend("swallowing", number)
        while not go.exists():
            try:
                time.sleep(3600)
            except BaseException:
                break
        return number

    def delegating(self, number):
        go = self._spend("delegating", number)
        if not go.exists():
            subprocess.run(["sleep", "3600"], check=True)
        return number

    def before_finishing_hook(self):
        self.mark("before_finishing_hook")
        at("inside", "before_finishing_hook")
        self.return_value = {step: self.results[step] for step in self.results}
"""


class Lab:
    """Runs the mode ``lab`` in real processes, and tells what its steps did.

    Attributes:
        project: The places of the test.
        process: Runs ``mml``.
        marks: The folder in which steps leave marks and wait for some.
    """

    def __init__(self, project: MMLProject, process: ProcessRunner, marks: Path) -> None:
        self.project = project
        self.process = process
        self.marks = marks

    @staticmethod
    def arguments(*steps: str, proj: str = "default", options: tuple[str, ...] = ()) -> tuple[str, ...]:
        return ("run", "--mode=lab", f"mode.steps=[{','.join(steps)}]", f"--proj={proj}", *options)

    def run(self, *steps: str, env: Mapping[str, str] | None = None, **more: Any) -> Result:
        return self.process(*self.arguments(*steps, **more), env=env)

    def start(self, *steps: str, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
        return self.process.start(*self.arguments(*steps, **more), env=env)

    def go_on(self, *options: str, proj: str = "default", env: Mapping[str, str] | None = None) -> Result:
        return self.process("run", "--continue", f"--proj={proj}", *options, env=env)

    def mark(self, name: str) -> None:
        """Leave a mark that steps wait for."""
        (self.marks / name).touch()

    def ran(self, *methods: str) -> Counter[str]:
        """How often each step of some methods was begun: ``method-number`` to times."""
        return Counter(name for method in methods for name, _ in self.marked(method))

    def marked(self, method: str) -> list[tuple[str, int]]:
        """``method-number`` and process of each time a method was called."""
        path = self.marks / method
        lines = path.read_text().splitlines() if path.exists() else []
        return [(name, int(pid)) for name, pid in map(str.split, lines)]

    def until(self, process: subprocess.Popen[str], seen: Callable[[], object]) -> None:
        """Wait until something is seen that the process brings about."""
        while not seen():
            assert process.poll() is None, process.communicate()

    def until_stopped(self, process: subprocess.Popen[str]) -> None:
        """Wait until the process is stopped by SIGSTOP."""
        found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert found is not None
        assert found.si_code == os.CLD_STOPPED, process.communicate()

    def told(self, proj: str = "default") -> Any:
        """What the one run of a project returned, without the project's place."""
        (run,) = self.project.runs(proj)
        done = RunDirectory(run).done()
        assert done is not None
        return eval(repr(values.decode(done.return_value)).replace(str(self.project.path(proj)), "PROJ"))

    def records(self, proj: str = "default") -> list[Path]:
        """The commit records of the one run of a project."""
        (run,) = self.project.runs(proj)
        return sorted((run / "steps").glob("*.json"))

    def contents(self, proj: str = "default") -> dict[str, str]:
        """What the project shows: path to text."""
        root = self.project.path(proj)
        return {name: (root / name).read_text() for name in self.project.files(proj)}


@pytest.fixture
def lab(
    inline_plugin: InlinePlugins,
    mml_project: MMLProject,
    mml_process: ProcessRunner,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Lab]:
    """Install the plugin."""
    marks = mml_project.root / "marks"
    marks.mkdir()
    monkeypatch.setenv("LAB_MARKS", str(marks))
    inline_plugin("lab", PLUGIN, {"scheduler.py": SCHEDULER})
    yield Lab(mml_project, mml_process, marks)
