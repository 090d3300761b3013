"""Predictions come back from their file as they were, and metrics of the file are those of the values."""

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mml_core.learning.evaluation import evaluate, prepare
from mml_core.learning.metrics import compute_metrics
from mml_core.learning.module import MMLModule, Recipe
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.predictions import (
    Contents,
    Predictions,
    PredictionsError,
    contents_of,
    load_predictions,
    save_predictions,
)

COUNT = 7


def predictions(task_type: str, split: str = "val", *, targets: bool = True) -> Predictions:
    generator = torch.Generator().manual_seed(3)
    width = 2 if task_type == "regression" else 3
    outputs: torch.Tensor | list[torch.Tensor] = torch.randn(COUNT, width, generator=generator)
    truth: torch.Tensor | list[torch.Tensor]
    if task_type == "classification":
        truth = torch.randint(0, 3, (COUNT,), generator=generator)
    elif task_type == "multilabel":
        truth = torch.rand(COUNT, width, generator=generator)
    elif task_type == "regression":
        truth = torch.randn(COUNT, width, generator=generator)
    else:  # images of different sizes
        sizes = [(4 + number, 5) for number in range(COUNT)]
        outputs = [torch.randint(0, 3, size, generator=generator, dtype=torch.uint8) for size in sizes]
        truth = [torch.randint(0, 3, size, generator=generator, dtype=torch.uint8) for size in sizes]
    return Predictions(
        output=TaskOutput(task="a+nested?0", task_type=task_type, width=width),
        fold=2,
        split=split,
        sample_ids=[f"s{number}" for number in range(COUNT)],
        outputs=outputs,
        targets=truth if targets else None,
    )


TYPES = {
    "classification": ["accuracy", "f1"],
    "multilabel": ["accuracy", "auroc"],
    "regression": ["mae", "mse"],
    "semantic_segmentation": ["dice", "iou"],
}


@pytest.mark.parametrize("task_type", TYPES)
def test_a_roundtrip_keeps_every_value(task_type: str, tmp_path: Path) -> None:
    made = [predictions(task_type, "val"), predictions(task_type, "test")]
    save_predictions(tmp_path / "p.parquet", made)
    found = load_predictions(tmp_path / "p.parquet")
    assert [each.split for each in found] == ["val", "test"]
    for before, after in zip(made, found, strict=True):
        assert (after.output, after.fold) == (before.output, 2)
        assert list(after.sample_ids) == list(before.sample_ids)
        for name in ("outputs", "targets"):
            pairs = zip(getattr(before, name), getattr(after, name), strict=True)
            for one, other in pairs:
                assert one.dtype == other.dtype
                assert torch.equal(torch.nan_to_num(one), torch.nan_to_num(other)), name
        names = TYPES[task_type]
        assert evaluate(after, names) == pytest.approx(evaluate(before, names), nan_ok=True)
        if isinstance(before.outputs, torch.Tensor) and isinstance(before.targets, torch.Tensor):
            direct = compute_metrics(task_type, names, before.outputs, before.targets)
            assert evaluate(after, names) == pytest.approx(direct)
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


@pytest.mark.parametrize("task_type", TYPES)
def test_without_targets_nothing_is_evaluated(task_type: str, tmp_path: Path) -> None:
    save_predictions(tmp_path / "p.parquet", [predictions(task_type, "unlabelled", targets=False)])
    (found,) = load_predictions(tmp_path / "p.parquet")
    assert found.targets is None
    assert evaluate(found, TYPES[task_type]) == {}
    assert len(found.outputs) == COUNT


def test_a_file_is_looked_at_without_reading_its_outputs(tmp_path: Path) -> None:
    made = predictions("classification")
    save_predictions(
        tmp_path / "p.parquet",
        [
            made,
            replace(
                made, split="test", sample_ids=["a", "b"], outputs=made.outputs[:2], targets=made.targets[:2]
            ),
        ],
    )
    found = contents_of(tmp_path / "p.parquet")
    assert found == Contents(output=made.output, splits={"val": COUNT, "test": 2}, folds=(2,))
    assert list(found.splits) == ["val", "test"]
    with pytest.raises(PredictionsError, match="are not there"):
        contents_of(tmp_path / "absent")


