"""What plugins are asked and told while mml works: each failure has a plugin's name and stays where it is."""

import logging
import re
from dataclasses import replace

import pytest

from mml_core.cli.main import main
from mml_core.plugins import (
    AmbiguousNameError,
    HookFailedError,
    Outcome,
    PluginFailedError,
    PluginManager,
    RefError,
    RunView,
    SchedulerSpec,
    StepView,
    TaskSpec,
    command_entry_points,
    hookimpl,
)
from mml_core.testing.distributions import FakeDistribution

STEP = StepView(id="s-1", name="s", params=(1,))


def a_task(name):
    return TaskSpec(name=name, dataset="stars", create="x:Y", task_type="classification")


class Observer:
    """Does in each hook what it was made with."""

    def __init__(self, act):
        self.act = act

    @hookimpl
    def mml_step_started(self, step):
        self.act(step)

    @hookimpl
    def mml_step_finished(self, scheduler, step, outcome):
        self.act((scheduler, step, outcome))

    @hookimpl
    def mml_trainer_callbacks(self, task):
        return self.act(task)

    @hookimpl
    def mml_find_task(self, name):
        return self.act(name)


def raising(error):
    def act(_):
        raise error

    return act


def manager_of(**acts):
    manager = PluginManager()
    for name, act in acts.items():
        manager.register(Observer(act), f"mml-plugin-{name}")
    return manager


@pytest.mark.parametrize("error", [ValueError("no luck"), SystemExit("no luck")])
def test_what_an_observer_raises_is_logged_and_the_others_are_called(caplog, error):
    seen = []
    manager = manager_of(a=seen.append, b=raising(error), c=seen.append)
    with caplog.at_level(logging.WARNING, "mml.plugins"):
        manager.notify("mml_step_started", scheduler=None, run=None, step=STEP)
    assert seen == [STEP, STEP]
    (line,) = caplog.messages
    assert line == f"Plugin mml-plugin-b: mml_step_started raised {type(error).__name__}: no luck."


def test_an_observer_takes_the_arguments_it_asks_for():
    seen = []
    outcome = Outcome(ok=True, value=1, error=None, seconds=0.1)
    manager_of(a=seen.append).notify("mml_step_finished", scheduler="s", run=None, step=STEP, outcome=outcome)
    assert seen == [("s", STEP, outcome)]


def test_an_interruption_goes_through_and_an_asking_hook_is_not_told():
    manager = manager_of(a=raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        manager.notify("mml_step_started", scheduler=None, run=None, step=STEP)
    with pytest.raises(ValueError, match="no hook that observes"):
        manager.notify("mml_find_task", name="x")


def test_callbacks_come_with_their_provider_in_the_order_of_names_and_can_be_switched_off():
    manager = manager_of(b=lambda task: [task, "b"], a=lambda task: iter("a"), c=lambda task: None)
    pairs = [("mml-plugin-a", "a"), ("mml-plugin-b", "t"), ("mml-plugin-b", "b")]
    assert manager.trainer_callbacks(None, "t") == pairs
    assert manager.trainer_callbacks(None, "t", disabled=["b"]) == pairs[:1]
    assert manager.trainer_callbacks(None, "t", disabled=["MML_Plugin.A"]) == pairs[1:]


@pytest.mark.parametrize("act", [raising(ValueError("no")), lambda _: 3, raising(SystemExit(3))])
def test_a_plugin_whose_callbacks_fail_is_named(act):
    with pytest.raises(HookFailedError, match=r"^Plugin mml-plugin-x: .*--without-plugin mml-plugin-x"):
        manager_of(x=act).trainer_callbacks(None, None)


def test_a_task_is_found_in_the_registry_first_then_by_the_first_plugin_that_knows_it(caplog):
    class Listed:
        @hookimpl
        def mml_tasks(self):
            yield a_task("listed")

    manager = manager_of(
        a=raising(ValueError("no")), b=lambda name: 3, c=lambda name: None,
        d=lambda name: a_task(name) if name.startswith("dyn") else None, e=lambda name: a_task("late"),
    )  # fmt: skip
    manager.register(Listed(), "listed")
    assert manager.find_task("listed") is manager.tasks.get("listed")
    assert not caplog.messages
    assert manager.find_task("dyn1").name == "dyn1"
    assert manager.find_task("other").name == "late"
    assert "Plugin mml-plugin-a: mml_find_task raised ValueError: no." in caplog.messages
    assert "Plugin mml-plugin-b: mml_find_task returned a int." in caplog.messages
    assert PluginManager().find_task("nothing") is None
    manager.register(Listed(), "again")
    with pytest.raises(AmbiguousNameError, match="'again:listed' or 'listed:listed'"):
        manager.find_task("listed")


def test_a_reference_is_resolved_on_first_use_and_a_wrong_one_names_its_plugin(site):
    hook = "@hookimpl\ndef mml_schedulers():\n"
    good = f"{hook}    yield SchedulerSpec(name='good', target='mml_refs.inner:Thing')\n"
    source = good + "    yield SchedulerSpec(name='bad', target='mml_refs.inner:Thin')"
    site.install("refs", source, files={"inner.py": "class Thing: pass"})
    manager = site.discover()
    assert manager.resolve(manager.schedulers.entry("good")).__name__ == "Thing"
    assert manager.plugin("refs").status.value == "active"
    with pytest.raises(RefError, match=r"Plugin mml-plugin-refs, mode 'bad': .*Did you mean 'Thing'"):
        manager.resolve(manager.schedulers.entry("bad"))
    info = manager.plugin("refs")
    assert (info.status.value, info.stage.value) == ("invalid", "resolve")
    assert "Thin" in info.traceback
    assert len(manager.warnings()) == 1


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("mml_refs.iner:Thing", "no module 'mml_refs.iner'. Did you mean 'inner'?"),
        ("mml_refs.inner:Sceduler", "It defines 'Thing'."),
        ("mml_rfs.inner:Thing", "there is no module 'mml_rfs'."),
    ],
)
def test_a_reference_that_leads_nowhere_says_what_is_there(site, target, hint):
    source = f"@hookimpl\ndef mml_schedulers():\n    yield SchedulerSpec(name='bad', target='{target}')\n"
    site.install("refs", source, files={"inner.py": "class Thing: pass"})
    manager = site.discover()
    with pytest.raises(RefError, match=re.escape(hint)):
        manager.resolve(manager.schedulers.entry("bad"))


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("", "no 'Thing'"),
    ],
)
def test_a_reference_into_a_broken_module_is_one_line(site, source, cause):
    hook = (
        "@hookimpl\ndef mml_schedulers():\n    yield SchedulerSpec(name='bad', target='mml_refs.inner:Thing')"
    )
    site.install("refs", hook, files={"inner.py": source})
    manager = site.discover()
    with pytest.raises(RefError, match=cause) as caught:
        manager.resolve(manager.schedulers.entry("bad"))
    assert "\n" not in str(caught.value)


