"""The mode ``create`` makes what the run's tasks need, keeps what is there, and goes on after a kill."""

from __future__ import annotations

import pytest
from _task_fixtures import ColoursPlugin, manager

from mml_core.config.compose import compose
from mml_core.config.locations import resolve_locations
from mml_core.errors import MMLError
from mml_core.plugins import AmbiguousNameError
from mml_core.schedulers.create import CreateOptionError
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.runner import run_mode
from mml_core.tasks.errors import UnknownTaskError
from mml_core.tasks.index import TaskIndex


@pytest.fixture
def create(tmp_path, monkeypatch):
    monkeypatch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("MML_RESULTS_PATH", str(tmp_path / "results"))

    def run(*overrides, plugins=None):
        plugins = plugins or manager()
        cfg = compose(["mode=create", *overrides], plugins)
        return run_mode(cfg, RunContext(plugins=plugins, locations=resolve_locations()))

    run.data = tmp_path / "data"
    return run


def test_datasets_come_before_the_tasks_over_them(create):
    outcome = create("task_list=[colours,colours+identity]", "mode.num_folds=3")
    assert outcome.value == {"colours": {"train": 18, "test": 6}}
    assert TaskIndex(create.data).get("colours").num_folds == 3


def test_a_second_run_keeps_what_is_there_and_returns_the_same(create, caplog):
    first = create("task_list=[colours]")
    stamp = (create.data / "tasks" / "colours" / "task.json").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        assert create("task_list=[colours]").value == first.value
    assert (create.data / "tasks" / "colours" / "task.json").stat().st_mtime_ns == stamp
    assert "task colours: already there: kept" in caplog.text


def test_force_makes_it_anew(create):
    create("task_list=[colours]")
    create("task_list=[colours]", "mode.force=true", "mode.num_folds=2")
    assert TaskIndex(create.data).get("colours").num_folds == 2


def test_an_imported_task_is_kept_if_its_dataset_is_there(create):
    create("task_list=[colours]")
    folder = create.data / "tasks" / "mine"
    (create.data / "tasks" / "colours").rename(folder)
    (folder / "task.json").write_bytes((folder / "task.json").read_bytes().replace(b'"colours"', b'"mine"'))
    assert create("task_list=[mine]").value == {"mine": {"train": 18, "test": 6}}
    (create.data / "datasets" / "paint").rename(create.data / "away")
    (failure,) = create("task_list=[mine]").failures
    assert "but not its dataset" in failure.error


def test_no_tasks_are_legal(create):
    assert create().value == {}


def test_an_unknown_task_is_refused_with_near_ones(create):
    with pytest.raises(UnknownTaskError, match="Did you mean 'colours'"):
        create("task_list=[colour]")


def test_a_task_of_two_plugins_is_created_by_the_one_that_is_named_and_installed_under_its_short_name(create):
    plugins = manager()
    plugins.register(ColoursPlugin(), "other-plugin")
    outcome = create("task_list=['other-plugin:colours']", plugins=plugins)
    assert list(outcome.value) == TaskIndex(create.data).names() == ["colours"]
    with pytest.raises(AmbiguousNameError, match="'colours-plugin:colours' or 'other-plugin:colours'"):
        create("task_list=[colours]", "mode.force=true", plugins=plugins)


@pytest.mark.parametrize("option", ["num_folds=1", "num_folds=many", "force=maybe", "on_leakage=hide"])
def test_an_option_that_cannot_be_used_is_named(create, option):
    with pytest.raises(CreateOptionError, match=option.split("=")[0]):
        create("task_list=[colours]", f"mode.{option}")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("colour", "Did you mean 'colours'"),
        ("colours+dublicate", "'duplicate'"),
        ("colours+nested?9", "names no fold"),
    ],
)
def test_the_mode_info_refuses_a_wrong_task_before_it_starts(create, name, error):
    create("task_list=[colours]")
    with pytest.raises(MMLError, match=error) as caught:
        create(f"task_list=['{name}']", "mode=info")
    assert caught.value.exit_code == 2
