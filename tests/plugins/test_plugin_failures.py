"""Every way in which a plugin can fail, as real distributions on disk, alone and all at once."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest

from mml_core.config.compose import compose
from mml_core.files.manager import MMLFileManager
from mml_core.plugins import AmbiguousNameError, Blocking, ConflictError, PluginFailedError, PluginManager
from mml_core.testing.distributions import FakeDistribution

HEAD = "from mml_core.plugins import hookimpl, SchedulerSpec\n"
HOOK = "@hookimpl\ndef mml_schedulers():\n    "
PATHS = "@hookimpl\ndef mml_path_assignments():\n    "


def spec(name):
    return f"yield SchedulerSpec(name='{name}', target='x:Y')\n"


BROKEN = {
    "importerror": ("import nowhere_at_all", "import-failed", "import", "nowhere_at_all"),
    "exits": ("raise SystemExit(3)", "import-failed", "import", "SystemExit"),
    "dumb": (
        "class Dumb(Exception):\n    def __str__(self): raise ValueError\nraise Dumb",
        "import-failed", "import", "its import raised Dumb",
    ),
    "coroutine": ("@hookimpl\nasync def mml_run_started():\n    pass", "invalid", "collect", "coroutine"),
    "signature": ("@hookimpl\ndef mml_schedulers(config):\n    return []", "invalid", "collect", "config"),
    "unknownhook": ("@hookimpl\ndef mml_schedulrs():\n    return []", "invalid", "collect", "mml_schedulers"),
    "raises": (HOOK + "raise ValueError('no')", "invalid", "collect", "ValueError: no"),
    "late": (HOOK + spec("half") + "    raise ValueError('late')", "invalid", "collect", "late"),
    "wrongtype": (HOOK + "yield 3", "invalid", "collect", "int"),
    "badpath": (
        PATHS + "yield PathAssignment(key='x', path='PROJ_PATH/runs/x.json')",
        "invalid", "collect", "the folder 'runs' of a project belongs to mml",
    ),
    "badrecord": (HOOK + "yield SchedulerSpec(name='A B', target='x:Y')", "invalid", "collect", "A B"),
    "api": ("MML_PLUGIN_API = 99", "incompatible", "api", "99"),
    "noconf": (
        "@hookimpl\ndef mml_config_dirs():\n    yield ConfigDir(package='mml_noconf')",
        "invalid", "collect", "config folder",
    ),
}  # fmt: skip
TWINS = {
    "twin-a": HOOK + spec("twin") + PATHS + "yield PathAssignment(key='twin', path='PROJ_PATH/A/a.json')",
    "twin-b": HOOK + spec("twin") + PATHS + "yield PathAssignment(key='twin', path='PROJ_PATH/B/b.json')",
}


@pytest.mark.parametrize("name", BROKEN)
def test_g20_a_broken_plugin_has_a_status_and_costs_one_line(site, name):
    source, status, stage, cause = BROKEN[name]
    site.install(name, source)
    site.install("good", HOOK + spec("fine"))
    manager = site.discover()
    info = manager.plugin(name)
    assert (info.status.value, info.stage.value) == (status, stage)
    assert cause in info.cause
    assert len(manager.warnings()) == 1
    assert "\n" not in manager.warnings()[0]
    assert "fine" in manager.schedulers
    assert "half" not in manager.schedulers
    with pytest.raises(PluginFailedError, match=name):
        site.discover(strict=True)


def test_g20_an_unmet_core_version_is_seen_before_import(site):
    site.install("future", "raise AssertionError('imported')", requires=["mml-core>=99"])
    info = site.discover().plugin("future")
    assert (info.status.value, info.stage.value) == ("incompatible", "check")
    assert ">=99" in info.cause


@pytest.mark.parametrize(
    "blocking", [Blocking(no_plugins=True), Blocking(without=["exits"]), Blocking(only=["other"])]
)
def test_a_blocked_plugin_is_never_imported(site, blocking):
    site.install("exits", "raise AssertionError('imported')")
    assert site.discover(blocking).plugin("exits").status.value == "disabled"
    assert "mml_exits" not in sys.modules


def test_g20_a_shared_name_is_an_error_only_when_used_and_a_shared_key_when_a_run_starts(site):
    for name, source in TWINS.items():
        site.install(name, source)
    manager = site.discover()
    with pytest.raises(AmbiguousNameError, match="mml-plugin-twin-a:twin"):
        manager.schedulers.get("twin")
    assert manager.schedulers.get("twin-b:twin") is manager.schedulers.get("mml-plugin-twin-b:twin")
    assert manager.plugin("twin-a").status.value == "conflicted"
    with pytest.raises(ConflictError, match="twin-a and mml-plugin-twin-b"):
        manager.check_conflicts()
    manager.check_conflicts(providers=["mml-core"])


def test_a_builtin_owns_its_name(site):
    site.install("usurper", HOOK + spec("train"))
    manager = site.discover()
    assert manager.schedulers.entry("train").provider == "mml-core"
    assert manager.schedulers.get("usurper:train").target == "x:Y"


GOOD = """
from mml_core.api import AbstractBaseScheduler

