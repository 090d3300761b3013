"""Fixtures for tests of plugins; opt in by ``pytest_plugins = ["mml_core.testing.fixtures"]``.

``mml_project`` gives a test its own data and results folder, ``plugin_manager`` a manager that discovers
nothing, ``inline_plugin`` installs a plugin from text, ``fake_distribution`` any distribution, ``mml`` runs
the command in this process, ``mml_process`` as a process of its own, ``mml_config`` composes a config,
``tiny_task`` creates a tiny task of any type, and ``file_manager`` opens a file manager in a ``with`` block.
``docs/testing.md`` has an example of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mml_core.testing.installing import FakeDistributions as FakeDistributions
from mml_core.testing.installing import InlinePlugins as InlinePlugins

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mml_core.files.manager import MMLFileManager
    from mml_core.plugins import PluginManager
    from mml_core.tasks.description import TaskDescription

_COMMAND = "import sys; from mml_core.cli.main import main; sys.exit(main())"


@dataclass(frozen=True)
class MMLProject:
    """The places of one test.

    Attributes:
        root: The test's folder.
        data: The data folder.
        results: The folder of all projects.
        site: On the search path of this process and of those it starts; plugins are installed here.
    """

    root: Path
    data: Path
    results: Path
    site: Path

    def path(self, project: str = "default") -> Path:
        """The folder of a project."""
        return self.results / project

    def runs(self, project: str = "default") -> list[Path]:
        """The run directories of a project, oldest first."""
        folder = self.path(project) / "runs"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def files(self, project: str = "default") -> dict[str, str]:
        """What a project's runs have published: path relative to the project → sha256.

        Mml's own files (``.mml``, ``runs``) are left out.
        """
        from mml_core.storage.hashing import sha256_file

        root = self.path(project)
        return {
            path.relative_to(root).as_posix(): sha256_file(path)
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.relative_to(root).parts[0] not in (".mml", "runs", "sweeps")
        }


@dataclass(frozen=True)
class Result:
    """How a command ended.

    Attributes:
        code: Its exit code; negative: the signal that ended the process.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
    """

    code: int
    out: str
    err: str


@pytest.fixture
def mml_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MMLProject:
    """Give the test places of its own, for this process and those it starts."""
    project = MMLProject(tmp_path, tmp_path / "data", tmp_path / "results", tmp_path / "site")
    work = tmp_path / "work"
    for folder in (project.site, work):
        folder.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("MML_DATA_PATH", str(project.data))
    monkeypatch.setenv("MML_RESULTS_PATH", str(project.results))
    monkeypatch.syspath_prepend(str(project.site))
    known = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project.site), *([known] if known else [])]))
    return project


@pytest.fixture
def plugin_manager() -> PluginManager:
    """Give a plugin manager with what mml itself contributes, whatever else is installed.

    ``plugin_manager.register(plugin, "name")`` adds a module, or an object with hook implementations.
    """
    from mml_core.plugins import PluginManager

    return PluginManager()


@pytest.fixture
def fake_distribution(mml_project: MMLProject) -> Iterator[FakeDistributions]:
    """Install a distribution: ``fake_distribution("x", entry_points={…}, files={…}, requires=[…])``."""
    distributions = FakeDistributions(mml_project.site)
    yield distributions
    distributions.forget()


@pytest.fixture
def inline_plugin(fake_distribution: FakeDistributions) -> InlinePlugins:
    """Install a plugin from text: ``inline_plugin("x", source, {"scheduler.py": …})``."""
    return InlinePlugins(fake_distribution)


class CommandRunner:
    """Runs ``mml`` in this process: ``mml("run", "--mode=info")``."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Result:
        """Run the command to its end."""
        from importlib.metadata import entry_points

        (command,) = entry_points(group="console_scripts", name="mml")
        self._capsys.readouterr()
        code = command.load()(list(arguments))
        captured = self._capsys.readouterr()
        return Result(code, captured.out, captured.err)


@pytest.fixture
def mml(mml_project: MMLProject, capsys: pytest.CaptureFixture[str]) -> CommandRunner:
    """Run ``mml`` in this process."""
    return CommandRunner(capsys)


class ProcessRunner:
    """Runs ``mml`` as a process of its own, as a user's shell does.

    Args:
        project: The test's places.
    """

    def __init__(self, project: MMLProject) -> None:
        self._project = project

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> Result:
        """Run the command to its end.

        Args:
            *arguments: Those of ``mml``.
            env: Further environment variables.
            timeout: Seconds after which it is killed and the test fails.
        """
        process = self.start(*arguments, env=env)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"mml {' '.join(arguments)} did not end in {timeout} s: {out}{err}")
        return Result(process.returncode, out, err)

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command and return its process."""
        return subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *arguments],
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def mml_process(mml_project: MMLProject) -> ProcessRunner:
    """Run ``mml`` as a process of its own."""
    return ProcessRunner(mml_project)


@pytest.fixture
def file_manager(mml_project: MMLProject) -> Iterator[MMLFileManager]:
    """Give an open file manager; what is saved in it appears when the test ends well."""
    from mml_core.files.manager import MMLFileManager
    from mml_core.plugins import PluginManager

    with MMLFileManager(
        data=mml_project.data,
        results=mml_project.results,
        project="default",
        plugins=PluginManager.discover(),
    ) as manager:
        yield manager


@dataclass(frozen=True)
class Configs:
    """Composes configs in the places of a test.

    Attributes:
        project: The places.
    """

    project: MMLProject

    def __call__(
        self, *overrides: str, plugins: PluginManager | None = None, mode: str = "info"
    ) -> DictConfig:
        """Return the config of a job, as ``mml run`` composes it.

        Args:
            *overrides: As on the command line: ``"trainer.max_epochs=1"``.
            plugins: Where modes and config groups come from; by default what is installed.
            mode: The mode; of the default one everything but ``mode`` can be read.
        """
        from mml_core.config.compose import compose

        return compose([f"mode={mode}", *overrides], plugins)


@pytest.fixture
def mml_config(mml_project: MMLProject) -> Configs:
    """Compose a config: ``mml_config("arch=resnet_tiny", mode="train")``."""
    return Configs(mml_project)


@dataclass(frozen=True)
class TinyTasks:
    """Creates tiny tasks in the data folder of a test.

    Attributes:
        data: The data folder.
    """

    data: Path

    def __call__(self, task_type: str, *, channels: int = 1, folds: int = 2) -> TaskDescription:
        """Create the tiny task of a type; see :func:`~mml_core.testing.tiny_tasks.create_tiny_task`.

        Args:
            task_type: ``classification``, ``multilabel``, ``regression``, ``semantic_segmentation`` or
                ``unlabelled``.
            channels: 1 or 3.
            folds: Folds of the training split.
        """
        from mml_core.testing.tiny_tasks import create_tiny_task

        return create_tiny_task(self.data, task_type, channels=channels, folds=folds)


@pytest.fixture
def tiny_task(mml_project: MMLProject) -> TinyTasks:
    """Create a task of 16 images of 16x16 pixels: ``tiny_task("regression").name``."""
    return TinyTasks(mml_project.data)
