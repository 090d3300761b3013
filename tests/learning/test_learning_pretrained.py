"""First weights from a file: what is read, how names are matched, and what is refused by name."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mml_core.learning.initial_weights import InitialWeights, NoWeightsError, locate
from mml_core.learning.module import MMLModule
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.pretrained import Loaded, load_initial_weights, read_tensors
from mml_core.learning.weights import WeightsError, WeightsMismatchError, save_weights
from mml_core.storage.hashing import sha256_file


class Net(nn.Module):
    """A network that wraps another one, as those of plugins do."""

    feature_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten())


class Published(Net):
    """Knows how its authors call the tensors, and where they are."""

    encoder = "net"
    place: Path | None = None

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Conv2d(4, 1, 1)

    def published_weights(self) -> Path:
        assert self.place is not None
        return self.place

    def fit_weights(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name.replace("stem", "0").replace("norm", "1"): tensor for name, tensor in tensors.items()}


def model(network: nn.Module | None = None) -> MMLModule:
    return MMLModule(network or Net(), [TaskOutput(task="a", task_type="classification", width=2)])


def plain_tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        name: torch.randn_like(each) if each.is_floating_point() else each
        for name, each in nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).state_dict().items()
    }


def load(target: MMLModule, source: Path | str, **options: Any) -> Loaded:
    return load_initial_weights(target, InitialWeights(source=str(source), **options))


def written(folder: Path, tensors: dict[str, torch.Tensor], name: str = "model.safetensors") -> Path:
    path = folder / name
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


# -- what is read


def test_names_may_be_those_of_what_a_network_wraps(tmp_path: Path) -> None:
    target, tensors = model(), plain_tensors()
    loaded = load(target, written(tmp_path, tensors))
    for name, tensor in tensors.items():
        assert torch.equal(target.network.state_dict()[f"net.{name}"], tensor)
    assert loaded.loaded == len(tensors)


def test_names_may_be_those_of_the_network_itself(tmp_path: Path) -> None:
    target = model()
    load(target, written(tmp_path, {f"net.{name}": each for name, each in plain_tensors().items()}))
    assert torch.equal(target.network.net[0].weight, plain_tensors()["0.weight"])


def test_of_a_stored_model_the_network_is_taken_and_the_heads_are_left(tmp_path: Path) -> None:
    source, target = model(), model()
    head = target.head("a").weight.clone()
    save_weights(source, tmp_path / "stored.safetensors")
    load(target, tmp_path / "stored.safetensors")
    assert torch.equal(target.network.net[0].weight, source.network.net[0].weight)
    assert torch.equal(target.head("a").weight, head)


def test_file_and_hash_are_kept_with_the_model(tmp_path: Path) -> None:
    target, path = model(), written(tmp_path, plain_tensors())
    load(target, path)
    assert target.initial_weights["path"] == str(path)
    assert target.initial_weights["sha256"] == sha256_file(path)


@pytest.mark.parametrize(
    "wrap", [lambda t: t, lambda t: {"epoch": 3, "state_dict": t}], ids=["plain", "inner"]
)
def test_what_torch_has_saved_is_read(tmp_path: Path, wrap: Any) -> None:
    tensors = {f"module.{name}": each for name, each in plain_tensors().items()}
    torch.save(wrap(tensors), tmp_path / "model.pth")
    target = model()
    load(target, tmp_path / "model.pth")
    assert torch.equal(target.network.net[0].weight, plain_tensors()["0.weight"])


def test_the_only_file_of_a_folder_is_taken_and_safetensors_come_first(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    torch.save({}, tmp_path / "pytorch_model.bin")
    assert locate(str(tmp_path)).name == "pytorch_model.bin"
    assert locate(str(written(tmp_path, plain_tensors()).parent)).name == "model.safetensors"


# -- networks that know their published weights


def test_published_weights_are_renamed_and_need_not_hold_a_decoder(tmp_path: Path) -> None:
    tensors = {
        name.replace("0.", "stem.").replace("1.", "norm."): each for name, each in plain_tensors().items()
    }
    target = model(Published())
    load(target, written(tmp_path, tensors))
    assert torch.equal(target.network.net[0].weight, plain_tensors()["0.weight"])


def test_the_hub_is_asked_through_the_network(tmp_path: Path) -> None:
    network = Published()
    network.place = written(tmp_path, plain_tensors())
    assert load(model(network), "hub").path == str(network.place)


def test_a_network_without_published_weights_refuses_the_hub() -> None:
    with pytest.raises(WeightsError, match="publishes no weights; give a file"):
        load(model(), "hub")


# -- what does not fit


def test_what_the_network_does_not_have_is_left_and_named(tmp_path: Path) -> None:
    tensors = {**plain_tensors(), "fc.weight": torch.zeros(10, 4)}
    assert load(model(), written(tmp_path, tensors)).left == ["net.fc.weight"]


def test_with_all_nothing_may_be_left(tmp_path: Path) -> None:
    path = written(tmp_path, {**plain_tensors(), "fc.weight": torch.zeros(10, 4)})
    with pytest.raises(WeightsMismatchError, match=r"unknown to the model: net\.fc\.weight"):
        load(model(), path, match="all")


def test_missing_and_misshapen_tensors_are_listed_and_nothing_is_changed(tmp_path: Path) -> None:
    tensors = plain_tensors()
    del tensors["1.weight"]
    tensors["0.weight"] = torch.zeros(4, 3, 3, 3)
    target = model()
    before = target.network.net[0].bias.clone()
    with pytest.raises(WeightsMismatchError) as found:
        load(target, written(tmp_path, tensors))
    assert found.value.missing == ["net.1.weight"]
    assert found.value.shapes == {"net.0.weight": ((4, 3, 3, 3), (4, 1, 3, 3))}
    assert "arch.weights_match=any" in str(found.value)
    assert torch.equal(target.network.net[0].bias, before)


def test_with_any_what_fits_is_taken_and_the_rest_named(tmp_path: Path) -> None:
    tensors = {**plain_tensors(), "0.weight": torch.zeros(4, 3, 3, 3)}
    loaded = load(model(), written(tmp_path, tensors), match="any")
    assert loaded.shapes == {"net.0.weight": [[4, 3, 3, 3], [4, 1, 3, 3]]}
    assert "of other shape: net.0.weight" in str(loaded)


def test_a_file_of_which_nothing_fits_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(WeightsMismatchError, match="Use the network they were trained with"):
        load(model(), written(tmp_path, {"x": torch.zeros(1)}), match="any")


def test_counters_of_batches_may_be_missing_as_in_old_files(tmp_path: Path) -> None:
    tensors = plain_tensors()
    del tensors["1.num_batches_tracked"]
    load(model(), written(tmp_path, tensors))


# -- what is refused


class Evil:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("owned"), "code was run"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_g21_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pth").write_bytes(pickle.dumps({"0.weight": Evil()}))
    with pytest.raises(WeightsError, match="cannot be read as nothing but tensors"):
        load(model(), tmp_path / "model.pth")
    assert not (tmp_path / "owned").exists()


def test_pickles_are_refused_where_torch_cannot_read_them_safely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(WeightsError, match=r"torch 2\.5\.1\+cpu cannot read safely"):
        read_tensors(written(tmp_path, plain_tensors(), "model.pth"))


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "model.pt")
    with pytest.raises(WeightsError, match="hold no tensors by name, found list"):
        read_tensors(tmp_path / "model.pt")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no readable safetensors file"):
        read_tensors(tmp_path / "model.safetensors")


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoWeightsError, match=r"no file or folder .*nowhere"):
        locate(str(tmp_path / "nowhere"))


def test_a_folder_with_several_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoWeightsError, match="holds no file ending in"):
        locate(str(tmp_path))
    for name in ("a.safetensors", "b.safetensors"):
        written(tmp_path, plain_tensors(), name)
    with pytest.raises(NoWeightsError, match=r"several files, a\.safetensors, b\.safetensors"):
        locate(str(tmp_path))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(NoWeightsError, match="none of the endings"):
        locate(str(tmp_path / "weights.h5"))


@pytest.mark.parametrize("arch", [{"weights": 3}, {"weights": ""}, {"weights": "x", "weights_match": "some"}])
def test_impossible_values_are_refused(arch: Any) -> None:
    with pytest.raises(OptionError, match=r"arch\.weights"):
        InitialWeights.from_config(arch)
