"""Which distributions are found, in which order, and which are imported at all."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from mml_core.cli.main import main
from mml_core.plugins import (
    AmbiguousNameError,
    Blocking,
    PluginFailedError,
    UnknownNameError,
    UnknownPluginError,
)
from mml_core.plugins.names import aliases, normalise
from mml_core.testing.distributions import FakeDistribution

HOOK = "@hookimpl\ndef mml_schedulers():\n    yield SchedulerSpec(name={!r}, target='x:Y')"
MARK = "import os, pathlib\npathlib.Path(os.environ['MARK']).write_text('imported')"


@pytest.mark.parametrize(
    ("flags", "env", "imported"),
    [
        ([], {}, True),
        (["--no-plugins"], {}, False),
        (["--without-plugin", "marks"], {}, False),
        (["--without-plugin", "MML_Plugin.Marks"], {}, False),
        ([], {"MML_PLUGINS": ""}, False),
        ([], {"MML_PLUGINS": "other"}, False),
        ([], {"MML_PLUGINS": "other, marks"}, True),
        ([], {"MML_DISABLED_PLUGINS": "other,mml-plugin-marks"}, False),
    ],
)
def test_blocking_acts_before_anything_is_imported(site, tmp_path, flags, env, imported):
    site.install("marks", MARK, files={"__init__.py": MARK})
    done = site.mml("plugins", "list", "--all", *flags, MARK=tmp_path / "mark", **env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists() is imported
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("mml-plugin-marks"))
    assert ("active" if imported else "disabled") in row


def test_blocking_may_stand_before_and_behind_the_action(site):
    for name in ("pa", "pb"):
        site.install(name)
    done = site.mml("plugins", "--without-plugin", "pa", "list", "--all", "--without-plugin", "pb")
    disabled = [line.split()[0] for line in done.stdout.splitlines() if "  disabled  " in line]
    assert disabled == ["mml-plugin-pa", "mml-plugin-pb"]


def test_a_name_that_blocks_nothing_is_a_warning_with_near_matches(site):
    site.install("marks")
    (line,) = site.discover(Blocking(without=["mark"])).warnings()
    assert "'mark'" in line
    assert "Did you mean 'marks'" in line
    assert "'mark'" in site.mml("plugins", "list", MML_DISABLED_PLUGINS="mark").stderr


@pytest.mark.parametrize("command", [["plugins", "list"], ["plugins", "doctor"], ["modes"], ["doctor"]])
def test_a_name_on_the_command_line_that_blocks_nothing_is_an_error_with_near_matches(site, capsys, command):
    site.install("marks")
    assert main([*command, "--without-plugin", "mark"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no plugin 'mark' installed. Did you mean 'marks'?" in line


def test_strict_makes_the_first_broken_plugin_an_error(site, monkeypatch):
    site.install("broken", "raise ValueError('no')")
    done = site.mml("plugins", "list", MML_PLUGIN_STRICT=1)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "mml-plugin-broken" in done.stderr
    assert "ValueError: no" in site.mml("plugins", "info", "broken", MML_PLUGIN_STRICT=1).stdout
    monkeypatch.setenv("MML_PLUGIN_STRICT", "1")
    with pytest.raises(PluginFailedError, match="ValueError: no"):
        site.discover()
    assert site.discover(strict=False).plugin("broken").broken
    assert not site.discover(Blocking(without=["broken"])).warnings()


def test_an_interruption_during_an_import_ends_mml(site):
    site.install("interrupted", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.discover()
    done = site.mml("plugins", "list")
    assert (done.returncode, done.stderr) == (130, "mml: interrupted.\n")


def test_what_a_plugin_prints_at_import_stays_out_of_json(site):
    site.install("loud", "print('hello')")
    done = site.mml("plugins", "list", "--json")
    assert done.stdout.startswith("[")
    assert "hello" in done.stderr


def test_the_installation_that_python_would_import_wins(site, tmp_path):
    later = tmp_path / "later"
    site.install("x", HOOK.format("first"))
    FakeDistribution.plugin("x", "raise AssertionError", version="9.0").write(later)
    manager = site.discover(path=[str(site.folder), str(later)])
    assert manager.plugin("x").version == "1.0"
    assert "first" in manager.schedulers


def test_an_installation_without_entry_points_hides_a_later_one(site, tmp_path):
    FakeDistribution(name="mml-plugin-x").write(tmp_path / "ahead")
    site.install("x", "raise AssertionError")
    path = [str(tmp_path / "ahead"), str(site.folder)]
    assert "mml-plugin-x" not in site.discover(path=path).plugins
    assert "mml-plugin-x" in site.discover(path=path[::-1]).plugins


def test_a_left_over_dist_info_is_no_second_plugin(site):
    site.install("x", HOOK.format("x"))
    site.install("x", HOOK.format("x"), version="2.0")
    manager = site.discover(path=[str(site.folder), str(site.folder)])
    assert [name for name in manager.plugins if name != "mml-core"] == ["mml-plugin-x"]
    assert len([item for item in manager.schedulers.items() if item.name == "x"]) == 1


def test_a_damaged_installation_harms_nobody(site):
    site.install("fine", HOOK.format("fine"))
    for name, file in (
        ("empty", None),
        ("binary", b"[mml.plugins]\n\xff\xfe = \x00"),
        ("odd", b"mml.\n=\n["),
    ):
        folder = site.folder / f"{name}-1.0.dist-info"
        folder.mkdir()
        if file is not None:
            (folder / "entry_points.txt").write_bytes(file)
    manager = site.discover()
    assert manager.plugin("fine").status.value == "active"
    assert all(name in ("mml-core", "mml-plugin-fine", "binary") for name in manager.plugins)


@pytest.mark.parametrize(
    ("points", "cause"),
    [
        ({"a": "mml_x.plugin", "b": "mml_x.other"}, "names 2 entry points"),
        ({"a": "mml_x.plugin:obj"}, "dotted name"),
    ],
)
def test_a_plugin_is_one_module(site, points, cause):
    FakeDistribution(name="mml-plugin-x", entry_points={"mml.plugins": points}).write(site.folder)
    info = site.discover().plugin("x")
    assert (info.status.value, info.stage.value) == ("invalid", "discover")
    assert cause in info.cause


def test_order_is_that_of_names_and_never_of_folders(site, tmp_path):
    places = [tmp_path / "p1", tmp_path / "p2", site.folder]
    names = ["zeta", "beta", "alpha", "mu", "kappa"]
    for number, name in enumerate(names):
        FakeDistribution(
            name=f"mml-plugin-{name}", entry_points={"mml.plugins": {"same": f"mml_{name}_p"}},
            files={f"mml_{name}_p.py": "from mml_core.plugins import *\n" + HOOK.format("m")},
        ).write(places[number % 3])  # fmt: skip
    sys.path[:0] = map(str, places[:2])
    try:
        orders = []
        for path in (places, places[::-1]):
            manager = site.discover(path=[str(place) for place in path])
            found = list(dict.fromkeys(item.provider for item in manager.schedulers.items()))
            assert list(manager.plugins) == found
            orders.append(found)
    finally:
        del sys.path[:2]
    assert orders == [["mml-core", *(f"mml-plugin-{name}" for name in sorted(names))]] * 2


def test_names_are_short_where_unique_and_always_qualified(site):
    for name in ("pa", "pb"):
        site.install(
            name, HOOK.format("shared") + f"\n    yield SchedulerSpec(name='only-{name}', target='x:Y')"
        )
    registry = site.discover().schedulers
    assert registry.get("only-pa") is registry.get("pa:only-pa") is registry["mml-plugin-pa:only-pa"]
    assert registry.get("MML_Plugin.PA:only-pa") is registry.get("only-pa")
    assert registry.get("mml-core:train") is registry.get("train")
    with pytest.raises(AmbiguousNameError, match="'mml-plugin-pa:shared' or 'mml-plugin-pb:shared'"):
        registry.get("shared")
    assert {"mml-plugin-pa:shared", "mml-plugin-pb:shared", "only-pb", "train"} <= set(registry.names())
    assert registry.find("pa:only-pb") is None


def test_an_unknown_name_has_near_matches_and_names_the_plugins_that_failed(site, capsys):
    site.install("fine", HOOK.format("measure"))
    site.install("broken", "import nowhere_at_all")
    manager = site.discover()
    with pytest.raises(UnknownNameError) as caught:
        manager.schedulers.get("mesure")
    assert "Did you mean 'measure'?" in str(caught.value)
    assert "Not loaded: mml-plugin-broken (import-failed)" in str(caught.value)
    with pytest.raises(UnknownPluginError, match="Did you mean 'fine'"):
        manager.plugin("fin")
    done = site.mml("run", "--mode=mesure")
    assert done.returncode == 2
    assert "measure" in done.stderr.splitlines()[-1]
    assert "mml-plugin-broken" in done.stderr.splitlines()[-1]
    for command in (["tasks", "show", "mesure"], ["config", "show", "mesure"]):
        assert main(command) == 2
        assert "Not loaded: mml-plugin-broken (import-failed)" in capsys.readouterr().err.splitlines()[-1]


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True))
def test_a_distribution_has_one_name_however_it_is_written(name):
    assert normalise(name) == canonicalize_name(name)
    assert normalise(normalise(name)) == normalise(name)
    assert aliases(normalise(f"mml_plugin_{name}"))[-1] == normalise(name)
