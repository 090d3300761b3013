"""Postprocessing resumes exactly wherever it is killed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("_predictions", Path(__file__).with_name("_predictions.py"))
made = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)

pytest_plugins = ["mml_core.testing.crash"]

BOTH = ["mode.ensemble.method=greedy", "mode.ensemble.bags=2", "metrics.intervals.resamples=20"]


@pytest.fixture(autouse=True)
def two_models(install, mml_project):
    """Predictions of two models, each with one fold, in the project that the kit begins with."""
    install(made.TASK)
    for seed in (1, 2):
        made.store(mml_project, "default", made.model(seed, folds=(0,), splits=("val", "test", "unlabelled")))


def test_g01_g02_g03_postprocessing_is_killed_and_continued(crash_kit):
    crash_kit("postprocess", *BOTH, tasks=[made.TASK], sample=3)


@pytest.mark.long
@pytest.mark.parametrize("executor", ["sequential", "processes"])
def test_g01_g02_g03_postprocessing_is_killed_in_many_places(crash_kit, executor):
    options = [*BOTH, "mode.calibration.method=isotonic", "mode.calibration.priors=estimate"]
    crash_kit("postprocess", *options, tasks=[made.TASK], sample=30, executor=executor)


@pytest.mark.long
def test_steps_are_taken_over_where_nothing_they_used_differs(crash_kit):
    crash_kit.reuse("postprocess", *BOTH, tasks=[made.TASK], changes=["mode.calibration.method=vector"])
