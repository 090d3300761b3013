"""Pipeline files rebuild a model from registered names alone, and never run what they name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mml_core.errors import MMLError
from mml_core.learning.factory import create_model, pipeline_of
from mml_core.learning.pipeline import PipelineError, load_model, load_pipeline, save_pipeline
from mml_core.learning.weights import save_weights
from mml_core.plugins import PluginManager
from mml_core.plugins.registry import UnknownNameError


@pytest.fixture(scope="module")
def plugins() -> PluginManager:
    return PluginManager.discover()


def stored(path: Path, **changes: Any) -> Path:
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


@pytest.fixture
def pipeline(tmp_path: Path, learning_config: Any, task_like: Any) -> Path:
    path = tmp_path / "pipeline.yaml"
    save_pipeline(pipeline_of(learning_config(), task_like("a", "regression", 2)), path)
    return path


def test_a_stored_model_predicts_the_same(
    tmp_path: Path, pipeline: Path, plugins: PluginManager, learning_config: Any, task_like: Any
) -> None:
    model = create_model(learning_config(), task_like("a", "regression", 2), plugins)
    model.fit_targets("a", torch.randn(20, 2) * 5 + 30)
    model(torch.randn(8, 1, 16, 16))
    save_weights(model, tmp_path / "w")
    loaded = load_model(pipeline, tmp_path / "w", plugins)
    images = torch.randn(4, 1, 16, 16)
    assert not loaded.training
    assert torch.equal(loaded.predict(images), model.eval().predict(images))
    assert 10 < loaded.predict(images).mean() < 60


def test_a_roundtrip_keeps_everything(tmp_path: Path, learning_config: Any, task_like: Any) -> None:
    made = pipeline_of(learning_config(), task_like("a+nested?0", "semantic_segmentation", 4))
    made = replace(
        made,
        normalisation={"a+nested?0": {"means": [0.1], "stds": [0.2]}},
        trained_on={"a+nested?0": {"samples_sha256": "1", "dataset_sha256": "2"}},
    )
    save_pipeline(made, tmp_path / "p.yaml")
    assert load_pipeline(tmp_path / "p.yaml") == made


def test_an_unregistered_architecture_is_refused(
    tmp_path: Path, pipeline: Path, plugins: PluginManager
) -> None:
    stored(pipeline, architecture={"name": "ResNett", "kwargs": {}})
    with pytest.raises(UnknownNameError, match=r"Did you mean .*'ResNet'"):
        load_model(pipeline, tmp_path / "w", plugins)


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "os:system", "kwargs": {}},
        {"name": "torch.nn:Identity", "kwargs": {}},
        {"name": "ResNet", "kwargs": {}, "_target_": "os.system"},
        {"_target_": "os.system", "command": "touch ran"},
        {"name": "ResNet", "kwargs": {"block": {"_target_": "pathlib.Path.touch"}}},
        {"name": "ResNet", "kwargs": {"_target_": "os.system", "_args_": ["touch ran"]}},
    ],
)
def test_a_pipeline_cannot_name_code(
    tmp_path: Path,
    pipeline: Path,
    plugins: PluginManager,
    architecture: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    stored(pipeline, architecture=architecture)
    with pytest.raises(MMLError) as caught:
        load_model(pipeline, tmp_path / "w", plugins)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_yaml_tags_run_nothing(tmp_path: Path, pipeline: Path) -> None:
    pipeline.write_text(f"!!python/object/apply:os.system ['touch {tmp_path}/ran']\n")
    with pytest.raises(PipelineError, match="no readable YAML"):
        load_pipeline(pipeline)
    assert not (tmp_path / "ran").exists()


def test_malformed_pipelines_are_named(tmp_path: Path, pipeline: Path) -> None:
    with pytest.raises(PipelineError, match="is not there"):
        load_pipeline(tmp_path / "absent")
    with pytest.raises(PipelineError, match="version 9"):
        load_pipeline(stored(pipeline, version=9))
    with pytest.raises(PipelineError, match="malformed"):
        load_pipeline(stored(pipeline, version=1, image_size=3))
    with pytest.raises(PipelineError, match="malformed"):
        load_pipeline(stored(pipeline, image_size=[8, 8], architecture="ResNet"))
    pipeline.write_text("[1, 2]")
    with pytest.raises(PipelineError, match="holds no mapping"):
        load_pipeline(pipeline)
    pipeline.write_text("version: 1")
    with pytest.raises(PipelineError, match="missing: architecture"):
        load_pipeline(pipeline)


@pytest.mark.parametrize(("channels", "last"), [([8, 16, 32, 64], False), ([16, 16, 32, 64], True)])
def test_weights_lie_channels_last_where_torch_can_train_them_so(
    channels: list[int], last: bool, plugins: PluginManager, learning_config: Any, task_like: Any
) -> None:
    cfg = learning_config()
    cfg["arch"]["auto"]["classification"]["kwargs"]["block_inplanes"] = channels
    model = create_model(cfg, task_like("a", "classification", 2), plugins)
    weights = next(each for name, each in model.named_parameters() if "layer2" in name and each.ndim == 4)
    assert weights.is_contiguous(memory_format=torch.channels_last) is last
