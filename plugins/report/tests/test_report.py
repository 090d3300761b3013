"""A page of a project or a run: whole, escaped, the same each time, and without anything from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from mml_report import comparing
from mml_report.charts import line_chart, ticks
from mml_report.configs import changed_keys, differing_keys
from mml_report.content import collect
from mml_report.html import table
from mml_report.page import render
from mml_report.pictures import MOST, pictures
from mml_report.record import quoted
from mml_report.sets import word_of

import mml_core.api as api

pytest_plugins = ["mml_core.testing.fixtures"]
HOSTILE = "<script>alert(1)</script></style>&\"'\u202eabc\x00"


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    """The page of the project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MML_DATA_PATH", str(root / "data"))
        return render(collect(api.open_project(root / "results/default")))


def test_a_project_becomes_a_page_in_its_folder_the_same_each_time(root: Path, report) -> None:
    done = report()
    path = root / "results/default/REPORTS/default.html"
    assert (done.code, done.out) == (0, f"Written to {path}.\n"), done
    text = path.read_text()
    report()
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("task_type", "words"),
    [
        ("classification", ("accuracy", "Confusion of", "Calibration of", "probability of the true class")),
        ("multilabel", ("rightly said", "Calibration of", "mean squared error of the probabilities")),
        ("regression", ("Predicted over true values", "absolute error")),
        ("semantic_segmentation", ("(pixels)", "outline of the true mask", "by Dice")),
    ],
)
def test_a_task_of_each_type_has_what_its_type_has(page: str, task_type: str, words: tuple[str, ...]) -> None:
    (section,) = re.findall(rf"<h2>tiny_{task_type}</h2>.*?</section>", page, re.DOTALL)
    for word in (*words, "Metrics of", "Learning curves: loss", "Worst samples", "Best samples"):
        assert word in section
    assert section.count('src="data:image/') >= 8


