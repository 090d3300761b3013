"""`mml plugins info`, `hooks` and `doctor`: what is known of a plugin, and what one can implement."""

import json

import pytest

from mml_core.cli.main import main
from mml_core.plugins import hookspecs
from mml_core.testing.distributions import FakeDistribution

GOOD = """
MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name='fine', target='x:Y')

@hookimpl
def mml_step_started(step):
    pass
"""
HOOKS = [name for name in vars(hookspecs) if name.startswith("mml_")]


@pytest.fixture
def mml(capsys):
    def call(*arguments):
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_info_tells_what_a_plugin_is_and_contributes(site, mml):
    site.install("good", GOOD)
    code, out, err = mml("plugins", "info", "good")
    rows = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in out.splitlines() if line}
    assert (code, err) == (0, "")
    assert rows["plugin"] == "mml-plugin-good 1.0"
    assert rows["summary"] == "A distribution for tests."
    assert rows["module"] == "mml_good.plugin"
    assert rows["file"] == str(site.folder / "mml_good" / "plugin.py")
    assert rows["status"] == "active (stage: collect)"
    assert rows["import time"].endswith(" ms")
    assert rows["hooks"] == "mml_schedulers, mml_step_started"
    assert rows["schedulers"] == "fine"
    assert "cause" not in rows
    assert mml("plugins", "info", "MML_Plugin.Good")[1].startswith("plugin")


def test_info_shows_the_stored_traceback_on_demand(site, mml):
    site.install("bad", "raise ValueError('no luck')")
    code, out, _ = mml("plugins", "info", "bad")
    assert code == 0
    assert "import-failed (stage: import)" in out
    assert "its import raised ValueError: no luck" in out
    assert "Traceback" not in out
    assert "mml plugins info mml-plugin-bad --traceback" in out
    out = mml("plugins", "info", "bad", "--traceback")[1]
    assert "Traceback (most recent call last)" in out
    assert "mml_bad/plugin.py" in out
    shown = json.loads(mml("plugins", "info", "bad", "--json", "--traceback")[1])
    assert "ValueError: no luck" in shown["traceback"]
    assert "traceback" not in json.loads(mml("plugins", "info", "bad", "--json")[1])
    site.install("good", GOOD)
    assert "No traceback is stored." in mml("plugins", "info", "good", "--traceback")[1]


def test_info_of_an_unknown_plugin_has_near_matches(site, mml):
    site.install("good", GOOD)
    code, out, err = mml("plugins", "info", "goood")
    assert (code, out) == (2, "")
    assert "Did you mean 'good'?" in err
    assert len(err.splitlines()) == 1


def test_a_distribution_of_commands_alone_is_listed(site, mml):
    points = {"mml.commands": {"greet": "mml_greet.cli"}, "mml.importers": {"odd": "mml_greet.odd"}}
    FakeDistribution(name="mml-plugin-greet", entry_points=points).write(site.folder)
    (row,) = (line for line in mml("plugins", "list")[1].splitlines() if line.startswith("mml-plugin-greet"))
    assert row.split("  ")[-1] == "1 command, 1 importer"
    assert "commands" in mml("plugins", "info", "greet")[1]
    (shown,) = (
        each for each in json.loads(mml("plugins", "list", "--json")[1]) if each["name"] == "mml-plugin-greet"
    )
    assert shown["contributions"] == {"commands": ["greet"], "importers": ["odd"]}
    assert "mml-plugin-greet" not in mml("plugins", "list", "--no-plugins")[1]


def test_list_tells_contents_and_hides_what_is_switched_off(site, mml):
    site.install("good", GOOD)
    names = [line.split()[0] for line in mml("plugins", "list", "--without-plugin", "good")[1].splitlines()]
    assert "mml-plugin-good" not in names
    assert "mml-core" not in names
    rows = mml("plugins", "list", "--all", "--without-plugin", "good")[1].splitlines()
    assert any(line.startswith("mml-plugin-good") and "disabled" in line for line in rows)
    assert any(line.startswith("mml-core") for line in rows)
    assert "1 scheduler" in mml("plugins", "list")[1]


def test_doctor_says_what_is_wrong_and_what_could_be_better(site, mml):
    site.install("good", "MML_PLUGIN_API = 1")
    site.install("bare", "def mml_schedulers():\n    return []", requires=())
    _, out, _ = mml("plugins", "doctor")
    assert "note   Plugin mml-plugin-bare: its function mml_schedulers is not decorated with @hookimpl" in out
    assert "does not say which mml-core it needs" in out
    assert "does not say MML_PLUGIN_API = 1" in out
    site.install("bad", "import nowhere_at_all")
    code, out, _ = mml("plugins", "doctor", "--json")
    assert code == 1
    (wrong,) = (line for line in json.loads(out)["wrong"] if "mml-plugin-bad" in line)
    assert "nowhere_at_all" in wrong


def test_doctor_follows_references_that_list_does_not(site, mml):
    hook = "@hookimpl\ndef mml_schedulers():\n    yield SchedulerSpec(name='x', target='mml_lost.inner:Thin')"
    site.install("lost", f"MML_PLUGIN_API = 1\n\n{hook}", files={"inner.py": "class Thing: pass"})
    assert "active" in mml("plugins", "list")[1].partition("mml-plugin-lost")[2].splitlines()[0]
    code, out, _ = mml("plugins", "doctor")
    assert code == 1
    (line,) = (line for line in out.splitlines() if line.startswith("wrong"))
    assert line.endswith("mml_lost.inner has no 'Thin'. Did you mean 'Thing'?")


def test_hooks_lists_all_of_them_and_explains_one(mml):
    code, out, _ = mml("plugins", "hooks")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("mml_")] == HOOKS
    for name in ("mml_step_finished", "step_finished"):
        out = mml("plugins", "hooks", name)[1]
        assert out.startswith("mml_step_finished(scheduler: ")
        assert "Called in the process that ran the step" in out
        assert "def mml_step_finished(step, outcome):" in out
    shown = json.loads(mml("plugins", "hooks", "--json")[1])
    assert [each["name"] for each in shown] == HOOKS
    code, _, err = mml("plugins", "hooks", "shedulers")
    assert code == 2
    assert "Did you mean 'mml_schedulers'" in err


CHECKS = """
@hookimpl
def mml_health_checks():
    for name in ("fine", "ends", "nothing"):
        yield HealthCheck(name=name, run=f"mml_ill.plugin:{name}")

def fine():
    print("as told")
    return Health(ok=True, message="all is well")

def ends():
    raise SystemExit(7)

def nothing():
    return None
"""


def test_a_health_check_that_ends_the_program_has_failed(site, mml):
    site.install("ill", CHECKS)
    code, out, err = mml("doctor", "--json")
    checks = {row["check"]: row for row in json.loads(out)["checks"]}
    assert (code, checks["fine"]["ok"], checks["fine"]["message"]) == (1, True, "all is well")
    assert checks["ends"]["message"] == "the check itself failed: SystemExit: 7"
    assert "AttributeError" in checks["nothing"]["message"]
    assert "as told" in err
