"""A model's head on another task: classes are matched by name, and what does not fit is named."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
import torch

from mml_core.learning.class_maps import ClassMapError, Labelling, map_classes, remapped
from mml_core.learning.module import MMLModule
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.predictions import load_predictions
from mml_core.tasks.description import TaskType

pytest_plugins = ["mml_core.testing.fixtures"]

ONE = ["mode.folds=1", "trainer.max_epochs=1"]


def labelling(task: str, *names: str, task_type: str = "classification") -> Labelling:
    return Labelling(task=task, task_type=task_type, names=names)


MODEL = labelling("animals", "cat", "dog", "cow")


def test_classes_are_found_by_their_names_whatever_their_order() -> None:
    assert map_classes(MODEL, labelling("pets", "dog", "cat")) == ((1,), (0,))


def test_a_given_map_renames_and_joins() -> None:
    found = map_classes(MODEL, labelling("use", "pet", "cow"), {"pet": ["cat", "dog"]})
    assert found == ((0, 1), (2,))


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        (labelling("pets", "dogg", "cat"), {}, "no class 'dogg'.*Did you mean 'dog'"),
        (labelling("pets", "dog", "cat"), {"dog": "cat"}, "'cat' is ambiguous"),
        (labelling("pets", "dog"), {"cow": "cow"}, "names 'cow', which is no class of that task"),
        (labelling("pets", "dog"), {"dog": 3}, "must be a class of the model or a list"),
        (labelling("pets", "dog"), {"dog": []}, "must be a class of the model or a list"),
        (labelling("pets", "dog", task_type="multilabel"), {}, "of type classification, the other of type"),
    ],
)
def test_what_does_not_fit_is_named(target, given, message) -> None:
    with pytest.raises(ClassMapError, match=message):
        map_classes(MODEL, target, given)


def test_names_that_a_model_has_twice_are_ambiguous() -> None:
    with pytest.raises(ClassMapError, match="'cat' is ambiguous"):
        map_classes(labelling("animals", "cat", "cat"), labelling("pets", "cat"))


def test_labels_cannot_be_joined() -> None:
    model = labelling("a", "x", "y", task_type="multilabel")
    with pytest.raises(ClassMapError, match="exactly one"):
        map_classes(model, labelling("b", "z", task_type="multilabel"), {"z": ["x", "y"]})


class Backbone(torch.nn.Module):
    feature_dim = 4

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def model_of(task_type: str, width: int) -> MMLModule:
    return MMLModule(Backbone(), [TaskOutput(task="own", task_type=task_type, width=width)]).eval()


def test_joined_classes_have_the_sum_of_the_probabilities() -> None:
    model = model_of("classification", 3)
    output = TaskOutput(task="use", task_type="classification", width=2)
    images = torch.randn(5, 1, 2, 2)
    own = model.predict(images).softmax(1)
    found = remapped(model, "own", output, ((0, 2), (1,))).predict(images).softmax(1)
    assert torch.allclose(found, torch.stack([own[:, 0] + own[:, 2], own[:, 1]], 1), atol=1e-6)


def test_values_keep_their_scale() -> None:
    model = model_of("regression", 2)
    model.fit_targets("own", torch.tensor([[0.0, 100.0], [2.0, 300.0]]))
    output = TaskOutput(task="other", task_type="regression", width=2)
    images = torch.randn(5, 1, 2, 2)
    found = remapped(model, "own", output, ((1,), (0,))).predict(images)
    assert torch.allclose(found, model.predict(images)[:, [1, 0]])


def test_a_model_is_evaluated_on_another_task(train, install, mml_project) -> None:
    install("a", classes=("dark", "grey", "bright"))
    install("b", classes=("bright", "dark"), num_folds=1, seed=3)
    result = train("a", "mode.eval_on=[b]", *ONE)
    assert result.code == 0, result.err
    (path,) = mml_project.path().glob("PREDICTIONS/a%40b/*")
    parts = {part.split: part for part in load_predictions(path)}
    assert set(parts) == {"val", "test"}
    assert parts["test"].output == TaskOutput(task="b", task_type="classification", width=2)
    assert all(name.startswith("b") for name in parts["test"].sample_ids)
    (row,) = (line for line in result.out.splitlines() if line.split()[:2] == ["a@b", "accuracy"])
    scores = [
        row for file in mml_project.path().glob("METRICS/a%40b/*") for row in pq.read_table(file).to_pylist()
    ]
    assert {each["task"] for each in scores} == {"b"}
    assert row


@pytest.mark.parametrize("task_type", [TaskType.SEGMENTATION, TaskType.MULTILABEL, TaskType.REGRESSION])
def test_every_type_of_task_can_be_evaluated_on(train, install, mml_project, task_type) -> None:
    install("a", task_type)
    install("b", task_type, classes=("bright", "dark"), seed=3)
    result = train("a", "mode.eval_on=[b]", *ONE)
    assert result.code == 0, result.err
    assert list(mml_project.path().glob("METRICS/a%40b/*"))


def test_a_stored_model_is_evaluated_on_another_task_later(train, install, mml_project) -> None:
    install("a")
    install("b", classes=("night", "day"), seed=3)
    assert train("a", "mode.subroutines=[train]", "--proj", "models", *ONE).code == 0
    later = ["mode.subroutines=[predict,test]", "reuse.models=models", "mode.eval_on=[b]", *ONE]
    refused = train("a", *later)
    assert refused.code == 2
    assert "it has no class 'night', 'day', only dark, bright" in refused.err
    result = train("a", "+mode.class_maps.b={night: dark, day: bright}", *later)
    assert result.code == 0, result.err
    assert not list(mml_project.path().glob("PARAMETERS/*/*"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"task_type": TaskType.REGRESSION}, "the other of type regression"),
        ({"channels": 3}, "have 3 channels"),
    ],
)
def test_tasks_that_do_not_fit_are_refused_before_anything_is_made(
    train, install, mml_project, other, message
) -> None:
    install("a")
    install("b", seed=3, **other)
    result = train("a", "mode.eval_on=[b]")
    assert result.code == 2
    assert message in result.err
    assert not mml_project.runs()
