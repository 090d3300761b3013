"""Trainings from the weights of a file, and of adapters: what is recorded, stored and used again."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from mml_core.storage.hashing import sha256_file
from mml_core.testing.fixtures import CommandRunner, MMLProject, Result

TINY = [
    "arch=ResNet",
    "+arch.kwargs={block_inplanes: [2, 2, 2, 4], conv1_t_size: 3, no_max_pool: true}",
    "mode.folds=[0]",
]


def newest(project: MMLProject, key: str, suffix: str) -> Path:
    return sorted((project.results / "default" / key).rglob(f"*{suffix}"))[-1]


def stored(project: MMLProject) -> list[Path]:
    return sorted((project.results / "default/PARAMETERS").rglob("*.safetensors"))


def pipeline(project: MMLProject) -> dict[str, Any]:
    return dict(yaml.safe_load(newest(project, "PIPELINES", ".yaml").read_text()))


@pytest.fixture
def weights(install: Any, train: Any, mml_project: MMLProject, tmp_path: Path) -> Path:
    """Weights of a network as others publish them: without mml's names, and with a classifier."""
    install("a")
    train("a", *TINY, "mode.subroutines=[train]")
    tensors = load_file(newest(mml_project, "PARAMETERS", ".safetensors"))
    prefix = "network.net."
    network = {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
    path = tmp_path / "published.safetensors"
    save_file({**network, "fc.weight": torch.zeros(10, 4)}, path)
    return path


def test_the_pipeline_says_what_a_training_began_with(
    weights: Path, train: Any, mml_project: MMLProject
) -> None:
    train("a", *TINY, f"arch.weights={weights}", "mode.subroutines=[train]")
    found = pipeline(mml_project)["initial_weights"]
    assert found["path"] == str(weights)
    assert found["sha256"] == sha256_file(weights)
    assert found["left"] == ["net.fc.weight"]


def test_without_learning_they_are_what_is_stored(weights: Path, train: Any, mml_project: MMLProject) -> None:
    train("a", *TINY, f"arch.weights={weights}", "mode.subroutines=[train]", "optimizer.lr=0.0")
    found = load_file(newest(mml_project, "PARAMETERS", ".safetensors"))
    assert torch.equal(found["network.net.conv1.weight"], load_file(weights)["conv1.weight"])


def test_the_model_predicts_when_the_file_is_gone(weights: Path, train: Any) -> None:
    train("a", *TINY, f"arch.weights={weights}", "mode.subroutines=[train]")
    weights.unlink()
    done: Result = train("a", *TINY, "mode.subroutines=[predict,test]", "reuse.models=default")
    assert done.code == 0


def test_a_stored_model_is_named_by_project_and_number(
    weights: Path, train: Any, mml_project: MMLProject
) -> None:
    train("a", *TINY, "arch.weights='default#1'", "mode.subroutines=[train]", "optimizer.lr=0.0")
    first, second = stored(mml_project)
    name = "network.net.conv1.weight"
    assert torch.equal(load_file(second)[name], load_file(first)[name])


def test_a_changed_file_makes_another_step(weights: Path, train: Any, mml_project: MMLProject) -> None:
    again = [*TINY, f"arch.weights={weights}", "mode.subroutines=[train]", "reuse.auto=true"]
    train("a", *again)
    made = stored(mml_project)
    train("a", *again)
    assert stored(mml_project) == made
    tensors = load_file(weights)
    save_file({**tensors, "conv1.weight": tensors["conv1.weight"] + 1}, weights)
    train("a", *again)
    assert len(stored(mml_project)) == len(made) + 1


def test_a_blueprint_gives_the_architecture_and_the_config_its_weights(
    weights: Path, train: Any, mml_project: MMLProject
) -> None:
    blueprint = ["reuse.pipeline=default", "mode.use_blueprint=[arch]", "mode.subroutines=[train]"]
    train("a", *blueprint, "mode.folds=[0]", f"arch.weights={weights}", "optimizer.lr=0.0")
    found = load_file(newest(mml_project, "PARAMETERS", ".safetensors"))
    assert torch.equal(found["network.net.conv1.weight"], load_file(weights)["conv1.weight"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["arch.weights=/nowhere/x.safetensors"], "there is no file or folder /nowhere/x.safetensors"),
        (["arch.weights=hub"], "publishes no weights"),
        (["adapter=lora", "adapter.targets=[qkv]"], "nothing that can be adapted is called 'qkv'"),
        (["adapter=lora", "optimizer.layer_decay=0.5"], "layer_decay has no effect"),
        (["adapter=lora", "adapter.name=lorra"], "Did you mean 'lora'"),
    ],
)
def test_misuse_is_refused_before_anything_is_made(
    overrides: list[str], message: str, install: Any, mml: CommandRunner, mml_project: MMLProject
) -> None:
    install("a")
    done = mml("run", "--mode=train", "--tasks", "a", *TINY, *overrides)
    assert done.code == 2
    assert message in done.err
    assert not (mml_project.results / "default" / "PARAMETERS").exists()


def test_with_an_adapter_the_plain_network_is_stored_and_predicts(
    install: Any, train: Any, mml_project: MMLProject
) -> None:
    install("a")
    train("a", *TINY, "adapter=lora", "adapter.kwargs.r=2")
    tensors = load_file(newest(mml_project, "PARAMETERS", ".safetensors"))
    assert not [name for name in tensors if "lora" in name or "base_layer" in name]
    assert pipeline(mml_project)["training"]["adapter"]["name"] == "lora"
    assert newest(mml_project, "METRICS", ".parquet").exists()


def test_an_adapter_leaves_batch_statistics_of_the_file(
    weights: Path, train: Any, mml_project: MMLProject
) -> None:
    train("a", *TINY, f"arch.weights={weights}", "adapter=ia3", "mode.subroutines=[train]")
    found, given = load_file(newest(mml_project, "PARAMETERS", ".safetensors")), load_file(weights)
    assert torch.equal(found["network.net.bn1.running_mean"], given["bn1.running_mean"])
    assert not torch.equal(found["network.net.conv1.weight"], given["conv1.weight"])


def test_adapters_go_on_top_of_what_a_transfer_takes(
    weights: Path, mml: CommandRunner, install: Any, mml_project: MMLProject
) -> None:
    install("b")
    model = newest(mml_project, "MODELS", ".json")
    options = [*TINY, "trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none"]
    mml("run", "--mode=transfer", "--tasks", "b", *options, f"mode.model={model}", "adapter=lora")
    source = load_file(newest(mml_project, "PARAMETERS/a", ".safetensors"))
    target = load_file(newest(mml_project, "PARAMETERS/b", ".safetensors"))
    assert {name for name in target if name.startswith("network.")} == {
        name for name in source if name.startswith("network.")
    }
    assert torch.equal(target["network.net.bn1.running_mean"], source["network.net.bn1.running_mean"])