def test_how_many_samples_are_shown_of_how_many_is_said(
    project: api.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mml_report.page.EXTREMES", 2)
    page = render(collect(project))
    assert len(re.findall(r"Of \d+ samples 2 are shown each way", page)) == 4


def test_models_of_a_task_are_compared_with_the_best_of_them(page: str) -> None:
    (drawn,) = re.findall(r"Models of tiny_classification against the best</span></caption>.*?</table>", page)
    assert drawn.count("<td>the best</td>") == 1
    assert "p (Holm)" in drawn
    assert "Models of tiny_regression against" not in page  # there is one


def test_what_differs_between_the_runs_is_named(page: str) -> None:
    assert "<td>seed</td><td>42</td>" in page
    assert "<td>seed</td><td>7</td>" in page
    assert "<td>paths.data" not in page


def test_an_image_that_is_gone_is_said_in_its_cell(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
        page = render(collect(api.open_project(root / "results/default")))
    assert 'src="data:image/' not in page
    assert "no image: the task tiny_classification is not installed any more" in page


def test_a_run_becomes_a_page_with_its_record_and_config(root: Path, report) -> None:
    run, _ = sorted(path.name for path in (root / "results/default/runs").iterdir())
    output = root / "run.html"
    assert report(run, "-o", str(output)).code == 0
    text = output.read_text()
    for word in ("Sessions", "Versions", "mml-core", "before_finishing_hook()", "none had to be attempted"):
        assert word in text
    assert "<td>trainer.max_epochs</td><td>2</td>" in text
    assert text.index("by default</span></caption>") < text.index("Config, whole")


def test_each_file_is_read_once_and_no_bootstrap_drawn_in_vain(
    project: api.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[str] = Counter()
    compared: list[list[str]] = []

    class Counted(pq.ParquetFile):
        def __init__(self, source: Path, **options: object) -> None:
            opened[str(source)] += 1
            super().__init__(source, **options)

    def counted(*arguments, **options):
        compared.append(arguments[2])
        return api.compare(*arguments, **options)

    monkeypatch.setattr(pq, "ParquetFile", Counted)
    monkeypatch.setattr(comparing, "compare", counted)
    render(collect(project))
    assert len(opened) == 5 * 2 * 3  # of five trainings of two folds the predictions, scores and histories
    assert set(opened.values()) == {1}
    assert len(compared) == 1  # the task that was trained twice, by its leading metric


def test_a_report_loads_nothing_that_trains(project: api.Project, tmp_path: Path) -> None:
    code = (
        "import sys; from mml_core.cli.main import main; main(sys.argv[1:]);"
        "print(*sorted({'lightning', 'monai', 'kornia', 'matplotlib', 'torchmetrics'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "report", "-o", str(tmp_path / "page.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"Written to {tmp_path / 'page.html'}.\n\n", done.stderr


def test_metrics_that_are_left_out_are_named(made_up) -> None:
    def scores(number: int) -> list[dict[str, object]]:
        row = {"task": "t", "split": "val", "fold": 0, "run": "1", "path": "m_0001.parquet", "value": 0.5}
        return [{**row, "metric": f"m{number}"}, {**row, "metric": f"m{number}", "epoch": 0}]

    run = {"run": "1", "mode": "train", "state": "done", "steps_done": 1, "steps": 1}
    page = render(made_up(runs=[run], metrics=[row for number in range(14) for row in scores(number)]))
    assert "Further metrics are left out: m12, m13." in page
    assert "Of each epoch there are also: m2, m3," in page


def test_a_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert re.findall(r"https?://[^\s\"'<]+|<script|<iframe|@import|url\(", page) == []


def test_postprocessing_shows_its_table_of_before_and_after(root: Path, report) -> None:
    paths = {"data": root / "data", "results": root / "results"}
    api.run(
        "postprocess",
        "tiny_classification",
        paths=paths,
        proj="calibrated",
        **{"reuse.models": "default", "reuse.predictions": "default", "metrics.intervals.resamples": 20},
    )
    assert report("--proj", "calibrated").code == 0
    text = (root / "results/calibrated/REPORTS/calibrated.html").read_text()
    assert re.search(r"What the run returned.*before.*after.*change", text)
    assert "calibrate_fold" in text


def test_a_project_without_any_model_has_a_page(root: Path, report) -> None:
    paths = {"data": root / "data", "results": root / "results"}
    api.run("preprocess", "tiny_classification", paths=paths, proj="bare", preprocessing="size32")
    assert report("--proj", "bare").code == 0
    assert "preprocess" in (root / "results/bare/REPORTS/bare.html").read_text()


def test_a_project_without_runs_has_a_page_that_says_so(root: Path, report) -> None:
    (root / "results/empty").mkdir()
    assert report("--proj", "empty").code == 0
    assert "no runs yet" in (root / "results/empty/REPORTS/empty.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proj", "defualt"], "Did you mean 'default'"),
        (["no_such_run"], "no_such_run"),
        (["-o", "."], "is a folder"),
        (["-o", "/dev/null/page.html"], "/dev/null"),
    ],
)
def test_misuse_is_one_line(report, arguments: list[str], words: str) -> None:
    done = report(*arguments)
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1


def test_a_run_that_was_interrupted_has_a_page_that_says_how_to_go_on(root: Path, report) -> None:
    shutil.copytree(root / "results/default", root / "results/cut")
    run, _ = sorted(path for path in (root / "results/cut/runs").iterdir())
    (run / "done.json").unlink()
    sorted((run / "steps").iterdir())[0].unlink()
    assert report(run.name, "--proj", "cut").code == 0
    text = (root / f"results/cut/REPORTS/{run.name}.html").read_text()
    assert "resumable at step" in text
    assert f"mml run --continue {run.name}" in text


def test_a_damaged_file_is_named_and_not_used(root: Path, report) -> None:
    shutil.copytree(root / "results/default", root / "results/damaged")
    file = next((root / "results/damaged/PREDICTIONS/tiny_regression").iterdir())
    file.write_bytes(file.read_bytes()[:-9])
    done = report("--proj", "damaged")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert file.name in done.err


def test_a_damaged_record_of_a_run_is_said_on_the_page(root: Path, report) -> None:
    shutil.copytree(root / "results/default", root / "results/torn")
    for name in ("plan.json", "config.yaml"):
        for run in (root / "results/torn/runs").iterdir():
            (run / name).write_text("{")
    assert report("--proj", "torn").code == 0
    assert "damaged" in (root / "results/torn/REPORTS/torn.html").read_text()


def test_what_others_have_named_is_shown_and_not_run(made_up) -> None:
    score = {"task": HOSTILE, "fold": 0, "split": "test", "metric": HOSTILE, "value": 0.5}
    score |= {"run": HOSTILE, "path": HOSTILE}
    run = {"run": HOSTILE, "mode": "train", "state": HOSTILE, "steps_done": 1, "steps": 1}
    page = render(made_up(runs=[run], metrics=[score, {**score, "epoch": 0}]))
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert page.count("</style>") == 1
    assert "\x00" not in page


def test_the_direction_of_a_name_stays_in_its_cell() -> None:
    assert "<td><bdi>\u202eabc</bdi></td>" in table("t", ("a",), [("\u202eabc",)])


def test_folds_of_a_training_are_averaged(made_up) -> None:
    def score(value: float, fold: int) -> dict[str, object]:
        row = {"task": "t", "split": "test", "metric": "accuracy", "run": "1", "path": f"m_000{fold}.parquet"}
        return {**row, "value": value, "fold": fold}

    run = {"run": "1", "mode": "train", "state": "done", "steps_done": 1, "steps": 1}
    page = render(made_up(runs=[run], metrics=[score(0.5, 0), score(0.6, 1)]))
    assert "2 by fold</td><td>test</td><td>0.5500 ± 0.0707<" in page


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ("fold0_0001", ""),
        ("fold1-outer2_0003", ""),
        ("fold0-calibrated-model1_0005", "calibrated-model1"),
        ("fold0-ensemble-mean_0009", "ensemble-mean"),
        ("ensemble-mean_0011", "ensemble-mean of all folds"),
    ],
)
def test_sets_of_models_are_told_apart_by_the_names_of_their_files(file: str, word: str) -> None:
    assert word_of(f"/p/{file}.parquet") == word


