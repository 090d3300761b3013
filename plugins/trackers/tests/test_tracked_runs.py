"""A run is tracked where that was asked for, and is the same run whatever the tracker does."""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from mml_trackers.journal import FOLDER, Journal, StepJournal
from mml_trackers.mirror import copy_once
from mml_trackers.options import MLflowOptions, WandbOptions

from mml_core.plugins import PluginManager

pytest_plugins = ["mml_core.testing.fixtures"]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """An MLflow database without runs; making one takes seconds."""
    tracking = pytest.importorskip("mlflow.tracking", reason="mlflow is not installed")
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracking.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_store, mml_project):
    mml_project.results.mkdir()
    return shutil.copy(empty_store, mml_project.results / "mlflow.db")


def runs_of(path, experiment="default"):
    """Runs in an MLflow store: name → status, points of each metric, tags, params."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{path}")
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    names = [run.info.run_name for run in runs]
    assert len(names) == len(set(names))
    return {
        run.info.run_name: (
            run.info.status,
            {
                name: [
                    (point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)
                ]
                for name in run.data.metrics
            },
            run.data.tags,
            run.data.params,
        )
        for run in runs
    }


def results_of(mml_project, project):
    """Files by hash, but those that hold when they were made."""
    files = mml_project.files(project).items()
    return {path: sha256 for path, sha256 in files if not path.startswith("MODELS")}


def tracked(mml_project, project="default"):
    (run,) = mml_project.runs(project)
    return Journal(run / FOLDER)


def test_nothing_is_tracked_unless_asked_for(mml, mml_project, dot) -> None:
    assert mml(*dot).code == 0
    assert not (mml_project.runs()[0] / FOLDER).exists()


def test_a_tracker_that_is_not_installed_costs_one_warning(mml, mml_project, dot, monkeypatch) -> None:
    plain = mml(*dot, "--proj=plain")
    monkeypatch.setattr(WandbOptions, "package", "not_installed")
    result = mml(*dot, "logging=wandb")
    assert result.code == 0
    assert result.err.count("pip install 'mml-plugin-trackers[wandb]'") == 1
    assert result.out == plain.out.replace("plain", "default")
    assert results_of(mml_project, "default") == results_of(mml_project, "plain")
    journal = tracked(mml_project)
    (trained,) = (step for step in journal.steps() if step.name == "train_fold")
    assert (trained.task, trained.fold, trained.state) == ("tiny_classification", "0", "done")
    assert list(trained.curves["val/loss"]) == [0, 1, 2]


def test_no_result_depends_on_the_plugin() -> None:
    info = PluginManager.discover().plugins["mml-plugin-trackers"]
    assert (info.status.value, info.changing_hooks) == ("active", ())


def test_a_run_that_was_begun_without_the_plugin_goes_on_with_it(mml, mml_project, dot, monkeypatch) -> None:
    monkeypatch.setattr(MLflowOptions, "package", "not_installed")
    monkeypatch.setenv("FAILS_IN_EPOCH", "1")
    assert mml(*dot, "--without-plugin=trackers").code == 1
    monkeypatch.delenv("FAILS_IN_EPOCH")
    result = mml("run", "--continue")
    assert (result.code, "was not there" in result.err) == (0, False)
    assert not (mml_project.runs()[0] / FOLDER).exists()


def test_a_full_disk_costs_one_warning(mml, mml_project, dot, monkeypatch) -> None:
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(MLflowOptions, "package", "not_installed")
    assert mml(*dot, "--proj=plain").code == 0
    monkeypatch.setattr(StepJournal, "note", full)
    result = mml(*dot, "logging=mlflow")
    assert result.code == 0
    assert result.err.count("No space left on device") == 1
    assert results_of(mml_project, "default") == results_of(mml_project, "plain")


@pytest.mark.long  # processes that import torch
def test_steps_that_run_at_once_do_not_mix(mml, mml_project, dot, monkeypatch) -> None:
    monkeypatch.setattr(MLflowOptions, "package", "not_installed")
    folds = [each for each in dot if not each.startswith("mode.folds")] + [
        "mode.folds=[0,1]",
        "logging=mlflow",
    ]
    curves = {}
    for executor in ("sequential", "processes"):
        assert mml(*folds, f"--executor={executor}", f"--proj={executor}").code == 0
        curves[executor] = {
            (step.name, step.fold, name): {epoch: value for epoch, (value, _) in curve.items()}
            for step in tracked(mml_project, executor).steps()
            for name, curve in step.curves.items()
        }
    assert {fold for _, fold, _ in curves["sequential"]} == {"0", "1"}
    assert curves["processes"] == curves["sequential"]


@pytest.mark.long  # a copying process that waits for the lock
def test_a_database_that_is_locked_costs_one_warning(mml, mml_project, dot, store) -> None:
    assert mml(*dot, "--proj=plain").code == 0
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        result = mml(*dot, "logging=mlflow", "logging.mlflow.wait=8")
        other.execute("ROLLBACK")
    assert result.code == 0
    assert result.err.count("This run is not tracked as asked for: ") == 1
    assert results_of(mml_project, "default") == results_of(mml_project, "plain")
    again = mml("trackers", "sync")
    assert (again.code, again.err) == (0, "")
    assert {status for status, *_ in runs_of(store).values()} == {"FINISHED"}


@pytest.mark.long  # MLflow in a process of its own
def test_secrets_of_trackers_are_stored_nowhere(mml, mml_project, dot, monkeypatch) -> None:
    monkeypatch.setenv("STORE", "nonsense://me:s3cret@localhost/runs")
    monkeypatch.setenv("WANDB_API_KEY", "k3y" * 14)
    monkeypatch.setenv("FAILS_IN_EPOCH", "1")
    failed = mml(*dot, "logging=mlflow_wandb", "logging.mlflow.uri=${oc.env:STORE}", "--debug")
    monkeypatch.delenv("FAILS_IN_EPOCH")
    finished = mml("run", "--continue")
    assert (failed.code, finished.code) == (1, 0)
    files = [path.read_bytes() for path in mml_project.results.rglob("*") if path.is_file()]
    shown = [text.encode() for each in (failed, finished) for text in (each.out, each.err)]
    for secret in (b"s3cret", b"k3yk3y"):
        assert not any(secret in each for each in (*files, *shown))


def test_tracking_can_begin_when_a_run_goes_on(mml, mml_project, dot, monkeypatch) -> None:
    monkeypatch.setattr(MLflowOptions, "package", "not_installed")
    monkeypatch.setenv("FAILS_IN_EPOCH", "1")
    assert mml(*dot).code == 1
    monkeypatch.delenv("FAILS_IN_EPOCH")
    assert mml("run", "--continue", "logging=mlflow").code == 0
    assert tracked(mml_project).read("end")["state"] == "done"


def test_a_failed_run_is_noted_as_failed_with_its_cause(mml, mml_project, dot, monkeypatch) -> None:
    monkeypatch.setattr(MLflowOptions, "package", "not_installed")
    monkeypatch.setenv("FAILS_IN_EPOCH", "1")
    assert mml(*dot, "logging=mlflow").code == 1
    journal = tracked(mml_project)
    end = journal.read("end")
    assert (end["state"], "no more batches" in end["error"]) == ("failed", True)
    assert [(step.state, list(step.curves["train/loss"])) for step in journal.steps()] == [("failed", [0])]


@pytest.mark.long  # MLflow alone takes seconds to import
def test_a_tracker_that_fails_costs_one_warning_that_holds_no_secret(
    mml, mml_project, dot, monkeypatch
) -> None:
    pytest.importorskip("mlflow.tracking", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://me:s3cret@localhost/runs")
    result = mml(*dot, "logging=mlflow")
    assert result.code == 0
    assert result.err.count("This run is not tracked as asked for: mlflow: ") == 1
    run = mml_project.runs()[0].name
    assert f"`mml trackers sync {run} --proj default`" in result.err
    texts = [
        path.read_text()
        for path in mml_project.results.rglob("*")
        if path.suffix in (".json", ".txt", ".yaml")
    ]
    assert not any("s3cret" in text for text in (result.out, result.err, *texts))


@pytest.mark.long  # a run that is killed, one that goes on, and a database that is made
def test_a_run_that_was_killed_goes_on_in_the_same_run_of_mlflow(
    mml, mml_process, mml_project, dot, store
) -> None:
    options = ("logging=mlflow", "callbacks.checkpoint.every_n_batches=1", "logging.mlflow.copy=[models]")
    killed = mml_process(*dot, *options, env={"DIES_IN_EPOCH": "2"})
    assert killed.code == -9
    with (tracked(mml_project).folder / "lock").open() as lock:  # what copies sees that the run is gone
        fcntl.flock(lock, fcntl.LOCK_EX)
    states = {name: (status, metrics) for name, (status, metrics, _, _) in runs_of(store).items()}
    assert {status for status, _ in states.values()} == {"KILLED"}
    before = states["tiny_classification fold 0"][1]["val/loss"]
    assert [epoch for epoch, _ in before] == [0, 1]

    assert mml("run", "--continue").code == 0
    run = mml_project.runs()[0].name
    found = runs_of(store)
    assert set(found) == {run, "tiny_classification fold 0"}
    assert {status for status, *_ in found.values()} == {"FINISHED"}
    _, metrics, tags, _ = found["tiny_classification fold 0"]
    assert metrics["val/loss"][:2] == before
    assert all([step for step, _ in metrics[name]] == [0, 1, 2] for name in ("train/loss", "val/accuracy"))
    assert (tags["mml.task"], tags["mml.fold"]) == ("tiny_classification", "0")
    assert tags["mml.step"].count("train_fold-") == 1
    _, metrics, tags, params = found[run]
    assert "tiny_classification/accuracy" in metrics
    assert (params["trainer.max_epochs"], params["proj"]) == ("3", "default")
    copied = list(mml_project.results.glob("mlartifacts/default/*/artifacts/models/*/model_0001.json"))
    assert len(copied) == 1
    (listed,) = mml_project.results.glob("mlartifacts/default/*/artifacts/artefacts.json")
    hashes = {each["path"]: each["sha256"] for each in json.loads(listed.read_text())["files"]}
    assert hashes == mml_project.files()

    again = mml("trackers", "sync")
    assert (again.code, again.out) == (0, f"Run {run} is told to mlflow.\n")
    assert {name: metrics for name, (_, metrics, _, _) in runs_of(store).items()} == {
        name: metrics for name, (_, metrics, _, _) in found.items()
    }


def test_a_journal_that_goes_on_is_told_to_mlflow_once(store, mml_project) -> None:
    run = {"id": "2026-01-01_00-00-00_abcd", "project": "default", "mode": "train"}
    run_dir = mml_project.results / "default" / "runs" / run["id"]
    journal = Journal(run_dir / FOLDER)
    config = {"seed": 42, "logging": {"mlflow": {}}}
    journal.begin({**run, "project_path": str(mml_project.results / "default"), "config": config})
    step = journal.step("train-a-0")
    step.note("step", name="train", task="a", fold="0-outer1")
    step.note("epoch", fit=1, epoch=0, metrics={"val/loss": 1.0})
    assert copy_once(run_dir) == (["mlflow"], {})
    assert {status for status, *_ in runs_of(store).values()} == {"KILLED"}

    step.note("step", name="train", task="a", fold="0-outer1")
    for epoch in (0, 1):  # the first is trained again
        step.note("epoch", fit=1, epoch=epoch, metrics={"val/loss": 1.0 - epoch})
    step.note("end", ok=True, error="", numbers={"best": 0.0}, task="a", fold="0-outer1")
    journal.end({"state": "done", "error": "", "numbers": {"a/loss": 0.5}, "artefacts": []})
    assert copy_once(run_dir) == (["mlflow"], {})
    found = runs_of(store)
    assert {name: (status, metrics) for name, (status, metrics, _, _) in found.items()} == {
        run["id"]: ("FINISHED", {"a/loss": [(0, 0.5)]}),
        "a fold 0-outer1": ("FINISHED", {"val/loss": [(0, 1.0), (1, 0.0)], "train/best": [(0, 0.0)]}),
    }


def test_sync_names_what_was_not_tracked(mml, mml_project) -> None:
    result = mml("trackers", "sync")
    assert result.code == 2
    assert result.err == "mml: No run of project 'default' was tracked; add logging=mlflow to `mml run`.\n"
