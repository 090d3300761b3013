"""The mode: from the command to the table, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import mml_core.api as mml_api
from mml_core.api import Features, MMLFileManager, PluginManager, save_features
from mml_core.testing import PluginContract, SchedulerContract

pytest_plugins = ["mml_core.testing.crash"]

# Of the 16 images of a tiny task some are equal.
SMALL = ["mode.of=pixels", "preprocessing=none", "mode.scales=[1]", "mode.mle.first=3", "mode.mle.last=5"]
TASKS = ("tiny_classification", "tiny_regression")


class TestPlugin(PluginContract):
    plugin = "mml-plugin-dimensionality"


@pytest.fixture
def tasks(tiny_task):
    return [tiny_task(name.removeprefix("tiny_")).name for name in TASKS]


def run(mml, *options, tasks=TASKS, proj="default"):
    return mml("run", "--mode=dimensionality", f"--tasks={','.join(tasks)}", f"--proj={proj}", *options)


def table_of(mml_project, proj="default"):
    import pyarrow.parquet as pq

    return (
        pq.ParquetFile(mml_project.path(proj) / "DIMENSIONALITY/dimensionality_0001.parquet")
        .read()
        .to_pylist()
    )


def test_a_table_and_what_the_run_returns_hold_the_estimates(mml, mml_project, tasks):
    done = run(mml, *SMALL)
    assert done.code == 0, done.err
    assert tasks[0] in done.out and "dimensionality_0001.parquet" in done.out
    rows = table_of(mml_project)
    assert [(row["task"], row["estimator"]) for row in rows] == [
        (task, estimator) for task in tasks for estimator in ("mle", "two_nn")
    ]
    assert all(0 < row["dimension"] < 256 and row["width"] == 256 for row in rows)


def test_a_run_returns_the_estimates(mml_project, tasks):
    options = dict(option.split("=") for option in SMALL[:2])
    smaller = {"mode.scales": [2], "mode.mle": {"first": 3, "last": 3}}
    value = mml_api.run("dimensionality", tasks, **options, **smaller).value
    rows = table_of(mml_project)
    assert value["dimensions"][tasks[0]] == {row["estimator"]: row["dimension"] for row in rows[:2]}
    assert value["table"].endswith("dimensionality_0001.parquet")


def test_features_of_an_earlier_run_are_taken_over(mml, mml_project, tasks):
    assert run(mml, *SMALL, proj="first").code == 0
    done = run(mml, *SMALL, "mode.estimators=[two_nn]", "reuse.features=first", proj="second")
    assert done.code == 0, done.err
    assert not any(name.startswith("FEATURES/") for name in mml_project.files("second"))
    dimensions = {
        proj: [row["dimension"] for row in table_of(mml_project, proj) if row["estimator"] == "two_nn"]
        for proj in ("first", "second")
    }
    assert dimensions["first"] == dimensions["second"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["mode.estimators=[two_n]"], "Did you mean 'two_nn'"),
        (["mode.mle.last=30"], "has 16 samples, and 31 are needed for 30 neighbours"),
        (["mode.split=test"], "has 4 samples, and 6 are needed"),
        (["mode.samples=4"], "has 4 samples, and 6 are needed"),
    ],
)
def test_what_cannot_be_estimated_is_refused_before_any_step(mml, mml_project, tasks, options, said):
    done = run(mml, *SMALL, *options)
    assert done.code == 2
    assert said in done.err
    assert mml_project.files() == {}


def test_a_run_without_tasks_is_refused(mml, mml_project):
    done = mml("run", "--mode=dimensionality")
    assert done.code == 2
    assert "--tasks=a,b" in done.err


@pytest.fixture
def extracted(mml_project, tasks):
    """Features in the project ``made``, so that what is killed often does not wait for torch."""
    plugins = PluginManager.discover()
    with MMLFileManager(
        data=mml_project.data, results=mml_project.results, project="made", plugins=plugins
    ) as manager:
        for number, task in enumerate(tasks):
            values = np.random.default_rng(number).standard_normal((60, 4)).astype(np.float32)
            names = [f"{row:02d}" for row in range(60)]
            features = Features(
                task=task, task_type="unlabelled", sample_ids=names, splits=["train"] * 60, values=values
            )
            save_features(manager.construct_saving_path(None, "features", task_name=task), features)
    return tasks


KILLED = ["reuse.features=made", "mode.scales=[1,2]", "mode.mle.first=3", "mode.mle.last=5"]


def test_it_resumes_from_a_kill(crash_kit, extracted):
    crash_kit("dimensionality", *KILLED, tasks=extracted, sample=3)


@pytest.mark.long
@pytest.mark.parametrize("executor", ["sequential", "processes"])
def test_it_resumes_from_kills_in_many_places(crash_kit, extracted, executor):
    crash_kit("dimensionality", *KILLED, tasks=extracted, sample=30, executor=executor)


@pytest.mark.long
def test_it_resumes_from_kills_while_features_are_extracted(crash_kit, tasks):
    crash_kit("dimensionality", *SMALL, tasks=tasks, sample=10)


@pytest.mark.long
def test_steps_are_taken_over_where_nothing_they_used_differs(crash_kit, extracted):
    changes = ["mode.mle.last=4", "mode.two_nn.discard=0.2"]
    crash_kit.reuse("dimensionality", *KILLED, tasks=extracted, changes=changes)


@pytest.mark.long
class TestScheduler(SchedulerContract):
    scheduler = "dimensionality"
    tasks = TASKS
    config = {
        "mode.of": "pixels",
        "preprocessing": "none",
        "mode.scales": [1, 2],
        "mode.mle.first": 3,
        "mode.mle.last": 4,
    }

    @pytest.fixture(autouse=True)
    def _with_tasks(self, tasks):
        """The tiny tasks are no plugin's, so that nobody else can create them."""