def test_configs_that_cannot_be_compared_say_why() -> None:
    assert "no config that can be read" in changed_keys(None, {})
    assert "the mode is not known" in changed_keys(None, {"seed": 1})
    assert differing_keys({"a": {"seed": 1}, "b": {"seed": 1}}) == ""


def test_pictures_of_a_run_are_shown_or_named(tmp_path: Path) -> None:
    names = [f"map_{number:04d}.png" for number in range(MOST + 2)]
    for name in [*names, "table.parquet"]:
        (tmp_path / name).write_bytes(b"pixels")
    drawn = pictures(tmp_path, ["gone.png", "table.parquet", *names])
    assert drawn.count("<img") == MOST - 1
    assert "gone.png cannot be read" in drawn
    assert f"left out: {', '.join(names[MOST - 1 :])}." in drawn
    assert pictures(tmp_path, ["table.parquet"]) == ""


@pytest.mark.parametrize(
    ("word", "shown"),
    [("mode=train", "mode=train"), ("mode='a b'", "\"mode='a b'\""), ("a b", "'a b'"), ("$'", "'$'\"'\"''")],
)
def test_commands_can_be_read_and_pasted(word: str, shown: str) -> None:
    assert quoted(word) == shown


def test_runs_of_one_mode_are_compared_by_its_keys() -> None:
    train: dict[str, object] = {"mode": {"name": "train", "folds": 1}, "seed": 1}
    create = {"mode": {"name": "create", "force": True}, "seed": 2}
    drawn = differing_keys({"a": train, "b": {**train, "mode": {"name": "train", "folds": 2}}, "c": create})
    assert re.findall(r"<tr><td>(.*?)</td>", drawn) == ["mode.folds", "mode.folds", "seed", "seed"]


def test_short_words_are_whole_on_paper() -> None:
    drawn = table("t", ("a_b",), [("2026-11-25_07-36-37_73f5",), ("accuracy of the best",)])
    assert '<th scope="col">a_<wbr>b</th>' in drawn
    assert '<td class="long">2026-' in drawn
    assert "<td>accuracy of the best</td>" in drawn


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
