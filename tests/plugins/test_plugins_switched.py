"""Plugins that a user or a project has disabled, or requires: known before anything is imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mml_core.testing.distributions import FakeDistribution

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
import pathlib
from mml_core.plugins import SchedulerSpec, hookimpl

MML_PLUGIN_API = 1
pathlib.Path("imported").touch()

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="greet", target="mml_greet.scheduler:Greet", summary="Say hello.")
"""
SCHEDULER = """
import pathlib
from mml_core.api import AbstractBaseScheduler

class Greet(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        self.add_step("greet")

    def greet(self):
        if pathlib.Path("broken").exists():
            raise ValueError("no")
        return "hello"
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def greet(inline_plugin):
    inline_plugin("greet", PLUGIN, {"scheduler.py": SCHEDULER})
    Path("imported").unlink()


@pytest.fixture
def project(mml_project) -> Path:
    (mml_project.path("mine") / "runs").mkdir(parents=True)
    return mml_project.path("mine")


def test_a_plugin_that_the_user_disabled_is_not_imported(mml, greet, home):
    assert mml("plugins", "disable", "greet").code == 0
    assert json.loads((home / "mml/plugins.json").read_text()) == {"disabled": ["mml-plugin-greet"]}
    Path("imported").unlink(missing_ok=True)
    assert "greet" not in mml("modes").out
    assert mml("run", "--mode=greet").code == 2
    assert not Path("imported").exists()


def test_a_command_tells_that_its_plugin_is_disabled(mml, tmp_path, monkeypatch):
    FakeDistribution(
        name="mml-plugin-wave",
        files={"mml_wave.py": "import pathlib\npathlib.Path('imported').touch()"},
        entry_points={"mml.commands": {"wave": "mml_wave"}},
    ).write(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert mml("plugins", "disable", "wave").code == 0
    done = mml("wave")
    assert done.code == 2
    assert "The command 'wave' is of mml-plugin-wave: disabled by you; `mml plugins enable" in done.err
    assert not Path("imported").exists()


def test_who_disabled_a_plugin_stands_in_the_list(mml, greet, project):
    mml("plugins", "disable", "greet")
    assert "disabled by you; `mml plugins enable mml-plugin-greet` undoes that" in mml("plugins", "list").out
    mml("plugins", "enable", "greet")
    mml("plugins", "disable", "greet", "--proj=mine")
    assert "disabled in the project 'mine'" in mml("plugins", "list", "--proj=mine").out
    assert "disabled" not in mml("plugins", "list").out


def test_a_mode_that_is_missing_names_the_plugins_that_are_switched_off(mml, greet, project):
    mml("plugins", "disable", "greet", "--proj=mine")
    error = mml("run", "--mode=greet", "--proj=mine").err.splitlines()[-1]
    assert "There is no mode 'greet'." in error
    assert "mml-plugin-greet: disabled in the project 'mine'; `mml plugins enable mml-plugin-greet" in error
    assert (
        "mml-plugin-greet: switched off by name." in mml("run", "--mode=greet", "--without-plugin=greet").err
    )
    assert "mml-plugin-greet" not in mml("run", "--mode=gret").err


def test_the_doctor_counts_what_can_be_used(mml, greet):
    def usable() -> int:
        return int(mml("plugins", "doctor").out.splitlines()[-1].split()[0])

    before = usable()
    mml("plugins", "disable", "greet")
    assert usable() == before - 1


def test_an_enabled_plugin_is_used_again_and_leaves_no_file(mml, greet, home):
    mml("plugins", "disable", "greet")
    mml("plugins", "enable", "greet")
    assert not (home / "mml/plugins.json").exists()
    assert mml("run", "--mode=greet").code == 0


def test_what_a_project_disables_others_use(mml, greet, project):
    mml("plugins", "disable", "greet", "--proj=mine")
    assert mml("run", "--mode=greet", "--proj=mine").code == 2
    assert mml("run", "--mode=greet", "proj=mine").code == 2
    assert mml("run", "--mode=greet", "--proj=other").code == 0


def test_workers_do_without_what_their_run_does_without(mml, greet, inline_plugin, mml_project):
    inline_plugin("other", "MML_PLUGIN_API = 1\nimport pathlib\npathlib.Path('other').touch()")
    Path("other").unlink()
    mml("plugins", "disable", "other")
    Path("other").unlink(missing_ok=True)
    ended = mml("run", "--mode=greet", "--executor=processes", "++executor.preload=[]")
    assert ended.code == 0, ended.err
    assert not Path("other").exists()


def test_scripts_do_without_what_a_project_disables(mml, greet, project):
    from mml_core.api import MMLError, run

    mml("plugins", "disable", "greet", "--proj=mine")
    assert run("greet", proj="other").value is None
    with pytest.raises(MMLError, match="greet"):
        run("greet", proj="mine")


def test_enabling_says_what_disables_it_still(mml, greet, project):
    mml("plugins", "disable", "greet")
    mml("plugins", "disable", "greet", "--proj=mine")
    assert "still disabled by you" in mml("plugins", "enable", "greet", "--proj=mine").out
    assert "already" in mml("plugins", "enable", "greet", "--proj=mine").out


def test_a_plugin_that_is_gone_can_be_enabled(mml, home):
    (home / "mml").mkdir(parents=True)
    (home / "mml/plugins.json").write_text('{"disabled": ["mml-plugin-gone"]}')
    assert mml("plugins", "list").err == ""
    assert mml("plugins", "enable", "gone").code == 0
    assert not (home / "mml/plugins.json").exists()


@pytest.mark.parametrize(
    ("required", "says"),
    [
        ("mml-plugin-absent>=2", "which is not installed: pip install 'mml-plugin-absent>=2'"),
        ("mml-plugin-greet>=3", "and 1.0 is installed: pip install 'mml-plugin-greet>=3'"),
        ("what is this", "write it as 'mml-plugin-x>=2'"),
    ],
)
def test_a_run_does_not_start_without_what_its_project_requires(mml, greet, project, required, says):
    (project / "plugins.json").write_text(json.dumps({"required": ["mml-plugin-greet", required]}))
    refused = mml("run", "--mode=greet", "--proj=mine")
    assert refused.code == 2
    assert says in refused.err
    assert list((project / "runs").iterdir()) == []


def test_the_install_line_comes_before_a_mode_is_missed(mml, project):
    (project / "plugins.json").write_text('{"required": ["mml-plugin-absent"]}')
    assert "pip install 'mml-plugin-absent'" in mml("run", "--mode=absent", "--proj=mine").err


def test_a_disabled_plugin_does_not_satisfy_its_project(mml, greet, project):
    (project / "plugins.json").write_text('{"required": ["mml-plugin-greet"]}')
    assert mml("run", "--mode=greet", "--proj=mine").code == 0
    mml("plugins", "disable", "greet")
    refused = mml("run", "--mode=greet", "--proj=mine")
    assert "requires mml-plugin-greet, which is disabled: disabled by you" in refused.err


def test_a_run_does_not_go_on_without_it_and_scripts_do_not_either(mml, greet, project):
    from mml_core.api import continue_run, run
    from mml_core.plugins.requiring import RequiredPluginError

    Path("broken").touch()
    assert mml("run", "--mode=greet", "--proj=mine").code == 1
    (project / "plugins.json").write_text('{"required": ["mml-plugin-absent"]}')
    assert "pip install" in mml("run", "--continue", "--proj=mine").err
    with pytest.raises(RequiredPluginError):
        continue_run("mine")
    with pytest.raises(RequiredPluginError):
        run("greet", proj="mine")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no JSON"),
        ("[]", "it may have"),
        ('{"disable": []}', "says 'disable'"),
        ('{"disabled": "greet"}', "says 'disabled'"),
    ],
)
def test_a_damaged_file_is_named(mml, project, text, says):
    (project / "plugins.json").write_text(text)
    refused = mml("run", "--mode=info", "--proj=mine")
    assert refused.code == 2
    assert says in refused.err
    assert str(project / "plugins.json") in refused.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("disable", "gret"), "Did you mean 'greet'"),
        (("disable", "mml-core"), "is no plugin"),
        (("disable", "greet", "--proj=nowhere"), "There is no project 'nowhere'"),
    ],
)
def test_what_cannot_be_switched_is_refused(mml, greet, home, arguments, says):
    refused = mml("plugins", *arguments)
    assert refused.code == 2
    assert says in refused.err
    assert not home.exists()
