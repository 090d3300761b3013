"""`mml predict --calibrated`, and the notebook: what postprocess has fitted for a model maps new images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

import mml_core.api as mml_api
from mml_core.learning.predictions import Predictions, load_predictions
from mml_core.learning.probabilities import probabilities
from mml_core.testing.fixtures import CommandRunner, MMLProject, Result

pytest_plugins = ["mml_core.testing.fixtures"]

ABLE = ["kind", "signs", "size"]
FEW = ("mode.subroutines=[calibrate]", "metrics.intervals.method=none")


@pytest.fixture(scope="module")
def trained(training) -> Path:
    """Results of a training on two folds of a task of each type, and the images of the test split."""
    root = training.root
    training.run(100)
    for name in training.tasks:
        (file,) = (root / "results" / "default" / "PREDICTIONS" / name).glob("fold0_*.parquet")
        (root / "images" / name).mkdir(parents=True)
        for sample in part(file, "test").sample_ids:
            shutil.copy(root / "data" / "datasets" / name / image_of(sample, name), root / "images" / name)
    return root


def part(file: Path, split: str) -> Predictions:
    return next(each for each in load_predictions(file) if each.split == split)


def image_of(sample_id: str, task: str) -> str:
    return f"{sample_id.removeprefix(task)}.png"


def postprocess(mml: CommandRunner, task: str, *overrides: str) -> Result:
    result = mml("run", "--mode=postprocess", "--tasks", task, *FEW, *overrides)
    assert result.code == 0, result.err
    return result


def calibrated(task: str, fold: int, project: str = "default") -> dict[str, torch.Tensor]:
    """What postprocess made of the test split: image → outputs, by its newest run."""
    files = Path(f"results/{project}/PREDICTIONS/{task}").glob(f"fold{fold}-calibrated_*.parquet")
    found = part(max(files), "test")
    names = [image_of(sample, task) for sample in found.sample_ids]
    return dict(zip(names, found.outputs, strict=True))


def written(file: str = "p.parquet") -> dict[str, torch.Tensor]:
    (found,) = load_predictions(Path(file))
    return dict(zip(found.sample_ids, found.outputs, strict=True))


def predict(mml: CommandRunner, task: str, *options: str, model: str = "") -> Result:
    chosen = model or f"results/default/MODELS/{task}/model_0001.json"
    return mml("predict", chosen, f"images/{task}", "--out", "p.parquet", "--force", *options)


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert sorted(found) == sorted(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "overrides"),
    [
        ("kind", ("mode.calibration.method=temperature",)),
        ("kind", ("mode.calibration.method=vector",)),
        ("kind", ("mode.calibration.method=isotonic",)),
        ("kind", ("mode.calibration.priors=[0.8,0.2]",)),
        ("kind", ("mode.calibration.priors=estimate",)),
        ("signs", ("mode.calibration.method=affine",)),
        ("size", ("mode.calibration.method=affine",)),
    ],
)
def test_new_images_are_predicted_as_postprocess_calibrated_them(
    mml: CommandRunner, workplace: Path, task: str, overrides: Sequence[str]
) -> None:
    postprocess(mml, task, *overrides)
    result = predict(mml, task, "--calibrated")
    assert result.code == 0, result.err
    assert_equal(written(), calibrated(task, fold=0))


def test_each_fold_is_calibrated_before_the_mean(mml: CommandRunner, workplace: Path) -> None:
    postprocess(mml, "kind")
    assert predict(mml, "kind", "--calibrated", model="default/kind").code == 0
    parts = [calibrated("kind", fold) for fold in (0, 1)]
    for name, found in written().items():
        logits = torch.stack([each[name] for each in parts]).double().numpy()
        expected = probabilities("classification", logits).mean(0)
        chances = probabilities("classification", found.double().numpy()[None])[0]
        assert chances == pytest.approx(expected, abs=1e-6)


def test_it_says_whose_calibration_it_was(
    mml: CommandRunner, workplace: Path, mml_project: MMLProject
) -> None:
    postprocess(mml, "kind", "mode.calibration.priors=[0.8,0.2]")
    run = mml_project.runs()[-1].name
    assert (
        f"calibrated by default/{run}: temperature, prior shift" in predict(mml, "kind", "--calibrated").out
    )
    (noted,) = json.loads(pq.read_schema("p.parquet").metadata[b"mml.calibration"])
    assert (noted["run"], noted["method"], noted["prior_shift"]) == (run, "temperature", True)
    said: dict[str, Any] = json.loads(predict(mml, "kind", "--calibrated", "--json").out)
    assert said["calibration"] == [noted]
    predict(mml, "kind")
    assert b"mml.calibration" not in pq.read_schema("p.parquet").metadata


def test_the_newest_run_calibrates_unless_one_is_named(
    mml: CommandRunner, workplace: Path, mml_project: MMLProject
) -> None:
    before = set(mml_project.runs())
    postprocess(mml, "kind", "mode.calibration.method=vector")
    (older,) = (run.name for run in set(mml_project.runs()) - before)
    postprocess(mml, "kind")
    assert ": temperature" in predict(mml, "kind", "--calibrated").out
    assert f"default/{older}: vector" in predict(mml, "kind", "--calibration", older).out


def test_a_calibration_in_another_project_is_named_by_it(mml: CommandRunner, workplace: Path) -> None:
    postprocess(mml, "kind", "--proj=other", "reuse.predictions=default")
    assert "No run of project 'default' has calibrated" in predict(mml, "kind", "--calibrated").err
    assert predict(mml, "kind", "--calibration", "other").code == 0
    assert_equal(written(), calibrated("kind", 0, "other"))


def test_calibrated_ensembles_are_not_taken_for_calibrated_models(
    mml: CommandRunner, workplace: Path, training
) -> None:
    for seed in (1, 2):  # a second model, so that those of each fold are combined
        overrides = ["mode.folds=2", "mode.subroutines=[train,predict]", f"seed={seed}"]
        assert mml("run", "--mode=train", "--tasks=kind", *overrides, *training.tools.QUICK).code == 0
    few = ("--tasks=kind", "metrics.intervals.method=none")
    assert mml("run", "--mode=postprocess", *few, "mode.subroutines=[ensemble]").code == 0
    assert mml("run", "--mode=postprocess", *few, *FEW, "mode.predictions=ensemble").code == 0
    result = predict(mml, "kind", "--calibrated")
    assert "has calibrated task 'kind', fold 0: mml run --mode=postprocess" in result.err


def test_a_notebook_predicts_calibrated_too(mml: CommandRunner, workplace: Path) -> None:
    postprocess(mml, "kind", "mode.calibration.method=vector")
    assert predict(mml, "kind", "--calibrated", model="default/kind").code == 0
    model = mml_api.open_project("default").load_model("kind")
    image = sorted(Path("images/kind").iterdir())[0]
    prediction = model.predict(image, calibrated=True)
    expected = probabilities("classification", written()[image.name].double().numpy()[None])[0]
    assert list(prediction.probabilities.values()) == pytest.approx(expected, abs=1e-6)
    assert prediction.calibration.startswith("default/")
    assert model.predict(image).calibration == ""


@pytest.mark.parametrize(
    ("task", "overrides", "options", "why"),
    [
        ("kind", None, ["--calibrated"], "mml run --mode=postprocess --proj=default --tasks=kind"),
        ("shape", None, ["--calibrated"], "are masks, without the probabilities to calibrate"),
        ("kind", (), ["--calibration", "2026-1"], "Run '2026-1' of project 'default' has not calibrated"),
        ("kind", (), ["--calibration", "defalt/x"], "There is no project 'defalt'"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    mml: CommandRunner,
    workplace: Path,
    task: str,
    overrides: Sequence[str] | None,
    options: list[str],
    why: str,
) -> None:
    if overrides is not None:
        postprocess(mml, task, *overrides)
    result = predict(mml, task, *options)
    assert result.code == 2
    assert why in result.err
    assert len(result.err.splitlines()) == 1


def test_a_stored_ensemble_is_told_from_a_model(mml: CommandRunner, workplace: Path) -> None:
    few = ("--tasks=kind", "metrics.intervals.method=none", "mode.subroutines=[ensemble]")
    assert mml("run", "--mode=postprocess", *few).code == 0
    result = predict(mml, "kind", model="results/default/ENSEMBLES/kind/ensemble_0001.json")
    assert result.code == 2
    assert "is an ensemble of saved predictions" in result.err
    assert "PROJECT/kind" in result.err


def test_priors_are_not_estimated_on_a_handful_of_images(mml: CommandRunner, workplace: Path) -> None:
    postprocess(mml, "kind", "mode.calibration.priors=estimate")
    image = sorted(Path("images/kind").iterdir())[0]
    result = mml("predict", "default/kind", str(image), "--calibrated")
    assert result.code == 2
    assert "1 images are too few for that, at least 20 are needed" in result.err