class Fine(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=["all"])

    def create_routine(self):
        self.add_step("answer", 41)

    def answer(self, number):
        self.return_value = number + 1
        return number + 1
"""
CLAIMS = {
    "file": ("mine", "PROJ_PATH/predictions/TASK_NAME/map.png", "the keys 'predictions' and 'mine'"),
    "key": ("models", "PROJ_PATH/MINE/TASK_NAME/model.json", "claim the path key 'models'"),
    "path": (
        "mine",
        "PROJ_PATH/PARAMETERS/TASK_NAME/model.safetensors",
        "one path for the keys 'parameters'",
    ),
}


@pytest.mark.parametrize(("key", "path", "says"), CLAIMS.values(), ids=CLAIMS)
def test_a_builtin_owns_its_path_and_only_runs_of_the_other_plugin_are_refused(site, key, path, says):
    fine = "yield SchedulerSpec(name='fine', target='mml_usurper.scheduler:Fine')\n"
    claim = f"{PATHS}yield PathAssignment(key={key!r}, path={path!r})"
    site.install("usurper", HOOK + fine + claim, files={"scheduler.py": GOOD})
    done = site.mml("run", "--mode=clean")
    assert done.returncode == 0, done.stderr
    assert "that of mml-core holds, and runs that use mml-plugin-usurper are refused" in done.stderr
    done = site.mml("run", "--mode=fine")
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    change = "rename the key there" if key == "models" else "change the path of a key there"
    assert done.stderr.splitlines()[-1].endswith(f"{change}.")
    assert path not in done.stderr.splitlines()[-1]  # that, the warning above it has told
    with MMLFileManager(
        data=site.folder, results=site.folder, project="p", plugins=site.discover()
    ) as manager:
        assert manager.assignments.get("parameters").provider == "mml-core"
        assert manager.assignments.get("models").template == "PROJ_PATH/MODELS/TASK_NAME/model.json"


def test_a_builtin_owns_its_config_option(site):
    source = "@hookimpl\ndef mml_config_dirs():\n    yield ConfigDir(package='mml_usurper')"
    site.install("usurper", source, files={"conf/optimizer/adam.yaml": "name: sgd\n"})
    manager = site.discover()
    (line,) = manager.warnings()
    assert line.endswith("hold the option optimizer/adam.yaml; that of mml-core is taken.")
    assert compose(["mode=info", "optimizer=adam"], manager).optimizer.name == "adam"


def test_two_distributions_may_share_an_entry_point_name(site):
    for name in ("one", "two"):
        point = {"mml.plugins": {"same": f"mml_{name}.plugin"}}
        source = {f"mml_{name}/plugin.py": HEAD + HOOK + spec(name)}
        FakeDistribution(name=f"mml-plugin-{name}", entry_points=point, files=source).write(site.folder)
    assert {"one", "two"} <= set(site.discover().schedulers)


def test_one_option_in_two_plugins_is_reported_by_both_names(site):
    for name in ("ca", "cb"):
        source = f"@hookimpl\ndef mml_config_dirs():\n    yield ConfigDir(package='mml_{name}')"
        site.install(name, source, files={"conf/mode/m.yaml": "a: 1\n"})
    (conflict,) = site.discover().config_conflicts()
    assert (conflict.option, conflict.plugins) == ("mode/m.yaml", ("mml-plugin-ca", "mml-plugin-cb"))
    assert str(conflict).endswith("hold the option mode/m.yaml; runs that choose it are refused.")


def share_a_module(site):
    """Install two distributions over one hook module, and what pip leaves behind of one of them."""
    for name in ("mml-plugin-good", "mml-plugin-sharer"):
        FakeDistribution(name=name, entry_points={"mml.plugins": {"x": "mml_good.plugin"}}).write(site.folder)
    left = site.folder / "~ml_plugin_good-1.0.dist-info"
    shutil.copytree(site.folder / "mml_plugin_good-1.0.dist-info", left)


def test_a_module_is_that_of_one_plugin_and_what_pip_left_behind_is_none(site):
    site.install("good", HOOK + spec("fine"))
    share_a_module(site)
    manager = site.discover()
    assert [name for name in manager.plugins if name != "mml-core"] == [
        "mml-plugin-good",
        "mml-plugin-sharer",
    ]
    info = manager.plugin("sharer")
    assert (info.status.value, info.stage.value, info.contributions) == ("invalid", "discover", {})
    assert info.cause == "its module 'mml_good.plugin' is that of mml-plugin-good"
    assert manager.schedulers.entry("fine").provider == "mml-plugin-good"


def test_an_object_is_registered_once():
    manager, plugin = PluginManager(), SimpleNamespace()
    manager.register(plugin, "one")
    with pytest.raises(PluginFailedError, match="is that of one"):
        manager.register(plugin, "two")


@pytest.fixture
def everything(site):
    for name, (source, *_) in BROKEN.items():
        site.install(name, source)
    for name, source in {**TWINS, "heavy": "import numpy"}.items():
        site.install(name, source)
    site.install("future", "", requires=["mml-core>=99"])
    for name in ("one", "two"):
        point = {"mml.plugins": {"same": f"mml_{name}.plugin"}}
        source = {f"mml_{name}/plugin.py": HEAD + HOOK + spec(name)}
        FakeDistribution(name=f"mml-plugin-{name}", entry_points=point, files=source).write(site.folder)
    fine = "yield SchedulerSpec(name='fine', target='mml_good.scheduler:Fine', subroutines=('all',))"
    site.install("good", HOOK + fine, files={"scheduler.py": GOOD})
    share_a_module(site)
    return site


def warned(done):
    """Return which plugins the warning lines on standard error name as unusable."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("mml: warning: Plugin ")]
    return sorted(line.split()[3] for line in lines)


