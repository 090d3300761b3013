"""The mode postprocess: what it makes of stored predictions, from which of them, and what it refuses."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mml_core.learning.calibration import fit
from mml_core.learning.calibrator import load_calibrator
from mml_core.learning.evaluation import evaluate
from mml_core.learning.outputs import MULTILABEL, REGRESSION, SEGMENTATION
from mml_core.learning.predictions import Predictions, load_predictions
from mml_core.learning.probabilities import probabilities
from mml_core.testing.fixtures import CommandRunner, MMLProject, Result

_SPEC = importlib.util.spec_from_file_location("_predictions", Path(__file__).with_name("_predictions.py"))
made = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)
TASK, model, store = made.TASK, made.model, made.store

pytest_plugins = ["mml_core.testing.fixtures"]

Run = Callable[..., Result]
CALIBRATE, ENSEMBLE = "mode.subroutines=[calibrate]", "mode.subroutines=[ensemble]"


@pytest.fixture
def run(mml: CommandRunner, install: Any) -> Run:
    """``run(*overrides)``: postprocess the task in the project ``p``, with few resamples."""
    install(TASK, samples=60)

    def postprocess(*overrides: str) -> Result:
        few = (
            ()
            if any(each.startswith("metrics.intervals") for each in overrides)
            else ("metrics.intervals.resamples=20",)
        )
        return mml("run", "--mode=postprocess", "--tasks", TASK, "--proj", "p", *few, *overrides)

    return postprocess


def returned(project: MMLProject) -> Any:
    return json.loads((project.runs("p")[-1] / "done.json").read_text())["body"]["return_value"]


def predictions(project: MMLProject, name: str, project_name: str = "p") -> dict[str, Predictions]:
    (path,) = (project.path(project_name) / "PREDICTIONS" / TASK).glob(f"{name}_[0-9]*.parquet")
    return {part.split: part for part in load_predictions(path)}


def stored(project: MMLProject, folder: str) -> list[dict[str, Any]]:
    return [
        json.loads(path.read_text()) for path in sorted((project.path("p") / folder / TASK).glob("*.json"))
    ]


def chances(part: Predictions) -> np.ndarray:
    return probabilities(part.output.task_type, part.outputs.double().numpy())


def test_each_fold_is_calibrated_on_its_own_validation_samples(run: Run, mml_project: MMLProject) -> None:
    files = model(1)
    store(mml_project, "p", files)
    result = run(CALIBRATE)
    assert result.code == 0, result.err
    for fold, found in enumerate(stored(mml_project, "CALIBRATION")):
        parts = {part.split: part for part in files[f"fold{fold}.parquet"]}
        expected = fit("temperature", parts["val"])
        assert found["parameters"] == expected.parameters
        after = predictions(mml_project, f"fold{fold}-calibrated")
        for split in ("val", "test"):
            assert torch.equal(after[split].outputs, expected.apply(parts[split]).outputs)
            assert torch.equal(after[split].targets, parts[split].targets)
            assert after[split].fold == fold


def test_a_stored_calibration_maps_new_predictions_of_the_model(run: Run, mml_project: MMLProject) -> None:
    store(mml_project, "p", model(1, folds=(0,)))
    assert run(CALIBRATE).code == 0
    (path,) = (mml_project.path("p") / "CALIBRATION").rglob("*.json")
    new = made.invented(0, "unlabelled", 1)
    assert load_calibrator(path).apply(new).targets is None


def test_the_table_is_the_mean_over_folds_before_and_after(run: Run, mml_project: MMLProject) -> None:
    files = model(1)
    store(mml_project, "p", files)
    result = run(CALIBRATE)
    found = returned(mml_project)[TASK]["temperature, model1"]["test"]
    for metric in ("accuracy", "nll", "brier", "ece", "auroc"):
        before = [evaluate(parts[1], [metric])[metric] for parts in files.values()]
        after = [
            evaluate(predictions(mml_project, f"fold{fold}-calibrated")["test"], [metric])[metric]
            for fold in (0, 1)
        ]
        assert found[metric]["before"] == pytest.approx(np.mean(before))
        assert found[metric]["after"] == pytest.approx(np.mean(after))
        low, high = found[metric]["interval"]
        assert low <= high
    assert found["nll"]["change"] < 0
    assert "Before and after, change with 95 % interval" in result.out


def test_metrics_of_calibrated_predictions_are_written(run: Run, mml_project: MMLProject) -> None:
    import pyarrow.parquet as pq

    store(mml_project, "p", model(1, folds=(0,)))
    assert run(CALIBRATE).code == 0
    (path,) = (mml_project.path("p") / "METRICS").rglob("*.parquet")
    rows = {(row["split"], row["metric"]): row for row in pq.read_table(path).to_pylist()}
    test = predictions(mml_project, "fold0-calibrated")["test"]
    assert rows["test", "nll"]["value"] == pytest.approx(evaluate(test, ["nll"])["nll"])
    assert rows["test", "nll"]["low"] <= rows["test", "nll"]["value"] <= rows["test", "nll"]["high"]


def test_without_intervals_the_table_has_none(run: Run, mml_project: MMLProject) -> None:
    store(mml_project, "p", model(1, folds=(0,)))
    assert run(CALIBRATE, "metrics.intervals.method=none").code == 0
    assert returned(mml_project)[TASK]["temperature, model1"]["test"]["nll"]["interval"] is None


FITTING = [
    (CALIBRATE, "mode.calibration.method=temperature"),
    (CALIBRATE, "mode.calibration.method=isotonic", "mode.calibration.priors=estimate"),
    (ENSEMBLE, "mode.ensemble.method=weighted"),
    (ENSEMBLE, "mode.ensemble.method=greedy", "mode.ensemble.bags=2"),
]


@pytest.mark.parametrize("overrides", FITTING)
def test_targets_that_are_reported_change_nothing_that_is_fitted(
    run: Run, mml_project: MMLProject, overrides: tuple[str, ...]
) -> None:
    fitted = []
    for turned in (0, 1):
        for seed in (1, 2):
            files = model(seed, splits=("val", "test", "outer"))
            for parts in files.values():
                parts[1:] = [replace(part, targets=part.targets.roll(turned)) for part in parts[1:]]
            store(mml_project, "p", files)
        result = run(*overrides, "mode.runs=all" if not turned else f"mode.runs={newest(mml_project, 2)}")
        assert result.code == 0, result.err
        files_made = sorted((mml_project.path("p") / "PREDICTIONS" / TASK).glob("fold*-*.parquet"))
        outputs = [part.outputs for path in files_made for part in load_predictions(path)]
        fitted.append(
            (content(stored(mml_project, "CALIBRATION") + stored(mml_project, "ENSEMBLES")), outputs)
        )
    (before, first), (both, all_outputs) = fitted
    assert both == before + before
    assert len(all_outputs) == 2 * len(first)
    hashes = [sorted(each.numpy().tobytes() for each in outputs) for outputs in (first, all_outputs)]
    assert hashes[1] == sorted(hashes[0] * 2)


def newest(project: MMLProject, count: int) -> str:
    from mml_core.files.artefacts import ArtefactStore

    records = ArtefactStore(project.path("p")).newest_first("predictions", TASK)
    runs = dict.fromkeys(record.run for record in records if not record.extra)
    return f"[{','.join(list(runs)[:count])}]"


def content(objects: list[dict[str, Any]]) -> list[str]:
    """What was fitted, without where its samples came from."""
    return [json.dumps({k: v for k, v in each.items() if k not in ("of", "members")}) for each in objects]


def test_priors_are_corrected_on_what_is_predicted_but_not_on_validation(
    run: Run, mml_project: MMLProject
) -> None:
    files = model(1, folds=(0,), splits=("val", "test", "unlabelled"))
    store(mml_project, "p", files)
    assert run(CALIBRATE, "mode.calibration.priors=[0.6,0.3,0.1]").code == 0
    (found,) = stored(mml_project, "CALIBRATION")
    source = np.array(found["prior_shift"]["source"])
    plain = fit("temperature", files["fold0.parquet"][0])
    after = predictions(mml_project, "fold0-calibrated")
    assert torch.equal(after["val"].outputs, plain.apply(files["fold0.parquet"][0]).outputs)
    for split, part in zip(("test", "unlabelled"), files["fold0.parquet"][1:], strict=True):
        expected = chances(plain.apply(part)) * np.array([0.6, 0.3, 0.1]) / source
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(chances(after[split]), expected, atol=1e-6)


def test_an_ensemble_averages_models_and_folds_on_the_test_split(run: Run, mml_project: MMLProject) -> None:
    models = [model(seed) for seed in (1, 2)]
    for files in models:
        store(mml_project, "p", files)
    assert run(ENSEMBLE).code == 0
    tests = [chances(parts[1]) for files in models for parts in files.values()]
    whole = predictions(mml_project, "ensemble-mean")
    assert set(whole) == {"test"}
    np.testing.assert_allclose(chances(whole["test"]), np.mean(tests, axis=0), atol=1e-6)
    of_fold = predictions(mml_project, "fold1-ensemble-mean")
    for place, split in enumerate(("val", "test")):
        expected = np.mean([chances(files["fold1.parquet"][place]) for files in models], axis=0)
        np.testing.assert_allclose(chances(of_fold[split]), expected, atol=1e-6)
    found = returned(mml_project)[TASK]["ensemble: mean"]["test"]["nll"]
    singles = [evaluate(parts[1], ["nll"])["nll"] for files in models for parts in files.values()]
    assert found["before"] == pytest.approx(np.mean(singles))
    assert found["after"] == pytest.approx(evaluate(whole["test"], ["nll"])["nll"])


def test_an_ensemble_of_calibrated_models_combines_what_was_calibrated(
    run: Run, mml_project: MMLProject
) -> None:
    store(mml_project, "p", model(1))
    assert run().code == 0
    calibrated = [chances(predictions(mml_project, f"fold{fold}-calibrated")["test"]) for fold in (0, 1)]
    whole = predictions(mml_project, "ensemble-mean")["test"]
    np.testing.assert_allclose(chances(whole), np.mean(calibrated, axis=0), atol=1e-6)


def test_weights_compare_models_over_their_validation_folds(run: Run, mml_project: MMLProject) -> None:
    models = {"a": model(1, skill=2.0), "b": model(2, skill=0.5)}
    for project, files in models.items():
        store(mml_project, project, files)
    result = run(
        ENSEMBLE, "mode.ensemble.method=weighted", "mode.ensemble.metric=accuracy", "reuse.predictions=[a,b]"
    )
    assert result.code == 0, result.err
    (found,) = stored(mml_project, "ENSEMBLES")
    (weights,) = found["weights"]
    right = {
        name: sum(int((p[0].outputs.argmax(1) == p[0].targets).sum()) for p in files.values())
        for name, files in models.items()
    }
    assert weights["samples"] == 2 * made.OF_FOLD
    assert weights["scores"]["model1"] == pytest.approx(right["a"] / 60)
    assert weights["models"]["model1"] == pytest.approx(right["a"] / (right["a"] + right["b"]))
    assert [each["project"] for each in found["members"]] == ["a", "a", "b", "b"]


def test_greedy_selection_leaves_a_useless_model_out(run: Run, mml_project: MMLProject) -> None:
    for seed, skill in ((1, 2.0), (2, 2.0), (3, -2.0)):
        store(mml_project, "p", model(seed, skill=skill))
    assert run(ENSEMBLE, "mode.ensemble.method=greedy").code == 0
    (found,) = stored(mml_project, "ENSEMBLES")
    assert found["weights"][0]["models"]["model3"] == 0.0


def test_a_later_run_calibrates_the_ensembles_of_folds(run: Run, mml_project: MMLProject) -> None:
    for seed in (1, 2):
        store(mml_project, "p", model(seed))
    assert run(ENSEMBLE).code == 0
    result = run(CALIBRATE, "mode.predictions=ensemble")
    assert result.code == 0, result.err
    before, after = (predictions(mml_project, f"fold0-{name}") for name in ("ensemble-mean", "calibrated"))
    assert torch.equal(after["test"].outputs, fit("temperature", before["val"]).apply(before["test"]).outputs)


def test_runs_of_this_mode_are_not_taken_for_models(run: Run, mml_project: MMLProject) -> None:
    store(mml_project, "p", model(1))
    for _ in range(2):
        assert run().code == 0
    assert len(stored(mml_project, "CALIBRATION")) == 4
    assert len(stored(mml_project, "ENSEMBLES")[1]["members"]) == 2


def test_equal_predictions_count_once(run: Run, mml_project: MMLProject) -> None:
    for _ in range(2):
        store(mml_project, "p", model(1))
    assert run(ENSEMBLE).code == 0
    assert len(stored(mml_project, "ENSEMBLES")[0]["members"]) == 2


def test_the_newest_run_or_some_folds_can_be_chosen(run: Run, mml_project: MMLProject) -> None:
    for seed in (1, 2):
        store(mml_project, "p", model(seed, folds=(0, 1, 2)))
    assert run(CALIBRATE, "mode.runs=newest", "mode.folds=[0,2]").code == 0
    assert [each["fold"] for each in stored(mml_project, "CALIBRATION")] == [0, 2]


@pytest.mark.parametrize(
    ("task_type", "method"), [(MULTILABEL, "affine"), (MULTILABEL, "isotonic"), (REGRESSION, "affine")]
)
def test_other_types_are_calibrated_and_combined(
    run: Run, mml_project: MMLProject, task_type: str, method: str
) -> None:
    store(mml_project, "p", model(1, task_type=task_type))
    result = run(f"mode.calibration.method={method}")
    assert result.code == 0, result.err
    assert {"test"} == set(predictions(mml_project, "ensemble-mean"))


def test_segmentations_vote(run: Run, mml_project: MMLProject) -> None:
    files = model(1, folds=(0, 1, 2), task_type=SEGMENTATION)
    store(mml_project, "p", files)
    assert run(ENSEMBLE).code == 0
    found = predictions(mml_project, "ensemble-mean")["test"]
    votes = torch.stack([torch.stack(parts[1].outputs) for parts in files.values()])
    expected = torch.stack([(votes == index).sum(0) for index in range(3)]).argmax(0)
    assert torch.equal(torch.stack(found.outputs), expected.to(torch.uint8))


def test_predictions_are_the_inputs_of_what_was_made(run: Run, mml_project: MMLProject) -> None:
    from mml_core.files.artefacts import ArtefactStore

    (path,) = store(mml_project, "p", model(1, folds=(0,)))
    assert run(CALIBRATE).code == 0
    record = next(ArtefactStore(mml_project.path("p")).newest_first("calibration", TASK))
    used = record.extra["inputs"]["files"]
    assert path.relative_to(mml_project.path("p")).as_posix() in used


def test_steps_are_taken_over_as_long_as_the_predictions_are_the_same(
    run: Run, mml_project: MMLProject
) -> None:
    def ran(*overrides: str) -> set[str]:
        """Methods of the steps that a run does itself."""
        before = mml_project.runs("p")
        assert run("reuse.auto=true", *overrides).code == 0
        (new,) = (each for each in mml_project.runs("p") if each not in before)
        records = [json.loads(path.read_text())["body"] for path in (new / "steps").glob("*.json")]
        return {record["method"] for record in records if not record.get("taken")}

    store(mml_project, "p", model(1))
    assert len(ran()) == 5
    assert ran() == {"before_finishing_hook"}
    store(mml_project, "p", model(2))
    assert len(ran("mode.runs=newest")) == 5


REFUSED = [
    ({}, (), "has no predictions in project 'p'"),
    ({"splits": ("test",)}, (), "no split val to fit on, but test"),
    ({"splits": ("val",)}, (), "nothing but the split val"),
    ({"folds": (0,)}, (), "An ensemble needs several files"),
    ({}, (ENSEMBLE, "mode.ensemble.method=greedy"), "folds of one model"),
    ({}, ("mode.runs=[nobody]",), r"mode.runs=\['nobody'\]"),
    ({}, ("mode.folds=[7]",), "mode.folds=\\[7\\]"),
    ({}, ("mode.folds=3",), "mode.folds must be all or a list"),
    ({}, ("mode.runs=some",), "mode.runs must be all, newest"),
    ({}, ("mode.predictions=calibratd",), "Did you mean 'calibrated'"),
    ({}, ("mode.calibration.method=isotnic",), "there is no such method"),
    ({}, ("mode.calibration.l2=-1",), "l2 must be a number from 0"),
    ({}, ("mode.calibration.priors=[0.5,0.5]",), "each of the 3 classes"),
    ({}, ("+mode.calibration.tmperature=1",), "Unknown option 'mode.calibration.tmperature'"),
    ({}, ("mode.ensemble.method=gredy",), "Did you mean 'greedy'"),
    ({}, ("mode.ensemble.average=logit",), "Did you mean 'logits'"),
    ({}, ("mode.ensemble.metric=acuracy",), "Did you mean 'accuracy'"),
    ({}, ("mode.ensemble.bags=0",), "mode.ensemble.bags"),
    ({"task_type": SEGMENTATION}, (), "masks, without the probabilities"),
    ({"task_type": REGRESSION}, (), "choose one of affine"),
    ({"task_type": MULTILABEL}, ("mode.calibration.priors=estimate",), "no classes that exclude each other"),
]


@pytest.mark.parametrize(("options", "overrides", "message"), REFUSED)
def test_what_cannot_work_is_refused_before_a_run_begins(
    run: Run, mml_project: MMLProject, options: dict[str, Any], overrides: tuple[str, ...], message: str
) -> None:
    import re

    if message != REFUSED[0][2]:
        store(mml_project, "p", model(1, **options))
    result = run(*overrides)
    assert result.code in (1, 2)
    assert re.search(message, result.err.replace("\n", " ")), result.err
    assert not (mml_project.path("p") / "CALIBRATION").exists()
    assert result.err.count("\n") <= 2


def test_a_sample_that_is_validated_and_reported_is_refused(run: Run, mml_project: MMLProject) -> None:
    files = model(1)
    for parts in files.values():
        parts[1] = replace(parts[1], sample_ids=[*parts[0].sample_ids[:1], *parts[1].sample_ids[1:]])
    store(mml_project, "p", files)
    result = run(CALIBRATE)
    assert result.code == 1
    assert "1 samples" in result.err and "would be reported on them" in result.err


def test_damaged_predictions_are_named_and_not_used(run: Run, mml_project: MMLProject) -> None:
    path, _ = store(mml_project, "p", model(1))
    path.write_bytes(path.read_bytes()[:-1])
    result = run(CALIBRATE)
    assert result.code != 0
    assert path.name in result.err
    assert not (mml_project.path("p") / "CALIBRATION").exists()


def test_models_that_validate_on_other_folds_are_not_weighed(run: Run, mml_project: MMLProject) -> None:
    store(mml_project, "p", model(1, folds=(0, 1)))
    store(mml_project, "p", model(2, folds=(0, 2)))
    result = run(ENSEMBLE, "mode.ensemble.method=weighted")
    assert result.code == 1
    assert "same validation samples" in result.err


def test_models_are_what_reuse_names(mml: CommandRunner, run: Run, mml_project: MMLProject) -> None:
    quick = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none", "mode.folds=2"]
    result = mml("run", "--mode=train", "--tasks", TASK, "--proj", "trained", *quick)
    assert result.code == 0, result.err
    result = run(CALIBRATE, "reuse.models=trained")
    assert result.code == 0, result.err
    assert [each["of"]["project"] for each in stored(mml_project, "CALIBRATION")] == ["trained"] * 2
    assert [each["fold"] for each in stored(mml_project, "CALIBRATION")] == [0, 1]
