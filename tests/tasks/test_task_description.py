"""Headers are strict, say what is wrong with them, and carry what a network needs to know."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mml_core.tasks.description import (
    Sizes,
    TaskDescription,
    TaskHeader,
    TaskType,
    decode_header,
    encode_header,
)
from mml_core.tasks.errors import DamagedTaskError, NewerSchemaError
from mml_core.tasks.models import ModelReferenceError, ModelStorage
from mml_core.tasks.struct import TaskStruct


def make_header(**changes) -> TaskHeader:
    fields = {
        "name": "cats",
        "task_type": TaskType.CLASSIFICATION,
        "dataset": "pets",
        "idx_to_class": {"0": "tabby", "1": "tom", "2": "kitten"},
        "channels": 3,
        "sizes": Sizes(min_height=8, min_width=9, max_height=10, max_width=11),
        "means": [0.1, 0.2, 0.3],
        "stds": [0.4, 0.5, 0.6],
        "num_samples": {"train": 4, "test": 2},
        "num_folds": 2,
        **changes,
    }
    return TaskHeader(**fields)


def test_a_header_survives_its_json():
    header = make_header(keywords=["pets"], reference="Cat et al., “Paws”")
    assert decode_header(encode_header(header), Path("task.json")) == header


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"name": "x"}', b'{"schema_version": 1, "name": 3}', b"null"],
)
def test_a_damaged_header_is_named(data):
    with pytest.raises(DamagedTaskError, match=r"/data/tasks/cats/task\.json is damaged"):
        decode_header(data, Path("/data/tasks/cats/task.json"))


def test_every_cut_of_a_header_is_damaged():
    data = encode_header(make_header()).rstrip()
    for end in range(len(data)):
        with pytest.raises(DamagedTaskError):
            decode_header(data[:end], Path("task.json"))


def test_an_unknown_field_is_named():
    document = msgspec.json.decode(encode_header(make_header()))
    with pytest.raises(DamagedTaskError, match="colour"):
        decode_header(msgspec.json.encode({**document, "colour": "red"}), Path("task.json"))


@pytest.mark.parametrize("extra", [{}, {"a_later_field": 1}])
def test_a_newer_schema_is_named(extra):
    document = msgspec.json.decode(encode_header(make_header()))
    data = msgspec.json.encode({**document, "schema_version": 2, **extra})
    with pytest.raises(NewerSchemaError, match=r"schema_version 2.*newer mml-core"):
        decode_header(data, Path("task.json"))


@pytest.mark.parametrize(
    ("changes", "outputs"),
    [
        ({}, 3),
        ({"task_type": TaskType.MULTILABEL}, 3),
        ({"task_type": TaskType.SEGMENTATION}, 3),
        ({"task_type": TaskType.REGRESSION, "idx_to_class": {}, "target_names": ["age", "size"]}, 2),
        ({"task_type": TaskType.UNLABELLED, "idx_to_class": {}}, 0),
    ],
)
def test_outputs_a_network_has_to_have(changes, outputs):
    assert TaskDescription(make_header(**changes), Path("f"), Path("d")).num_outputs == outputs


def test_a_struct_reads_like_its_header_and_holds_what_steps_attach():
    struct = TaskStruct(TaskDescription(make_header(), Path("/d/tasks/cats"), Path("/d")))
    assert (struct.name, struct.task_type, struct.num_classes) == ("cats", "classification", 3)
    assert struct.class_names == ["tabby", "tom", "kitten"]
    for name in TaskHeader.__struct_fields__:
        assert getattr(struct, name) == getattr(struct.description.header, name)
    struct.paths["features"] = Path("x")
    assert TaskStruct(struct.description).paths == {}


def make_model(root: Path) -> ModelStorage:
    return ModelStorage(
        weights=root / "PARAMETERS/cats/model_0001.safetensors",
        pipeline=root / "PIPELINES/cats/pipeline_0001.yaml",
        task="cats",
        fold=1,
        metrics={"accuracy": 0.5},
        predictions={"test": root / "PREDICTIONS/cats/test_0001.parquet"},
        training_time=3.5,
        created="2026-01-01T00:00:00Z",
        run="r",
        step="s",
    )


def test_a_model_moves_with_its_project(tmp_path):
    document = make_model(tmp_path / "a").to_json(tmp_path / "a")
    assert document["weights"] == "PARAMETERS/cats/model_0001.safetensors"
    assert ModelStorage.from_json(document, tmp_path / "b") == make_model(tmp_path / "b")


def test_a_model_of_another_project_moves_with_the_results(tmp_path):
    document = make_model(tmp_path / "a" / "other").to_json(tmp_path / "a" / "here")
    assert document["weights"] == "../other/PARAMETERS/cats/model_0001.safetensors"
    moved = ModelStorage.from_json(document, tmp_path / "b" / "here")
    assert moved == make_model(tmp_path / "b" / "other")


def test_a_model_outside_of_the_results_is_not_stored(tmp_path):
    with pytest.raises(ModelReferenceError, match="lies outside of the results"):
        make_model(tmp_path / "elsewhere").to_json(tmp_path / "results" / "here")


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "../../etc/passwd"},
        {"weights": "/etc/passwd"},
        {"pipeline": "../passwd"},
        {"predictions": {"test": "A/../../../etc/passwd"}},
        {"weights": ""},
        {"fold": "one"},
        {"surprise": 1},
    ],
)
def test_a_model_that_is_none_is_refused(tmp_path, change):
    document = {**make_model(tmp_path).to_json(tmp_path), **change}
    with pytest.raises(ModelReferenceError):
        ModelStorage.from_json(document, tmp_path)
