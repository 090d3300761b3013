"""Fixtures for tests of plugins; opt in by ``pytest_plugins = ["mml_core.testing.fixtures"]``.

``mml_project`` gives a test its own data and results folder, ``inline_plugin`` installs a plugin from text,
``mml`` runs the command in this process, ``mml_process`` as a process of its own, and ``file_manager`` opens
a file manager in a ``with`` block.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mml_core.files.manager import MMLFileManager
    from mml_core.plugins import PluginManager

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


@dataclass
class InlinePlugins:
    """Installs plugins from text; they are there for this process and those it starts.

    Attributes:
        site: Where they are installed.
    """

    site: Path
    _packages: list[str] = field(default_factory=list)

    def __call__(self, name: str, source: str, files: Mapping[str, str] | None = None) -> PluginManager:
        """Install ``mml-plugin-<name>`` and return a manager that has found it.

        Args:
            name: What follows ``mml-plugin-``; the package is ``mml_<name>``.
            source: Text of its hook module ``mml_<name>/plugin.py``.
            files: Further files: path in the package → text.
        """
        from mml_core.plugins import PluginManager
        from mml_core.testing.distributions import FakeDistribution

        FakeDistribution.plugin(name, source, files=files).write(self.site)
        self._packages.append(f"mml_{name.replace('-', '_')}")
        self.forget()
        return PluginManager.discover()

    def forget(self) -> None:
        """Let the plugins' modules be imported anew."""
        import importlib

        importlib.invalidate_caches()
        for module in list(sys.modules):
            if module.partition(".")[0] in self._packages:
                del sys.modules[module]


@pytest.fixture
def inline_plugin(mml_project: MMLProject) -> Iterator[InlinePlugins]:
    """Install a plugin from text: ``inline_plugin("x", source, {"scheduler.py": …})``."""
    plugins = InlinePlugins(mml_project.site)
    yield plugins
    plugins.forget()


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
