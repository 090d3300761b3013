"""What a new model takes from a stored one, and what is refused by name."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mml_core.learning.factory import pipeline_of, recipe_of
from mml_core.learning.module import MMLModule
from mml_core.learning.options import OptionError
from mml_core.learning.pipeline import Pipeline, save_pipeline
from mml_core.learning.transferring import (
    Source,
    TransferError,
    Transferred,
    TransferRule,
    transfer,
    with_channels,
)
from mml_core.learning.weights import WeightsMismatchError, save_weights
from mml_core.plugins import PluginManager

TINY = {"name": "ResNet", "kwargs": {"block_inplanes": [2, 2, 2, 4], "conv1_t_size": 3, "no_max_pool": True}}
UNET = {"name": "UNet", "kwargs": {"channels": [2, 4], "strides": [2], "num_res_units": 1}}
PLUGINS = PluginManager.discover()


class Side:
    """A model and what describes it."""

    def __init__(self, cfg: Any, task: Any, seed: int) -> None:
        torch.manual_seed(seed)
        self.task = task.name
        self.pipeline: Pipeline = pipeline_of(cfg, task)
        self.model: MMLModule = self.pipeline.build(PLUGINS, recipe_of(cfg))

    def take(self, source: "Side", folder: Path, **rule: Any) -> Transferred:
        weights = folder / "source.safetensors"
        save_weights(source.model, weights)
        save_pipeline(source.pipeline, folder / "source.yaml")
        stored = Source.load(source.task, folder / "source.yaml", weights)
        options = {"task": self.task, "rule": TransferRule(**rule)}
        return transfer(stored, self.model, self.pipeline, PLUGINS, **options)

    @property
    def network(self) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in self.model.network.state_dict().items()}


@pytest.fixture
def side(task_like: Any, learning_config: Any) -> Any:
    """``side("a", ["cat", "dog"])``: a model of a task with these classes."""

    def make(
        name: str,
        classes: list[str],
        *,
        arch: Any = TINY,
        channels: int = 1,
        kind: str = "classification",
        seed: int = 0,
    ) -> Side:
        task = task_like(name, kind, len(classes), channels=channels)
        names = {str(row): each for row, each in enumerate(classes)}
        task = SimpleNamespace(**vars(task), idx_to_class={} if kind == "regression" else names)
        return Side(learning_config(arch=arch), task, seed)

    return make


def head_of(side: Side) -> Any:
    return side.model.head(side.task)


def test_the_network_is_that_of_the_source_and_the_head_keeps_rows_of_equal_names(
    side: Any, tmp_path: Path
) -> None:
    source = side("a", ["cat", "dog", "bird"], seed=1)
    target = side("b", ["dog", "fish", "cat"], seed=2)
    fresh = head_of(target).weight[1].clone()
    report = target.take(source, tmp_path)
    assert all(torch.equal(target.network[name], tensor) for name, tensor in source.network.items())
    rows = head_of(source).weight
    assert torch.equal(head_of(target).weight, torch.stack([rows[1], fresh, rows[0]]))
    assert torch.equal(head_of(target).bias[[0, 2]], head_of(source).bias[[1, 0]])
    assert (report.kept_classes, report.new_classes) == (["dog", "cat"], ["fish"])
    assert report.fits
    assert report.loaded == len(source.network)
    assert str(report).endswith("classes kept: dog, cat; new classes: fish")


@pytest.mark.parametrize(
    ("kind", "rule"), [("classification", {"heads": "new"}), ("multilabel", {}), ("regression", {})]
)
def test_a_head_that_means_something_else_is_new(kind: str, rule: Any, side: Any, tmp_path: Path) -> None:
    source, target = side("a", ["x", "y"], seed=1), side("b", ["x", "y"], kind=kind, seed=2)
    before = {name: tensor.clone() for name, tensor in head_of(target).state_dict().items()}
    report = target.take(source, tmp_path, **rule)
    assert all(torch.equal(tensor, before[name]) for name, tensor in head_of(target).state_dict().items())
    assert report.kept_classes == []


def test_a_net_without_head_keeps_the_output_layers_rows(side: Any, tmp_path: Path) -> None:
    kind = {"kind": "semantic_segmentation", "arch": UNET}
    source = side("a", ["background", "vessel", "nerve"], seed=1, **kind)
    target = side("b", ["background", "nerve"], seed=2, **kind)
    report = target.take(source, tmp_path)
    assert report.fits
    assert (report.kept_classes, report.new_classes) == (["background", "nerve"], [])
    images = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        wanted = source.model.eval()(images)[:, [0, 2]]
        outputs = target.model.eval()(images)
    assert outputs.shape == wanted.shape
    inner = "net.model.0.conv.unit0.conv.weight"
    assert torch.equal(target.network[inner], source.network[inner])


def test_classes_of_equal_number_are_told_apart_by_name(side: Any, tmp_path: Path) -> None:
    kind = {"kind": "semantic_segmentation", "arch": UNET}
    source, target = side("a", ["u", "v"], seed=1, **kind), side("b", ["v", "u"], seed=2, **kind)
    assert target.take(source, tmp_path).kept_classes == ["v", "u"]
    images = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        found, expected = (part.model.eval()(images) for part in (target, source))
    torch.testing.assert_close(found, expected.flip(1))


@pytest.mark.parametrize(("theirs", "mine"), [(3, 1), (1, 3), (3, 4), (4, 3)])
def test_the_first_convolution_fits_other_channels_where_wanted(
    theirs: int, mine: int, side: Any, tmp_path: Path
) -> None:
    source, target = (
        side("a", ["x", "y"], channels=theirs, seed=1),
        side("b", ["x", "y"], channels=mine, seed=2),
    )
    with pytest.raises(TransferError, match=f"on images of {theirs} channels, those of task 'b' have {mine}"):
        target.take(source, tmp_path)
    report = target.take(source, tmp_path, input_channels="adapt")
    assert report.adapted == ["net.conv1.weight"]
    assert report.fits
    grey = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        found = target.model.network.eval()(grey.expand(-1, mine, -1, -1))
        expected = source.model.network.eval()(grey.expand(-1, theirs, -1, -1))
    if (theirs, mine) in ((3, 1), (1, 3)):
        torch.testing.assert_close(found, expected)


def test_adapted_channels_have_the_response_of_the_others() -> None:
    weight = torch.randn(2, 3, 3, 3)
    assert torch.equal(with_channels(weight, 1)[:, 0], weight.sum(1))
    assert torch.equal(with_channels(weight, 6), torch.cat([weight, weight], 1) * 0.5)


def test_another_architecture_is_refused_with_what_to_write(side: Any, tmp_path: Path) -> None:
    other = {**TINY, "kwargs": {**TINY["kwargs"], "block_inplanes": [2, 2, 2, 8]}}
    source, target = side("a", ["x", "y"], seed=1), side("b", ["x", "y"], arch=other, seed=2)
    with pytest.raises(
        TransferError, match=r"set arch.name=ResNet 'arch.kwargs=\{block_inplanes:\[2,2,2,4\]"
    ):
        target.take(source, tmp_path)


def test_what_does_not_fit_is_listed_by_name_and_changes_nothing(side: Any, tmp_path: Path) -> None:
    source, target = side("a", ["x", "y"], seed=1), side("b", ["x", "y"], seed=2)
    source.model.network.net.layer4[0].bn1 = torch.nn.Identity()
    source.model.network.net.conv1 = torch.nn.Conv2d(1, 3, 3)
    before = target.network
    with pytest.raises(WeightsMismatchError) as error:
        target.take(source, tmp_path)
    assert "net.layer4.0.bn1.bias" in error.value.missing
    assert error.value.unexpected == ["net.conv1.bias"]
    assert error.value.shapes["net.conv1.weight"] == ((3, 1, 3, 3), (2, 1, 3, 3))
    assert "set mode.strict=false" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert all(torch.equal(target.network[name], tensor) for name, tensor in before.items())


def test_where_it_is_allowed_what_does_not_fit_stays_as_it_was(side: Any, tmp_path: Path) -> None:
    wider = {**TINY, "kwargs": {**TINY["kwargs"], "block_inplanes": [2, 2, 2, 8]}}
    source, target = side("a", ["x", "y"], seed=1), side("b", ["x", "y"], arch=wider, seed=2)
    before = target.network
    report = target.take(source, tmp_path, strict=False)
    assert not report.fits
    assert report.shapes["net.layer4.0.conv1.weight"] == [[4, 2, 3, 3], [8, 2, 3, 3]]
    for name, tensor in target.network.items():
        assert torch.equal(tensor, before[name] if name in report.shapes else source.network[name]), name
    assert report.kept_classes == ["x", "y"]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ({"strict": "perhaps"}, "mode.strict is 'perhaps'; write true or false"),
        ({"input_channels": "sum"}, "write refuse or adapt"),
        ({"heads": "old"}, "write remap or new"),
    ],
)
def test_impossible_rules_are_refused(mode: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TransferRule.from_config(mode)
