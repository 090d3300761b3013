"""A plugin whose steps can be killed, stopped or signalled at a chosen moment, and what drives it."""

from __future__ import annotations

import os
import random
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

SOURCES = Path(__file__).parent / "lab"


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
    texts = {path.name: path.read_text() for path in SOURCES.glob("*.py")}
    inline_plugin("lab", texts.pop("plugin.py"), texts)
    yield Lab(mml_project, mml_process, marks)


@pytest.fixture
def tell(
    record_property: Callable[[str, object], None], request: pytest.FixtureRequest
) -> Callable[[str], None]:
    """Say in the summary of the session how many points or rounds a test has run."""
    return lambda line: record_property("crash_kit", f"{request.node.name}: {line}")


@pytest.fixture
def chance(tell: Callable[[str], None]) -> random.Random:
    """What a test chooses its points by; ``MML_CRASH_SEED`` repeats a choice."""
    seed = int(os.environ.get("MML_CRASH_SEED") or random.SystemRandom().randrange(10**6))
    tell(f"MML_CRASH_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def dots(lab: Lab) -> str:
    """Create the task ``dots`` of the plugin, and return its name."""
    from mml_core.plugins import PluginManager
    from mml_core.tasks.creation import create_task
    from mml_core.tasks.datasets import create_dataset

    plugins = PluginManager.discover()
    create_dataset(plugins.datasets.get("dots"), lab.project.data)
    create_task(plugins.tasks.get("dots"), lab.project.data)
    return "dots"