def test_a_registered_object_must_be_valid_and_its_name_free():
    class Wrong:
        @hookimpl
        def mml_schedulers(self, config):
            return []

    with pytest.raises(PluginFailedError, match="asks for config"):
        PluginManager().register(Wrong(), "wrong")
    with pytest.raises(PluginFailedError, match="already"):
        PluginManager().register(object(), "MML_Core")
    assert SchedulerSpec.noun == "mode"


def a_command(site, name, source, requires=("mml-core>=2,<3",), group="mml.commands", point=None):
    package = f"mml_{name}"
    FakeDistribution(
        name=f"mml-plugin-{name}", entry_points={group: {point or name: f"{package}.cli"}},
        files={f"{package}/cli.py": source}, requires=requires,
    ).write(site.folder)  # fmt: skip


GREET = '''"""Greet."""
def add_arguments(parser):
    parser.add_argument("who")
def run(args):
    print("hello", args.who)
    return 0
'''


def test_a_command_is_known_from_metadata_and_imported_when_asked_for(site):
    a_command(site, "greet", GREET)
    a_command(site, "broken", "raise SystemExit(0)")
    a_command(site, "old", "raise AssertionError('imported')", requires=["mml-core<2"])
    a_command(site, "silent", "def add_arguments(parser): pass")
    points = {point.name: point for point in command_entry_points(path=[str(site.folder)])}
    assert list(points) == ["broken", "greet", "old", "silent"]
    assert points["greet"].load().__doc__ == "Greet."
    assert points["greet"].distribution == "mml-plugin-greet"
    with pytest.raises(PluginFailedError, match="SystemExit"):
        points["broken"].load()
    with pytest.raises(PluginFailedError, match="needs mml-core<2"):
        points["old"].load()
    with pytest.raises(
        PluginFailedError, match=r"'mml_silent\.cli' of mml-plugin-silent .* has no function run"
    ):
        points["silent"].load()


def test_a_command_runs_and_a_broken_one_is_one_line(site):
    a_command(site, "greet", GREET)
    a_command(site, "broken", "import nowhere_at_all")
    assert "greet" in site.mml("--help").stdout
    assert site.mml("greet", "you").stdout == "hello you\n"
    done = site.mml("broken")
    assert done.returncode == 2
    assert "nowhere_at_all" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_command_of_two_plugins_is_run_by_its_provider(site, capsys):
    for name in ("pa", "pb"):
        a_command(site, name, GREET.replace("hello", name), point="greet")
    assert main(["greet", "you"]) == 2
    assert "write 'mml-plugin-pa:greet' or 'mml-plugin-pb:greet'" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "mml-plugin-pb:greet" in capsys.readouterr().out
    assert main(["pb:greet", "you"]) == 0
    assert capsys.readouterr().out == "pb you\n"


def test_an_importer_is_loaded_as_safely_as_a_command(site, capsys):
    a_command(site, "pa", "raise SystemExit(0)", group="mml.importers", point="strange")
    assert main(["tasks", "add", "strange"]) == 2
    assert "SystemExit" in capsys.readouterr().err
    a_command(site, "pb", "raise AssertionError('imported')", group="mml.importers", point="strange")
    assert main(["tasks", "add", "strange"]) == 2
    assert "write 'mml-plugin-pa:strange' or 'mml-plugin-pb:strange'" in capsys.readouterr().err
    assert main(["tasks", "add", "strange", "--without-plugin", "pa", "--without-plugin", "pb"]) == 2
    assert "There is no importer 'strange'" in capsys.readouterr().err


def test_each_observer_has_a_copy_of_the_run_and_keeps_it():
    seen = []

    class Watching:
        def __init__(self, add):
            self.add = add

        @hookimpl
        def mml_step_started(self, run, step):
            seen.append(run)
            run.config["task_list"].append(self.add)

    manager = PluginManager()
    for name in ("a", "b"):
        manager.register(Watching(name), f"mml-plugin-{name}")
    run = RunView(id="1", project="p", mode="m", dir=None, config={"task_list": ["t"]})
    for _ in range(2):
        manager.notify("mml_step_started", scheduler=None, run=run, step=STEP)
    first, second, first_again, second_again = seen
    assert first is first_again
    assert second is second_again
    assert first.config["task_list"] == ["t", "a", "a"]
    assert second.config["task_list"] == ["t", "b", "b"]
    assert run.config["task_list"] == ["t"]
    other = replace(run, id="2")
    manager.notify("mml_step_started", scheduler=None, run=other, step=STEP)
    assert seen[-1] is not first
    assert seen[-1].id == "2"
