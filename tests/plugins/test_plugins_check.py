"""`mml plugins check`: what is wrong with a plugin is said in plain sentences before its users find out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mml_core.plugins.authoring.findings import Finding, State
from mml_core.plugins.authoring.names import PluginName
from mml_core.plugins.authoring.skeleton import skeleton, write
from mml_core.plugins.authoring.wheels import Metadata, Wheel
from mml_core.testing.distributions import FakeDistribution

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
from mml_core.plugins import SchedulerSpec, TagSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="drawn", target="mml_drawn.scheduler:Drawn", summary="Draw a number.")

@hookimpl
def mml_tags():
    yield TagSpec(name="nested", apply="mml_drawn.nowhere:apply", summary="of mml, and nowhere")
"""
SCHEDULER = """
import os
from mml_core.api import AbstractBaseScheduler

class Drawn(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        self.add_step("draw")

    def draw(self):
        return int.from_bytes(os.urandom(4), "little")
"""


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def wheel(tmp_path: Path, **files: str) -> dict[str, Finding]:
    """Findings of a wheel with these files, built from a source that has two options."""
    site, source = tmp_path / "site", tmp_path / "source"
    FakeDistribution.plugin("x", "", files=files).write(site)
    (source / "src/mml_x/conf/mode").mkdir(parents=True)
    (source / "src/mml_x/conf/mode/x.yaml").write_text("name: x\n")
    names = tuple(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    return named(list(Wheel(site=site, source=source, names=names).findings()))


def test_a_wheel_with_all_its_options_and_nothing_else_is_fine(tmp_path):
    found = wheel(tmp_path, **{"conf/mode/x.yaml": "name: x\n"})
    assert {finding.state for finding in found.values()} == {State.OK}


def test_an_option_that_the_build_left_out_is_named(tmp_path):
    finding = wheel(tmp_path)["its wheel holds its config files"]
    assert finding.state is State.FAILED
    assert "mml_x/conf/mode/x.yaml is not in it" in finding.message


@pytest.mark.parametrize("path", ["tests/test_x.py", "__pycache__/plugin.cpython-310.pyc", "conftest.py"])
def test_a_file_that_is_no_business_of_users_is_named(tmp_path, path):
    finding = wheel(tmp_path, **{path: ""})["its wheel holds its package and nothing else"]
    assert finding.state is State.FAILED
    assert path in finding.message


@pytest.mark.parametrize(
    ("requires", "says"),
    [
        ("mml-core>=2,<3", "mml-core<3,>=2"),
        ("MML_core~=2.1", "MML_core~=2.1"),
        ("mml-core", "takes mml-core 1"),
        ("mml-core<3", "takes mml-core 1"),
        ("mml-core>=2", "may break it"),
        ("numpy", "add"),
    ],
)
def test_a_plugin_says_which_core_it_needs(requires, says):
    text = f"Name: mml-plugin-x\nRequires-Dist: {requires}\nLicense: MIT\n\n# A plugin\n"
    found = named(list(Metadata(text=text).findings()))["it says which mml-core it needs"]
    assert says in found.message
    assert (found.state is State.OK) == (requires in ("mml-core>=2,<3", "MML_core~=2.1"))


def test_a_plugin_has_a_readme_and_a_licence():
    found = named(list(Metadata(text="Name: mml-plugin-x\n\n").findings()))
    assert found["its README comes with it"].state is State.FAILED
    assert found["it has a licence"].state is State.FAILED


def test_what_is_wrong_with_an_installed_plugin_is_said_line_by_line(mml, inline_plugin):
    inline_plugin("drawn", PLUGIN, {"scheduler.py": SCHEDULER})
    checked = mml("plugins", "check", "drawn", "--quick", "--json")
    assert checked.code == 1, checked
    found = {row["check"]: row for row in json.loads(checked.out)}
    assert found["every reference leads to what it must be"]["state"] == "failed"
    assert "mml_drawn.nowhere" in found["every reference leads to what it must be"]["message"]
    assert "'nested' is of mml-core, too" in found["its names are its own"]["message"]
    assert found["its hook module is light"]["state"] == "ok"
    assert found["its wheel holds its package and nothing else"]["state"] == "not applicable"
    assert not any(check.startswith("mode") for check in found)


def test_a_scheduler_that_is_not_there_is_one_finding(mml, inline_plugin):
    inline_plugin(
        "drawn", PLUGIN.partition("@hookimpl\ndef mml_tags")[0], {"scheduler.py": "class Draw: ..."}
    )
    rows = json.loads(mml("plugins", "check", "drawn", "--json").out)
    (failed,) = (row for row in rows if row["state"] == "failed" and "Drawn" in row["message"])
    assert failed["check"] == "every reference leads to what it must be"
    assert "Did you mean 'Draw'?" in failed["message"]


def test_a_plugin_of_commands_alone_needs_no_hook_module(mml, fake_distribution):
    command = "def add_arguments(parser): ...\ndef run(args): return 0\n"
    fake_distribution(
        "mml-plugin-told",
        entry_points={"mml.commands": {"told": "mml_told.command"}},
        files={"mml_told/command.py": command},
    )
    rows = json.loads(mml("plugins", "check", "told", "--quick", "--json").out)
    found = {row["check"]: row["state"] for row in rows}
    assert found["its hook module is light"] == "ok"
    assert found["its commands and importers can be loaded"] == "ok"


@pytest.mark.long
def test_a_mode_that_would_not_resume_is_found(mml, inline_plugin):
    inline_plugin("drawn", PLUGIN, {"scheduler.py": SCHEDULER})
    checked = mml("plugins", "check", "drawn", "--json")
    found = {row["check"]: row for row in json.loads(checked.out)}
    assert found["mode 'drawn': it runs to its end"]["state"] == "ok"
    assert found["mode 'drawn': it resumes from a kill"]["state"] == "failed"
    assert "unseeded randomness" in found["mode 'drawn': it resumes from a kill"]["message"]


@pytest.mark.long
def test_a_new_plugin_passes_all_checks_from_its_source(mml, tmp_path):
    write(skeleton(PluginName.of("new-one"), ["scheduler", "path", "task", "tag"]), tmp_path / "plugin")
    before = sorted((tmp_path / "plugin").rglob("*"))
    checked = mml("plugins", "check", str(tmp_path / "plugin"), "--tasks=new_one")
    assert checked.code == 0, checked
    assert "mode 'new_one': it resumes from a kill" in checked.out
    assert sorted((tmp_path / "plugin").rglob("*")) == before


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        ("tagz", "There is no plugin 'tagz' installed"),
        ("./nowhere", "There is no pyproject.toml in 'nowhere'"),
    ],
)
def test_what_is_no_plugin_is_refused(mml, plugin, says):
    refused = mml("plugins", "check", plugin)
    assert (refused.code, refused.out) == (2, "")
    assert says in refused.err