def test_labelled_and_unlabelled_share_a_file(tmp_path: Path) -> None:
    made = [predictions("classification"), predictions("classification", "unlabelled", targets=False)]
    save_predictions(tmp_path / "p.parquet", made)
    assert [each.targets is None for each in load_predictions(tmp_path / "p.parquet")] == [False, True]


def test_a_mask_of_many_classes_and_one_pixel(tmp_path: Path) -> None:
    mask = torch.tensor([[300, 0], [65535, 255]], dtype=torch.int32)
    made = Predictions(
        output=TaskOutput(task="a", task_type="semantic_segmentation", width=65536),
        fold=0,
        split="test",
        sample_ids=["s"],
        outputs=[mask],
        targets=[mask],
    )
    save_predictions(tmp_path / "p.parquet", [made])
    assert torch.equal(load_predictions(tmp_path / "p.parquet")[0].outputs[0], mask)


@pytest.mark.parametrize(("classes", "dtype"), [(3, torch.uint8), (300, torch.int32)])
def test_masks_of_a_split_are_kept_small(classes: int, dtype: torch.dtype) -> None:
    output = TaskOutput(task="a", task_type="semantic_segmentation", width=classes)
    model = MMLModule(torch.nn.Conv2d(1, classes, 1), [output])
    batch = {"image": torch.randn(2, 1, 4, 4), "target": torch.full((2, 4, 4), 2), "index": torch.arange(2)}
    (predicted,) = model.predict_step(batch, 0).values()
    assert predicted["output"].dtype == predicted["target"].dtype == dtype
    assert torch.equal(predicted["target"].long(), batch["target"])
    assert torch.equal(predicted["output"].long(), model.predict(batch["image"]).argmax(1))


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="are not there"):
        load_predictions(tmp_path / "absent")
    (tmp_path / "p").write_bytes(b"nonsense")
    with pytest.raises(PredictionsError, match="cannot be read"):
        load_predictions(tmp_path / "p")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "q")
    with pytest.raises(PredictionsError, match="cannot be read"):
        load_predictions(tmp_path / "q")


