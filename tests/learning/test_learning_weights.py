"""Weights files: equal weights give equal bytes, and what does not fit is named."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mml_core.learning.weights import (
    WeightsError,
    WeightsMismatchError,
    load_weights,
    save_weights,
)
from mml_core.storage.hashing import sha256_file


def net(width: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def test_a_roundtrip_keeps_every_number(tmp_path: Path) -> None:
    saved = net()
    saved(torch.randn(8, 3))  # so that the buffers of the normalisation are not their initial ones
    save_weights(saved, tmp_path / "a.safetensors")
    save_weights(saved, tmp_path / "b.safetensors")
    assert sha256_file(tmp_path / "a.safetensors") == sha256_file(tmp_path / "b.safetensors")
    loaded = net()
    load_weights(loaded, tmp_path / "a.safetensors")
    for name, tensor in saved.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.safetensors", "b.safetensors"]


def test_tied_and_transposed_weights_survive(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Conv2d(3, 4, 3))
    tied[1].weight = tied[0].weight
    tied.to(memory_format=torch.channels_last)
    save_weights(tied, tmp_path / "w")
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Conv2d(3, 4, 3))
    load_weights(other, tmp_path / "w")
    assert torch.equal(other[1].weight, tied[0].weight)
    assert torch.equal(other[2].weight, tied[2].weight)


def test_what_does_not_fit_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    save_weights(net(), tmp_path / "w")
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 5), nn.Linear(5, 1))
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(WeightsMismatchError) as caught:
        load_weights(other, tmp_path / "w")
    assert caught.value.missing == ["3.bias", "3.weight"]
    assert caught.value.unexpected == []
    assert caught.value.shapes == {"2.weight": ((2, 4), (5, 4)), "2.bias": ((2,), (5,))}
    assert "3.bias, 3.weight" in str(caught.value)
    assert "2.weight [2, 4] in the file, [5, 4] in the model" in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())


def test_what_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    save_weights(net(), tmp_path / "w")
    with pytest.raises(WeightsMismatchError, match=r"unknown to the model: .*1\.running_mean"):
        load_weights(nn.Sequential(nn.Linear(3, 4)), tmp_path / "w")


def test_missing_and_damaged_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="are not there"):
        load_weights(net(), tmp_path / "absent")
    save_weights(net(), tmp_path / "w")
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-5])
    with pytest.raises(WeightsError, match="no readable safetensors file"):
        load_weights(net(), tmp_path / "w")
    torch.save(net().state_dict(), tmp_path / "pickled")
    with pytest.raises(WeightsError, match="no readable safetensors file"):
        load_weights(net(), tmp_path / "pickled")
