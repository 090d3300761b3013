"""A page of a project or a run: whole, escaped, the same each time, and without anything from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from mml_report.charts import line_chart, ticks
from mml_report.content import Content, collect
from mml_report.page import render

import mml_core.api as api
from mml_core.testing.tiny_tasks import create_tiny_task

if TYPE_CHECKING:
    from mml_core.testing.fixtures import CommandRunner, Result

pytest_plugins = ["mml_core.testing.fixtures"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RUNS = ("run", "mode", "state", "steps_done", "steps", "created", "seconds")
METRICS = ("task", "fold", "split", "epoch", "metric", "value", "class_name", "low", "high", "run", "path")
PREDICTIONS = ("task", "fold", "split", "sample_id", "subject_id", "target", "prediction", "probabilities")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and results with the project ``default``: a classification that was trained on two folds."""
    root = tmp_path_factory.mktemp("report")
    task = create_tiny_task(root / "data", "classification")
    api.run(
        "train",
        task.name,
        paths={"data": root / "data", "results": root / "results"},
        arch="resnet_tiny",
        preprocessing="none",
        trainer={"max_epochs": 2, "accelerator": "cpu"},
        **{"loader.batch_size": 8, "metrics.intervals.resamples": 20},
    )
    return root


@pytest.fixture
def project(root: Path, monkeypatch: pytest.MonkeyPatch) -> api.Project:
    monkeypatch.setenv("MML_DATA_PATH", str(root / "data"))
    monkeypatch.setenv("MML_RESULTS_PATH", str(root / "results"))
    return api.open_project("default")


@pytest.fixture
def report(mml: CommandRunner, project: api.Project) -> Callable[..., Result]:
    """Return a function that runs ``mml report`` where the project is."""
    return lambda *arguments: mml("report", *arguments)


def content(**tables: list[dict[str, object]]) -> Content:
    columns = {"runs": RUNS, "metrics": METRICS, "predictions": (*PREDICTIONS, "run", "path"), "models": ()}
    frames = {name: pd.DataFrame(tables.get(name, []), columns=list(keys)) for name, keys in columns.items()}
    return Content(project="made_up", **frames)


def test_a_project_becomes_a_page_in_its_folder(root: Path, report) -> None:
    done = report()
    page = root / "results/default/REPORTS/default.html"
    assert (done.code, done.out) == (0, f"Written to {page}.\n"), done
    text = page.read_text()
    for word in (
        "tiny_classification",
        "accuracy",
        "Confusion of",
        "Worst samples",
        "train, fold 0",
        "Models",
    ):
        assert word in text
    report()
    assert page.read_text() == text


def test_a_run_becomes_a_page_with_its_sessions_versions_and_config(root: Path, report) -> None:
    (run,) = (path.name for path in (root / "results/default/runs").iterdir())
    output = root / "run.html"
    assert report(run, "-o", str(output)).code == 0
    text = output.read_text()
    for word in ("Sessions", "Versions", "mml-core", "max_epochs: 2", "before_finishing_hook()", "done"):
        assert word in text


def test_a_page_needs_nothing_from_elsewhere(project: api.Project) -> None:
    page = render(collect(project))
    assert re.findall(r"https?://[^\s\"'<]+|<script|<iframe|@import|url\(", page) == []


def test_what_others_have_named_is_shown_and_not_run() -> None:
    name = "<script>alert(1)</script>&\"'"
    scores = {
        "task": name,
        "fold": 0,
        "split": "test",
        "metric": name,
        "value": 0.5,
        "run": name,
        "path": name,
    }
    run = {"run": name, "mode": "train", "state": name, "steps_done": 1, "steps": 1}
    sample = {"task": name, "fold": 0, "split": "test", "sample_id": name, "run": name, "path": name}
    sample |= {"target": name, "prediction": name, "probabilities": {name: 1.0}}
    history = {**scores, "epoch": 0}
    page = render(content(runs=[run], metrics=[scores, history], predictions=[sample]))
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page


def test_folds_of_a_training_are_averaged_and_other_files_are_not() -> None:
    def score(run: str, path: str, value: float, fold: int) -> dict[str, object]:
        return {
            "task": "t",
            "split": "test",
            "metric": "accuracy",
            "run": run,
            "path": path,
            "value": value,
            "fold": fold,
        }

    runs = [{"run": "1", "mode": "train", "state": "done", "steps_done": 1, "steps": 1}]
    runs += [{**runs[0], "run": "2", "mode": "postprocess"}]
    page = render(
        content(
            runs=runs,
            metrics=[
                *(score("1", f"m_000{fold}.parquet", 0.5 + fold / 10, fold) for fold in (0, 1)),
                score("2", "m_0003.parquet", 0.9, -1),
            ],
        )
    )
    assert "2 by fold</td><td>test</td><td>0.5500 ± 0.0707<" in page
    assert "m_0003</td><td>test</td><td>0.9000<" in page


def test_models_of_two_runs_and_calibrated_ones_are_not_counted_together() -> None:
    from mml_report.content import _of_classes

    def sample(run: str, path: str, split: str = "test") -> dict[str, object]:
        return {"task": "t", "split": split, "target": "a", "run": run, "path": path}

    rows = [
        sample("1", "fold0_0001.parquet"),
        sample("2", "fold0_0002.parquet"),
        sample("2", "fold1_0003.parquet"),
        sample("2", "fold0_0002.parquet", "val"),
        sample("2", "fold0-calibrated_0004.parquet"),
        {**sample("3", "fold0_0005.parquet"), "target": None},
    ]
    kept = _of_classes(pd.DataFrame(rows))
    assert list(kept["path"]) == ["fold0_0002.parquet", "fold1_0003.parquet"]


def test_a_project_without_any_model_has_a_page(root: Path, report) -> None:
    paths = {"data": root / "data", "results": root / "results"}
    api.run("preprocess", "tiny_classification", paths=paths, proj="bare", preprocessing="size32")
    assert report("--proj", "bare").code == 0
    assert "preprocess" in (root / "results/bare/REPORTS/bare.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proj", "defualt"], "Did you mean 'default'"),
        (["no_such_run"], "no_such_run"),
        (["-o", "."], "is a folder"),
    ],
)
def test_misuse_is_one_line(report, arguments: list[str], words: str) -> None:
    done = report(*arguments)
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1


def test_lines_leave_out_what_is_no_number() -> None:
    nan = float("nan")
    drawn = line_chart({"a": [(0, nan), (1, 2), (2, float("inf")), (3, 4)], "b": []}, x="x", y="y", title="t")
    assert drawn.count("<polyline") == 1
    assert drawn.count("<circle") == 2
    assert line_chart({"a": [(0, nan)]}, x="x", y="y", title="t") == ""


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]), ((0.91, 0.97), [0.92, 0.94, 0.96]), ((-3, 12), [0, 5, 10])],
)
def test_ticks_are_round_numbers(span: tuple[float, float], expected: list[float]) -> None:
    assert ticks(*span) == pytest.approx(expected)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: a browser is not asked")
def test_a_browser_shows_the_page_without_a_complaint(project: api.Project, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render(collect(project)))
    still = [
        f"--disable-{what}" for what in ("gpu", "quic", "background-networking", "component-update", "sync")
    ]
    browser = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        *still,
        "--enable-logging=stderr",
    ]
    done = subprocess.run(
        [*browser, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert "tiny_classification" in done.stdout
    assert done.stdout.count("<svg") >= 3
