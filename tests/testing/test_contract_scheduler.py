"""Schedulers that ship keep the contract of schedulers; each way to break it is named."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mml_core.api import run
from mml_core.testing import SchedulerContract

PLANTED = Path(__file__).parent / "planted" / "contracts.py"
TINY = {
    "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    "preprocessing": "none",
    "loader.batch_size": 8,
    "arch": "resnet_tiny",
    "mode.folds": [0],
}


def _planted():
    spec = importlib.util.spec_from_file_location("planted_contracts", PLANTED)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


planted = _planted()


@pytest.mark.long
class TestHonest(SchedulerContract):
    scheduler = planted.Honest


@pytest.mark.long
class TestInfo(SchedulerContract):
    scheduler = "info"
    tasks = ["digits"]


@pytest.mark.long
class TestCreate(SchedulerContract):
    scheduler = "create"
    tasks = ["digits"]


@pytest.mark.long
class TestPreprocess(SchedulerContract):
    scheduler = "preprocess"
    tasks = ["digits"]


@pytest.mark.long
class TestClean(SchedulerContract):
    scheduler = "clean"


@pytest.mark.long
class TestTrain(SchedulerContract):
    scheduler = "train"
    tasks = ["digits+subset?60"]
    config = TINY


@pytest.mark.long
class TestTransfer(SchedulerContract):
    scheduler = "transfer"
    tasks = ("tiny_classification",)
    config: ClassVar[dict[str, Any]] = {
        **TINY,
        "mode": {"pretrain_task": "tiny_multilabel", "pretrain_folds": 1, "folds": 1},
    }

    @pytest.fixture(autouse=True)
    def created(self, tiny_task):
        for task_type in ("classification", "multilabel"):
            tiny_task(task_type)


@pytest.mark.long
class TestPostprocess(SchedulerContract):
    scheduler = "postprocess"
    tasks = ("tiny_classification",)
    config: ClassVar[dict[str, Any]] = {
        "mode.ensemble": {"method": "greedy", "bags": 2},
        "metrics.intervals.resamples": 20,
    }

    @pytest.fixture(autouse=True)
    def trained(self, tiny_task):
        task = tiny_task("classification")
        for seed in (1, 2):
            run("train", task.name, seed=seed, **TINY)


def contract(broken: type) -> SchedulerContract:
    class Contract(SchedulerContract):
        scheduler = broken
        config = {}

    return Contract()


@pytest.fixture
def scenario_for(mml_project, monkeypatch):
    """The scenario of a class, as the contract's own fixture makes it."""

    def make(contract):
        return type(contract).scenario.__wrapped__(contract, mml_project, monkeypatch)

    return make


def test_an_honest_scheduler_has_no_fault(scenario_for, mml_project, mml_process):
    honest = contract(planted.Honest)
    scenario = scenario_for(honest)
    honest.test_its_plan_is_always_the_same(scenario, mml_process)
    honest.test_planning_makes_no_files(scenario, mml_project)
    honest.test_its_record_names_its_subroutines(scenario, mml_project)
    honest.test_it_runs_to_its_end(scenario, mml_project, mml_process)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (planted.PlansASet, r"Step \d of the plan is draw\('.'\) in one process and draw\('.'\) in another"),
        (planted.ParamsNoJSON, "cannot be planned: .*draw.*JSON"),
    ],
)
def test_a_plan_that_is_not_always_the_same_is_named(scheduler, message, scenario_for, mml_process):
    broken = contract(scheduler)
    with pytest.raises(AssertionError, match=message):
        broken.test_its_plan_is_always_the_same(scenario_for(broken), mml_process)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (planted.WritesInInit, r"The preparation of WritesInInit \(__init__.* writes work/note.txt"),
        (planted.WritesInRoutine, r"WritesInRoutine.create_routine writes work/note.txt; do that in a step"),
    ],
)
def test_files_made_while_planning_are_named(scheduler, message, scenario_for, mml_project):
    broken = contract(scheduler)
    with pytest.raises(AssertionError, match=message):
        broken.test_planning_makes_no_files(scenario_for(broken), mml_project)


def test_a_run_that_fails_is_named(scenario_for, mml_project, mml_process):
    broken = contract(planted.Fails)
    with pytest.raises(AssertionError, match=r"ends with 1: .*no luck"):
        broken.test_it_runs_to_its_end(scenario_for(broken), mml_project, mml_process)


@pytest.mark.long
def test_a_result_that_depends_on_the_executor_is_named(scenario_for, crash_kit):
    broken = contract(planted.CountsInMemory)
    with pytest.raises(AssertionError, match=r"(?s)sequential and executor=processes .*kept in memory"):
        broken.test_workers_change_no_result(scenario_for(broken), crash_kit)


@pytest.mark.long
def test_a_run_that_does_not_resume_is_named(scenario_for, crash_kit):
    broken = contract(planted.CountsInMemory)
    broken.sample = 8
    with pytest.raises(AssertionError, match="result kept in memory"):
        broken.test_it_resumes_from_a_kill(scenario_for(broken), crash_kit)


def test_a_record_with_other_subroutines_is_named(inline_plugin, scenario_for, mml_project):
    source = (
        "from mml_core.plugins import SchedulerSpec, hookimpl\n"
        "MML_PLUGIN_API = 1\n"
        "@hookimpl\n"
        "def mml_schedulers():\n"
        "    yield SchedulerSpec(name='m', target='mml_other.s:S', subroutines=('a', 'b'))\n"
    )
    scheduler = (
        "from mml_core.api import AbstractBaseScheduler\n"
        "class S(AbstractBaseScheduler):\n"
        "    def __init__(self, cfg):\n"
        "        super().__init__(cfg, available_subroutines=['a', 'c'])\n"
    )
    inline_plugin("other", source, {"s.py": scheduler})
    broken = contract("m")
    broken.config = {"mode.subroutines": ["a"]}
    with pytest.raises(AssertionError, match=r"'m' has the subroutines \['a', 'b'\], its class \['a', 'c'\]"):
        broken.test_its_record_names_its_subroutines(scenario_for(broken), mml_project)
