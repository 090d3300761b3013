"""Jobs of `mml run`: sweeps, failures, conflicts of plugins, logs, and going on after a kill."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mml_core.cli.main import main
from mml_core.testing.distributions import FakeDistribution

MML = Path(sys.executable).with_name("mml")
PLUGIN = """
from mml_core.plugins import PathAssignment, SchedulerSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="NAME", target="mml_NAME.scheduler:Toy", defaults={"fail": False})

@hookimpl
def mml_path_assignments():
    yield PathAssignment(key="KEY", path="PROJ_PATH/KEY/TASK_NAME/map.json")
"""
SCHEDULER = """
import logging, os, signal
from mml_core.scheduling.base import AbstractBaseScheduler

class Toy(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        for number in range(2):
            self.commands.append("work")
            self.params.append([number])

    def work(self, number):
        logging.getLogger("toy").info("working on %s", number)
        if number == 1 and self.cfg.mode.fail:
            raise ValueError("broken on purpose")
        if number == 1 and os.environ.get("TOY_KILL"):
            os.kill(os.getpid(), signal.SIGKILL)
        return number
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data, results, a working directory and a folder for distributions of the test's own."""
    monkeypatch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("MML_RESULTS_PATH", str(tmp_path / "results"))
    (tmp_path / "work").mkdir()
    site.mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    return tmp_path


@pytest.fixture
def install(site: Path) -> Callable[..., None]:
    """Install a plugin with a mode of two steps and one path key."""

    def write(name: str, key: str | None = None) -> None:
        source = PLUGIN.replace("NAME", name, 2).replace("KEY", key or name)
        source = source.replace(f"{key or name}/TASK", f"{name}/TASK")
        FakeDistribution.plugin(name, source, files={"scheduler.py": SCHEDULER}).write(site)

    return write


def runs_in(places: Path) -> list[Path]:
    return sorted((places / "results" / "default" / "runs").iterdir())


def test_a_sweep_of_two_jobs_makes_two_runs(places: Path, install: Callable[..., None]) -> None:
    install("toysweep")
    assert main(["run", "mode=toysweep", "seed=1,2", "-m"]) == 0
    runs = runs_in(places)
    assert len(runs) == 2
    assert all((run / "done.json").is_file() for run in runs)
    assert len(list((places / "results" / "default" / "sweeps").iterdir())) == 1


def test_a_sweep_of_a_mode_that_reads_writes_nothing(places: Path) -> None:
    assert main(["run", "mode=info", "mode.subroutines=[plugins]", "seed=1,2", "-m"]) == 0
    assert not (places / "results").exists()
    assert not (places / "data").exists()
    assert not list((places / "work").iterdir())


def test_a_sweep_without_a_place_is_refused(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "mode=clean", "seed=1,2", "-m", "~paths"]) == 2
    assert "paths.data is None" in capsys.readouterr().err
    assert not list((places / "work").iterdir())


def test_a_failing_job_of_a_sweep_is_one_line_and_the_others_run(
    places: Path, install: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    install("toyfail")
    assert main(["run", "mode=toyfail", "mode.fail=true,false", "-m"]) == 1
    ours = [line for line in capfd.readouterr().err.splitlines() if line.startswith("mml: ")]
    assert len(ours) == 1
    assert "broken on purpose" in ours[0]
    assert [(run / "done.json").is_file() for run in runs_in(places)].count(True) == 1


def test_a_failing_run_is_one_line(install: Callable[..., None], capfd: pytest.CaptureFixture[str]) -> None:
    install("toyonefail")
    assert main(["run", "mode=toyonefail", "mode.fail=true"]) == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err
    ours = [line for line in err.splitlines() if line.startswith("mml: ")]
    assert len(ours) == 1
    assert "--continue" in ours[0]


def test_a_mode_that_reads_may_refer_to_hydra(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "mode=info", "mode.subroutines=[models]", "proj=${hydra:job.name}"]) == 0
    assert "models of the project mml: none" in capsys.readouterr().out


def test_hydra_starts_the_job_where_its_own_config_is_changed(
    places: Path, install: Callable[..., None]
) -> None:
    install("toyhydra")
    assert main(["run", "mode=toyhydra", "hydra.job.name=other"]) == 0
    assert main(["run", "mode=toyhydra", "seed=3,4", "hydra.mode=MULTIRUN"]) == 0
    assert len(runs_in(places)) == 3


def test_plugins_in_conflict_stop_only_runs_that_use_them(
    places: Path, install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install("toyaa", "shared")
    install("toybb", "shared")
    install("toygood")
    assert main(["run", "mode=toyaa"]) == 2
    assert "'shared'" in capsys.readouterr().err
    assert not (places / "results").exists()
    assert main(["run", "mode=toygood"]) == 0


def test_a_killed_run_is_continued_and_its_log_goes_on(places: Path, install: Callable[..., None]) -> None:
    install("toykill")
    command = [str(MML), "run", "--mode=toykill"]
    killed = subprocess.run(command, env={**os.environ, "TOY_KILL": "1"}, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    (run,) = runs_in(places)
    assert not (run / "done.json").exists()
    done = subprocess.run([*command, "--continue"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert runs_in(places) == [run]
    assert (run / "done.json").is_file()
    log = (run / "log.txt").read_text()
    assert (log.count("working on 0"), log.count("working on 1")) == (1, 2)


def test_a_mode_that_shares_its_name_is_listed_by_its_provider(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = PLUGIN.replace('"NAME"', '"train"').replace("NAME", "toytrain").replace("KEY", "toytrain")
    FakeDistribution.plugin("toytrain", source).write(site)
    assert main(["modes", "--json"]) == 0
    modes = [row["mode"] for row in json.loads(capsys.readouterr().out)]
    assert modes.count("train") == 1
    assert "mml-plugin-toytrain:train" in modes


def test_runs_are_listed_by_when_they_were_created(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("toylist")
    names = iter(["2020-01-01_00-00-00_ffff", "2020-01-01_00-00-00_aaaa"])
    monkeypatch.setattr("mml_core.config.run_directory.run_name", lambda: next(names))
    assert main(["run", "mode=toylist"]) == 0
    assert main(["run", "mode=toylist"]) == 0
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    assert [row["run"][-4:] for row in json.loads(capsys.readouterr().out)] == ["ffff", "aaaa"]


def test_a_command_of_a_plugin_is_imported_when_it_is_used(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeDistribution(
        name="mml-plugin-greet",
        entry_points={"mml.commands": {"greet": "mml_greet.command"}},
        files={
            "mml_greet/command.py": '"""Greet somebody."""\n'
            "def add_arguments(parser):\n    parser.add_argument('name')\n"
            "def run(args):\n    print(f'hello {args.name}')\n    return 0\n"
        },
        summary="Says hello.",
    ).write(site)
    assert main(["--help"]) == 0
    assert "greet" in capsys.readouterr().out
    assert "mml_greet.command" not in sys.modules
    assert main(["greet", "ada"]) == 0
    assert capsys.readouterr().out == "hello ada\n"
    assert main(["grete"]) == 2
    assert "Did you mean 'greet'" in capsys.readouterr().err
