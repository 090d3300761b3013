"""The mode resumes exactly wherever it is killed."""

from __future__ import annotations

import numpy as np
import pytest

from mml_core.api import Features, save_features

pytest_plugins = ["mml_core.testing.crash", "mml_core.testing.fixtures"]

TASKS = ["tiny_classification", "tiny_multilabel"]
DISTANCES = ("mode.distances=[fid,emd,ensemble]", "mode.plots=[map]")


@pytest.fixture
def stored_features(mml_project, dot):
    """Features of the tasks in a project, so that no process of the test needs torch."""
    from mml_core.api import MMLFileManager, PluginManager

    for number, task in enumerate(TASKS):
        found = Features(
            task=task,
            task_type="unlabelled",
            sample_ids=[str(each) for each in range(12)],
            splits=["train"] * 12,
            values=np.random.default_rng(number).normal(size=(12, 3)).astype(np.float32),
        )
        with MMLFileManager(
            data=mml_project.data,
            results=mml_project.results,
            project="stored",
            plugins=PluginManager.discover(),
        ) as manager:
            save_features(manager.construct_saving_path(None, "features", task), found)


def test_a_kill_changes_nothing(crash_kit, stored_features):
    crash_kit("similarity", *DISTANCES, "reuse.features=stored", tasks=TASKS, sample=3)


FISHER = ("mode.distances=[fisher]", "mode.plots=[]", "mode.fisher.exact=0")


def test_a_kill_changes_nothing_of_embeddings(crash_kit, dot):
    crash_kit("similarity", *FISHER, *dot, tasks=TASKS, sample=3, methods=["embed"])


@pytest.mark.long
def test_a_kill_anywhere_changes_nothing_of_embeddings(crash_kit, dot):
    crash_kit("similarity", *FISHER, *dot, tasks=TASKS, sample=16)


@pytest.mark.long
def test_a_kill_under_processes_changes_nothing_of_embeddings(crash_kit, dot):
    crash_kit("similarity", *FISHER, *dot, tasks=TASKS, sample=5, executor="processes")


@pytest.mark.long
def test_embeddings_are_taken_over_where_nothing_they_used_differs(crash_kit, dot):
    changes = ["mode.fisher.l2=0.1", "mode.fisher.draws=2"]
    crash_kit.reuse("similarity", *FISHER, *dot, tasks=TASKS, changes=changes)


@pytest.mark.long
def test_a_kill_changes_nothing_of_features(crash_kit, dot):
    crash_kit("similarity", *DISTANCES, *dot, tasks=TASKS, sample=25)


@pytest.mark.long
def test_steps_are_taken_over_where_nothing_they_used_differs(crash_kit, stored_features):
    changes = ["mode.emd.samples=5", "mode.ensemble.by=ranges"]
    crash_kit.reuse("similarity", *DISTANCES, "reuse.features=stored", tasks=TASKS, changes=changes)


@pytest.mark.long
def test_a_kill_under_processes_changes_nothing(crash_kit, dot):
    crash_kit("similarity", *DISTANCES, *dot, tasks=TASKS, sample=8, executor="processes")
