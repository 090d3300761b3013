"""Plugins around a run: who is told, who may stop it, and which path keys it can use."""

import json

import pytest

from mml_core.config.compose import compose
from mml_core.files.errors import AssignmentError
from mml_core.files.manager import MMLFileManager
from mml_core.scheduling.providers import providers_of

SCHEDULER = """
from mml_core.api import AbstractBaseScheduler

class Count(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=["all"])

    def create_routine(self):
        self.add_step("one")

    def one(self):
        return 1
"""
RECORD = "SchedulerSpec(name='count', target='mml_count.scheduler:Count')"
MODE = f"@hookimpl\ndef mml_schedulers():\n    yield {RECORD}\n"
EVENTS = ("scheduler_created(scheduler)", "step_started(step)", "step_finished(outcome)")
EVENTS += ("run_started(run)", "run_finished(run, outcome)")


def observer(body):
    return "\n".join(
        f"@hookimpl\ndef mml_{event}:\n    {body.format(event.partition('(')[0])}" for event in EVENTS
    )


def test_in_a_run_an_observer_that_raises_silences_nobody(site, tmp_path):
    site.install("count", MODE, files={"scheduler.py": SCHEDULER})
    site.install("aloud", observer("raise ValueError('no luck')"))
    site.install(
        "notes", f"NOTES = {str(tmp_path / 'notes')!r}\n" + observer("open(NOTES, 'a').write('{}\\n')")
    )
    site.install("zloud", observer("raise SystemExit(5)"))
    done = site.mml("run", "--mode=count")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "notes").read_text().split() == [
        "scheduler_created", "run_started", "step_started", "step_finished",
        "step_started", "step_finished", "run_finished",
    ]  # fmt: skip
    (log,) = (tmp_path / "results").glob("default/runs/*/log.txt")
    assert "Plugin mml-plugin-aloud: mml_step_started raised ValueError: no luck." in log.read_text()
    (outcome,) = (tmp_path / "results").glob("default/runs/*/done.json")
    assert "body" in json.loads(outcome.read_text())


ENDS = """
import os, signal
from mml_core.api import AbstractBaseScheduler

class Ends(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        self.add_step(os.environ["HOW"])

    def works(self):
        return 1

    def fails(self):
        raise ValueError("no luck")

    def stops(self):
        os.kill(os.getpid(), signal.SIGTERM)

    def breaks(self):
        self.fm.clean_up = None  # which is called after all steps
"""
TELLS = """
@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="ends", target="mml_ends.scheduler:Ends")

@hookimpl
def mml_run_finished(outcome):
    print("told:", outcome.ok, outcome.interrupted, outcome.error)
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("works", "told: True False None"),
        ("fails", "told: False False Step fails() failed: ValueError: no luck"),
        ("stops", "told: False True The run was interrupted"),
        ("breaks", "told: False False TypeError: 'NoneType' object is not callable"),
    ],
)
def test_whoever_observes_is_told_how_a_run_ended_whatever_ended_it(site, how, told):
    site.install("ends", TELLS, files={"scheduler.py": ENDS})
    done = site.mml("run", "--mode=ends", HOW=how)
    assert [line[: len(told)] for line in done.stdout.splitlines() if "told" in line] == [told], done.stderr


def test_a_record_that_names_nothing_is_refused_by_its_plugin_before_a_run_begins(site, tmp_path):
    site.install("count", MODE)
    executor = "yield ExecutorSpec(name='far', target='mml_far.nowhere:Far')"
    site.install("far", f"@hookimpl\ndef mml_executors():\n    {executor}")
    for arguments, says in (
        (["--mode=count"], "Plugin mml-plugin-count, mode 'count': Cannot load 'mml_count.scheduler:Count'"),
        (["--mode=clean", "--executor=far"], "Plugin mml-plugin-far, executor 'far': Cannot load"),
    ):
        done = site.mml("run", *arguments)
        assert done.returncode == 2
        assert says in done.stderr.splitlines()[-1]
    assert not (tmp_path / "results").exists()


def keys(**paths):
    lines = [f"    yield PathAssignment(key={key!r}, path={path!r})" for key, path in paths.items()]
    return "\n".join(["@hookimpl", "def mml_path_assignments():", *lines])


def test_a_contradictory_path_key_is_an_error_when_used_and_harms_no_other(site, tmp_path):
    site.install("pa", keys(twin="PROJ_PATH/A/a.json", mine="PROJ_PATH/M/m.json", left="PROJ_PATH/S/s.json"))
    site.install("pb", keys(twin="PROJ_PATH/B/b.json", right="PROJ_PATH/s/S.json"))
    plugins = site.discover()
    assert len(plugins.path_conflicts()) == 2
    with MMLFileManager(data=tmp_path, results=tmp_path, project="p", plugins=plugins) as manager:
        manager.construct_saving_path({}, "mine").write_text("{}")
        for key, cause in (
            ("twin", r"'twin' is defined differently by mml-plugin-pa .* and mml-plugin-pb"),
            ("left", r"'left' of mml-plugin-pa .* and 'right' of mml-plugin-pb"),
            ("right", r"'left' of mml-plugin-pa .* and 'right' of mml-plugin-pb"),
        ):
            with pytest.raises(AssignmentError, match=cause):
                manager.construct_saving_path({}, key)
    assert list((tmp_path / "p" / "M").iterdir())


def test_a_run_uses_the_plugins_that_its_config_names_and_those_that_can_change_every_run(site):
    site.install("count", MODE, files={"scheduler.py": SCHEDULER})
    task = "yield TaskSpec(name='dots', dataset='d', create='x:Y', task_type='regression')"
    site.install("dots", f"@hookimpl\ndef mml_tasks():\n    {task}")
    site.install("tagged", "@hookimpl\ndef mml_tags():\n    yield TagSpec(name='half', apply='x:Y')")
    site.install("tells", "@hookimpl\ndef mml_step_started(scheduler):\n    pass")
    site.install("watches", "@hookimpl\ndef mml_run_started(run):\n    pass")
    site.install("idle", keys(mine="PROJ_PATH/M/m.json"))
    plugins = site.discover()
    every = {"mml-core", "mml-plugin-count", "mml-plugin-tells"}
    assert providers_of(compose(["mode=count"], plugins), plugins) == every
    cfg = compose(["mode=count", "task_list=[dots+half?2]"], plugins)
    assert providers_of(cfg, plugins) == every | {"mml-plugin-dots", "mml-plugin-tagged"}
    cfg = compose(["mode=count", "task_list=['dots:dots']", "tagging.variants=[half]"], plugins)
    assert providers_of(cfg, plugins) == every | {"mml-plugin-dots", "mml-plugin-tagged"}