@pytest.mark.parametrize("task_type", TYPES)
def test_rows_are_written_some_at_a_time(
    task_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [predictions(task_type, "val"), predictions(task_type, "test", targets=False)]
    save_predictions(tmp_path / "whole.parquet", made)
    for name in ("ROWS", "ROWS_OF_MASKS"):
        monkeypatch.setattr(f"mml_core.learning.predictions.{name}", 3)
    save_predictions(tmp_path / "parts.parquet", made)
    whole, parts = (pq.read_table(tmp_path / name) for name in ("whole.parquet", "parts.parquet"))
    assert whole.equals(parts)
    assert pq.ParquetFile(tmp_path / "parts.parquet").num_row_groups == 6
    assert len(load_predictions(tmp_path / "parts.parquet")[0].outputs) == COUNT


def test_subjects_are_kept_and_older_files_have_none(tmp_path: Path) -> None:
    subjects = ["p1", "p1", None, "p2", "p2", "p3", None]
    path = tmp_path / "p.parquet"
    save_predictions(path, [replace(predictions("classification"), subject_ids=subjects)])
    (found,) = load_predictions(path)
    assert found.subject_ids == subjects
    older = tmp_path / "older.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["subject_id"]), older)
    (found,) = load_predictions(older)
    assert found.subject_ids is None
    assert torch.equal(found.outputs, predictions("classification").outputs)


def test_samples_of_unknown_class_do_not_count(tmp_path: Path) -> None:
    made = predictions("classification")
    targets = made.targets.clone()
    targets[2:5] = -1
    save_predictions(tmp_path / "p.parquet", [replace(made, targets=targets)])
    (found,) = load_predictions(tmp_path / "p.parquet")
    assert torch.equal(found.targets, targets)
    rest = [0, 1, 5, 6]
    expected = compute_metrics("classification", ["accuracy"], made.outputs[rest], targets[rest])
    assert evaluate(found, ["accuracy"]) == expected


def test_outputs_that_do_not_fit_the_task_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    save_predictions(path, [predictions("classification")])
    table = pq.read_table(path)
    cut = pa.array([row[:2] for row in table["logits"].to_pylist()], pa.list_(pa.float32()))
    pq.write_table(table.set_column(table.column_names.index("logits"), "logits", cut), path)
    with pytest.raises(PredictionsError, match="do not fit task 'a\\+nested\\?0' of type classification"):
        load_predictions(path)


@pytest.mark.parametrize("number", [3, -2])
def test_a_target_that_is_no_class_of_the_model_is_refused(number: int) -> None:
    made = replace(predictions("classification"), targets=torch.full((COUNT,), number))
    with pytest.raises(PredictionsError, match=f"is class {number}, and the model has classes 0 to 2"):
        evaluate(made, ["accuracy"])


@pytest.mark.parametrize("task_type", ["classification", "multilabel", "regression"])
def test_samples_without_target_are_not_drawn(task_type: str) -> None:
    made = predictions(task_type)
    unknown = -1 if task_type == "classification" else torch.nan
    targets = made.targets.clone()
    targets[[1, 4]] = unknown
    prepared = prepare(replace(made, targets=targets), [])
    assert prepared is not None
    assert list(prepared.sample_ids) == ["s0", "s2", "s3", "s5", "s6"]


def test_a_mask_that_is_no_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    save_predictions(path, [predictions("semantic_segmentation")])
    table = pq.read_table(path)
    cut = pa.array([data[:40] for data in table["mask"].to_pylist()], pa.binary())
    pq.write_table(table.set_column(table.column_names.index("mask"), "mask", cut), path)
    with pytest.raises(PredictionsError, match="of type semantic_segmentation with 3 outputs"):
        load_predictions(path)


def test_ignored_pixels_count_neither_in_the_loss_nor_in_metrics(tmp_path: Path) -> None:
    output = TaskOutput(task="a", task_type="semantic_segmentation", width=2, ignore_index=255)
    recipe = Recipe(
        optimizer={"name": "sgd", "lr": 0.1},
        loss={"semantic_segmentation": {"name": "dice_ce"}},
        metrics={"semantic_segmentation": ["dice", "hd95"]},
    )
    model = MMLModule(torch.nn.Conv2d(1, 2, 1), [output], recipe)
    batch = {"image": torch.randn(2, 1, 6, 6), "target": torch.ones(2, 6, 6).long(), "index": torch.arange(2)}
    cut = {name: batch[name][..., :3] for name in ("image", "target")}
    expected, _ = model.batch_loss(cut)
    batch["target"][..., 3:] = 255
    loss, _ = model.batch_loss(batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    (predicted,) = model.predict_step(batch, 0).values()
    made = Predictions(
        output=output,
        fold=0,
        split="test",
        sample_ids=["x", "y"],
        outputs=list(predicted["output"]),
        targets=list(predicted["target"]),
    )
    save_predictions(tmp_path / "p.parquet", [made])
    (found,) = load_predictions(tmp_path / "p.parquet")
    assert found.output.ignore_index == 255
    cut_made = replace(
        made,
        output=replace(output, ignore_index=None),
        outputs=[mask[:, :3] for mask in made.outputs],
        targets=[mask[:, :3] for mask in made.targets],
    )
    assert evaluate(found, ["dice", "iou"]) == evaluate(cut_made, ["dice", "iou"])
    assert math.isfinite(evaluate(found, ["dice"])["dice"])


@pytest.mark.parametrize("task_type", TYPES)
def test_no_samples_have_no_metrics(task_type: str) -> None:
    made = predictions(task_type)
    empty = replace(made, sample_ids=[], outputs=made.outputs[:0], targets=made.targets[:0])
    found = evaluate(empty, TYPES[task_type])
    assert list(found) == TYPES[task_type]
    assert all(map(math.isnan, found.values()))
