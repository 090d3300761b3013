"""Tables and predictions of tasks of each type."""

from __future__ import annotations

import numpy as np
import pytest

import mml_core.api as mml

pytest_plugins = ["mml_core.testing.fixtures"]
pytest.importorskip("pandas")
pytestmark = pytest.mark.long  # each trains a network
IMAGE = "datasets/tiny_shapes/image_00.png"


@pytest.fixture
def trained_on(mml_project, tiny_task, tiny):
    """``trained_on(task_type)``: the project, with a model of that type."""

    def train(task_type: str) -> mml.Project:
        mml.run("train", tiny_task(task_type).name, **{**tiny, "mode.folds": [0]})
        return mml.open_project("default")

    return train


def test_labels_and_their_probabilities(trained_on, mml_project):
    project = trained_on("multilabel")
    prediction = project.load_model().predict(mml_project.data / IMAGE)
    assert set(prediction.probabilities) == {"round", "left"}
    above = [label for label, chance in prediction.probabilities.items() if chance > 0.5]
    assert list(prediction.labels) == above
    first = project.predictions(split="val").set_index("sample_id").iloc[0]
    assert set(first["target"]) | set(first["prediction"]) <= {"round", "left"}
    assert first["prediction"] == [name for name, chance in first["probabilities"].items() if chance > 0.5]


def test_values_on_the_scale_of_the_targets(trained_on, mml_project):
    project = trained_on("regression")
    value = project.load_model().predict(mml_project.data / IMAGE).values["value"]
    predictions = project.predictions(split="test")
    targets = [target["value"] for target in predictions["target"]]
    found = [values["value"] for values in predictions["prediction"]]
    assert sorted(targets) == pytest.approx([number / 255 for number in (33, 35, 212, 214)])
    assert np.isfinite([value, *found]).all()
    metrics = project.metrics()
    stored = metrics[(metrics["split"] == "test") & (metrics["metric"] == "mae")]["value"].item()
    assert np.abs(np.subtract(targets, found)).mean() == pytest.approx(stored, rel=1e-5)


def test_masks_of_the_size_of_the_image(trained_on, mml_project):
    project = mml.open_project(trained_on("semantic_segmentation").path)
    prediction = project.load_model().predict(np.zeros((20, 24), np.uint8))
    assert prediction.mask.shape == (20, 24)
    assert sum(prediction.shares.values()) == pytest.approx(1)
    assert set(prediction.shares) == {"background", "shape"}
    first = project.predictions(split="test").iloc[0]
    assert first["target"].shape == first["prediction"].shape == (16, 16)
