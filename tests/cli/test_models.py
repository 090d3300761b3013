"""`mml models` lists what runs have stored, and shows models and architectures in numbers."""

import json
from typing import Any

import pytest

from mml_core.testing.fixtures import CommandRunner, MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]

TINY = [
    "arch=ResNet",
    "+arch.kwargs={block_inplanes: [2, 2, 2, 4], conv1_t_size: 3, no_max_pool: true}",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "preprocessing=none",
    "metrics.intervals.method=none",
]


@pytest.fixture
def trained(mml: CommandRunner, mml_project: MMLProject, install_tiny_task) -> MMLProject:
    """A project with models of two folds of the task ``tiny``."""
    install_tiny_task(mml_project.data, "tiny", samples=30)
    done = mml("run", "--mode=train", "--tasks=tiny", "mode.folds=2", *TINY)
    assert done.code == 0, done.err
    return mml_project


def told(mml: CommandRunner, *arguments: str) -> Any:
    result = mml("models", *arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_without_models_it_says_what_makes_some(mml: CommandRunner) -> None:
    assert "run the mode train" in mml("models").out


def test_models_are_listed_by_what_names_them(mml: CommandRunner, trained: MMLProject) -> None:
    rows = told(mml)
    assert [(row["model"], row["task"], row["fold"]) for row in rows] == [
        ("default#1", "tiny", 0),
        ("default#2", "tiny", 1),
    ]
    weights = sorted((trained.results / "default/PARAMETERS").rglob("*.safetensors"))
    assert [row["bytes"] for row in rows] == [path.stat().st_size for path in weights]
    assert told(mml, "--task", "other") == []
    assert "default#1" in mml("models", "list").out


def test_a_stored_model_is_shown_with_all_that_belongs_to_it(mml: CommandRunner, trained: MMLProject) -> None:
    shown = told(mml, "show", "default#1")
    assert shown["model"]["task"] == "tiny"
    assert set(shown["predictions"]) >= {"val"}
    assert "val/accuracy" in shown["metric"]
    assert shown["pipeline"]["architecture"] == "ResNet"
    assert shown["pipeline"]["began with"] == "random weights"
    assert shown["network"]["parameters"] == shown["network"]["trainable parameters"] > 0
    assert shown["network"]["FLOPs"] > 0
    assert told(mml, "show", shown["model"]["file"]) == shown
    assert "val/accuracy" in mml("models", "show", "default#2").out


def test_a_stored_model_whose_plugin_is_missing_is_shown_without_numbers(
    mml: CommandRunner, trained: MMLProject
) -> None:
    result = mml("models", "show", "default#1", "--without-plugin", "mml-plugin-monai")
    assert result.code == 0
    assert "not known: There is no architecture 'ResNet'" in result.out


def test_an_architecture_is_counted_as_a_user_would_by_hand(mml: CommandRunner) -> None:
    shown = told(mml, "show", "resnet18", "--size", "64x32", "--channels", "1", "--classes", "5")["network"]
    assert shown["for"] == "batch 1 of 1x64x32"
    # 11,689,512 are ResNet-18's for 1000 classes of colour images.
    # MONAI's have a bias in each of the three convolutions beside a stage.
    biases = 128 + 256 + 512
    assert shown["parameters"] == 11_689_512 - 2 * 64 * 7 * 7 - 1000 * 513 + 5 * 513 + biases
    # 1,814,083,944 multiplications are known for 224x224; the stem is a ninth cheaper, the head smaller.
    stem, head = 64 * 112 * 112 * 7 * 7 * 3, 512 * 1000
    grey = (1_814_083_944 - stem - head + stem // 3) * 64 * 32 // (224 * 224)
    assert shown["FLOPs"] == pytest.approx(2 * (grey + 512 * 5), rel=0.02)


def test_overrides_choose_what_is_counted(mml: CommandRunner) -> None:
    plain = told(mml, "show", "ResNet", "+arch.kwargs.no_max_pool=true", "--size", "32")
    adapted = told(mml, "show", "ResNet", "adapter=lora", "adapter.kwargs.r=2", "--size", "32")
    assert plain["architecture"]["options"] == {"no_max_pool": True}
    assert adapted["network"]["trainable parameters"] < adapted["network"]["parameters"]
    assert adapted["network"]["parameters"] == plain["network"]["parameters"]


def test_the_type_of_task_decides_what_auto_is(mml: CommandRunner) -> None:
    shown = told(mml, "show", "auto", "--type", "semantic_segmentation", "--size", "32")
    assert shown["architecture"]["name"] == "UNet"


def test_architectures_are_listed_by_type(mml: CommandRunner) -> None:
    names = {row["architecture"] for row in told(mml, "architectures", "--type", "semantic_segmentation")}
    assert "UNet" in names
    assert "ResNet18" not in names
    assert "ResNet18" in mml("models", "architectures").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "Write `mml models`"),
        (["list", "x"], "Write `mml models`"),
        (["show", "resnet81"], "Did you mean 'resnet18'"),
        (["show", "resnet18", "--size", "big"], "write a number of pixels"),
        (["show", "resnet18", "--type", "semantic_segmentation"], "serves classification"),
        (["show", "default#7", "seed=1"], "leave out seed=1"),
        (["show", "nowhere.json"], "no stored model"),
        (["architectures", "--type", "segmentation"], "Did you mean 'semantic_segmentation'"),
    ],
)
def test_misuse_is_told_in_one_line(mml: CommandRunner, arguments: list[str], message: str) -> None:
    result = mml("models", *arguments)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1