UNUSABLE = sorted(f"mml-plugin-{name}" for name in (*BROKEN, "future", "sharer"))


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_g20_with_all_of_them_at_once_the_first_answers_need_no_plugin(everything, arguments):
    done = everything.mml(*arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_g20_with_all_of_them_at_once_the_list_tells_each_status(everything):
    done = everything.mml("plugins", "list")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert warned(done) == UNUSABLE
    conflicts = [line for line in done.stderr.splitlines() if not line.startswith("mml: warning: Plugin ")]
    assert [
        line.startswith("mml: warning: mml-plugin-twin-a and mml-plugin-twin-b") for line in conflicts
    ] == [True]
    done = everything.mml("plugins", "list", "--json")
    found = {each["name"]: each for each in json.loads(done.stdout)}
    status = {name: each["status"] for name, each in found.items()}
    assert all(status[f"mml-plugin-{name}"] == BROKEN[name][1] for name in BROKEN)
    assert status["mml-plugin-future"] == "incompatible"
    assert {status[f"mml-plugin-{name}"] for name in ("good", "heavy", "one", "two")} == {"active"}
    assert {status[f"mml-plugin-{name}"] for name in TWINS} == {"conflicted"}
    assert "numpy" in found["mml-plugin-heavy"]["heavy"]
    done = everything.mml("plugins", "doctor")
    assert done.returncode == 1
    assert all(name in done.stdout for name in UNUSABLE)


def test_g20_with_all_of_them_at_once_a_good_plugin_runs(everything):
    done = everything.mml("run", "--mode=fine")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert warned(done) == UNUSABLE
    (outcome,) = (everything.folder.parent / "results").glob("default/runs/*/done.json")
    assert json.loads(outcome.read_text())["body"]["return_value"] == 42


def test_a_run_that_uses_a_plugin_in_conflict_is_refused_by_both_names(everything):
    source = TWINS["twin-a"].replace("name='twin', target='x:Y'", "name='mine', target='mml_twin_a.own:Fine'")
    everything.install("twin-a", source, files={"own.py": GOOD})
    done = everything.mml("run", "--mode=mine")
    assert done.returncode == 2
    assert "mml-plugin-twin-a and mml-plugin-twin-b claim the path key 'twin'" in done.stderr.splitlines()[-1]
    done = everything.mml("run", "--mode=mine", "--without-plugin", "twin-b")
    assert done.returncode == 0, done.stderr
