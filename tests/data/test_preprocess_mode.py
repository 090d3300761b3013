"""The mode ``preprocess``: what it plans, what its steps do and what they import."""

import logging
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from mml_core.config.locations import resolve_locations
from mml_core.data.errors import PreprocessingError
from mml_core.plugins import PluginManager
from mml_core.schedulers.preprocess import PreprocessScheduler
from mml_core.scheduling.context import RunContext


def scheduler(task, results, tasks=("toy",), **mode):
    cfg = {
        "task_list": list(tasks),
        "mode": {"name": "preprocess", "subroutines": ["preprocess"], **mode},
        "preprocessing": {"id": "size32", "height": 32, "width": 32},
        "paths": {"data": str(task.data), "results": str(results)},
        "proj": "p",
    }
    locations = resolve_locations({"data": str(task.data), "results": str(results)})
    return PreprocessScheduler.prepare(
        OmegaConf.create(cfg), RunContext(plugins=PluginManager(builtin=True), locations=locations)
    )


def test_a_task_is_preprocessed_once_however_many_tags_it_has(make_task, tmp_path) -> None:
    made = scheduler(make_task(), tmp_path / "results", tasks=["toy", "toy+duplicate?2"])
    try:
        made.create_routine()
        assert [list(params) for params in made.params] == [["toy"]]
    finally:
        made.fm.close()


def test_a_step_says_whether_it_stored_or_kept_and_returns_the_same(make_task, tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    made = scheduler(make_task(), tmp_path / "results")
    try:
        first = made.preprocess_task("toy")
        assert "toy: stored in preprocessing size32 (20 samples" in caplog.text
        assert made.preprocess_task("toy") == first
        assert "already there and up to date: kept" in caplog.text
        assert first == {"task": "toy", "prep_id": "size32", "samples": 20}
    finally:
        made.fm.close()


def test_a_wrong_number_of_workers_is_refused_before_any_step(make_task, tmp_path) -> None:
    with pytest.raises(PreprocessingError, match=r"mode\.workers is 0"):
        scheduler(make_task(), tmp_path / "results", workers=0)


def test_the_mode_imports_no_torch() -> None:
    code = "import sys, mml_core.schedulers.preprocess; assert not {'torch', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
