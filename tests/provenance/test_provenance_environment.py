"""What steps run with is recorded: versions, sources, and the repositories of what is edited."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf

from mml_core.plugins import PluginManager
from mml_core.plugins.blocking import Blocking
from mml_core.scheduling.environments import Environment, environment_of
from mml_core.scheduling.sealed import DamagedRecordError
from mml_core.testing.fixtures import InlinePlugins, MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
from mml_core.plugins import hookimpl, SchedulerSpec

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="own", target="mml_own.scheduler:Own")
"""
SCHEDULER = "from mml_core.api import AbstractBaseScheduler\nclass Own(AbstractBaseScheduler): pass\n"


def environment(inline_plugin: InlinePlugins, **files: str) -> Environment:
    """What a run of the plugin would run with."""
    sources = {name.replace("__", "."): text for name, text in files.items()}
    plugins = inline_plugin("own", PLUGIN, {"scheduler.py": SCHEDULER, **sources})
    cfg = OmegaConf.create({"mode": {"name": "own", "scheduler": {"_target_": "mml_own.scheduler.Own"}}})
    from mml_own.scheduler import Own

    return environment_of(cfg, plugins, Own)


def test_versions_are_those_of_the_plugins_in_use_and_what_they_require(inline_plugin: InlinePlugins) -> None:
    versions = environment(inline_plugin).versions

    assert {"mml-core", "mml-plugin-own", "torch", "lightning", "numpy", "python"} <= versions.keys()
    assert "mml-plugin-monai" not in versions


@pytest.mark.parametrize("file", ["helper__py", "conf__yaml"])
def test_each_source_of_a_plugin_counts(inline_plugin: InlinePlugins, file: str) -> None:
    first = environment(inline_plugin, **{file: "# one"})
    second = environment(inline_plugin, **{file: "# two"})

    assert first.difference(second) == "the code of mml-plugin-own differs"
    assert first.code["mml-core"] == second.code["mml-core"]


@pytest.mark.parametrize("file", [None, "<stdin>", "library.zip/typed.py"])
def test_code_without_a_file_is_the_same_as_no_other(
    monkeypatch: pytest.MonkeyPatch, file: str | None
) -> None:
    typed = ModuleType("__typed__")
    monkeypatch.setitem(sys.modules, typed.__name__, typed)
    if file is not None:
        typed.__file__ = file
    exec("class Own: pass", vars(typed))
    made = environment_of(OmegaConf.create({}), PluginManager(), typed.Own)

    assert made.difference(made) == "nobody can tell whether the code of __typed__ is the same"


def test_sources_that_were_edited_since_they_were_imported_are_not_those_that_run(
    inline_plugin: InlinePlugins, mml_project: MMLProject
) -> None:
    first = environment(inline_plugin)
    cfg = OmegaConf.create({"mode": {"name": "own", "scheduler": {"_target_": "mml_own.scheduler.Own"}}})
    from mml_own.scheduler import Own

    (mml_project.site / "mml_own/scheduler.py").write_text(f"{SCHEDULER}# edited\n")
    edited = environment_of(cfg, PluginManager.discover(), Own)

    for told in (first.difference(edited), edited.difference(environment(inline_plugin))):
        assert told == "nobody can tell whether the code of mml-plugin-own is the same"
    assert first.difference(environment(inline_plugin)) == ""


def test_what_is_no_source_does_not_count(inline_plugin: InlinePlugins) -> None:
    first = environment(inline_plugin, notes__txt="one")

    assert first.difference(environment(inline_plugin, notes__txt="two")) == ""


def test_a_scheduler_of_no_plugin_counts_by_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "own_scheduler.py"
    module.write_text(
        "from mml_core.api import AbstractBaseScheduler\nclass Own(AbstractBaseScheduler): pass\n"
    )
    import own_scheduler

    def code() -> dict[str, str]:
        cfg = OmegaConf.create({"mode": {"name": "own"}})
        return environment_of(cfg, PluginManager.discover(Blocking(no_plugins=True)), own_scheduler.Own).code

    before = code()
    module.write_text(module.read_text() + "# more")

    assert before.keys() == {"mml-core", "own_scheduler"}
    assert code()["own_scheduler"] != before["own_scheduler"]


def test_the_other_version_of_a_library_is_named() -> None:
    there, here = (Environment(versions={"torch": version}) for version in ("2.1", "2.2"))

    assert there.difference(here) == "torch was 2.1 and is 2.2"
    assert Environment().difference(here) == "torch was not there and is 2.2"


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_plugin_that_is_edited_is_recorded_with_its_commit(
    inline_plugin: InlinePlugins, mml_project: MMLProject
) -> None:
    repository = mml_project.root / "repository"
    repository.mkdir()

    def git(*words: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        told = subprocess.run(
            ["git", *identity, *words], cwd=repository, check=True, capture_output=True, text=True
        )
        return told.stdout.strip()

    git("init", "-q")
    (repository / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "one")
    environment(inline_plugin)
    (info,) = mml_project.site.glob("mml_plugin_own*.dist-info")
    origin = {"url": repository.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(origin))

    clean = environment(inline_plugin).git["mml-plugin-own"]
    (repository / "file").write_text("two")
    dirty = environment(inline_plugin).git["mml-plugin-own"]

    assert (clean.commit, clean.dirty) == (git("rev-parse", "HEAD"), False)
    assert (dirty.commit, dirty.dirty) == (clean.commit, True)


def test_the_record_is_named_by_what_it_holds_and_damage_is_found(tmp_path: Path) -> None:
    made = Environment(versions={"torch": "2.1"})
    made.save(tmp_path)

    assert Environment.load(tmp_path, made.name) == made
    assert made.name != Environment(versions={"torch": "2.2"}).name
    path = tmp_path / f"{made.name}.json"
    path.write_bytes(path.read_bytes().replace(b"2.1", b"2.2"))
    with pytest.raises(DamagedRecordError):
        Environment.load(tmp_path, made.name)
