"""A folder of distributions on the search path of this process and of those it starts."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mml_core.plugins import Blocking, PluginManager
from mml_core.testing.distributions import FakeDistribution

MAIN = "import sys; from mml_core.cli.main import main; sys.exit(main())"
HEAD = "from mml_core.plugins import *\nfrom mml_core.plugins import hookimpl\n"


@dataclass
class Site:
    folder: Path

    def install(self, name, source="", **more):
        FakeDistribution.plugin(name, f"{HEAD}{source}\n", **more).write(self.folder)

    def discover(self, blocking=None, **more):
        more.setdefault("path", [str(self.folder)])
        return PluginManager.discover(blocking or Blocking(), **more)

    def mml(self, *arguments, **env):
        places = {
            "MML_DATA_PATH": self.folder.parent / "data",
            "MML_RESULTS_PATH": self.folder.parent / "results",
        }
        every = {**os.environ, "PYTHONPATH": self.folder, **places, **env}
        return subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            env={name: str(value) for name, value in every.items()},
            cwd=self.folder.parent, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for variable in ("MML_PLUGINS", "MML_DISABLED_PLUGINS", "MML_PLUGIN_STRICT"):
        monkeypatch.delenv(variable, raising=False)
    return Site(folder)
