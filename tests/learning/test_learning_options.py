"""Wrong training options are refused by name, with what was probably meant."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from mml_core.learning.factory import create_model, recipe_of
from mml_core.learning.optimisation import build_optimizer, build_schedule, validate_schedule
from mml_core.learning.options import OptionError
from mml_core.learning.trainer import check_trainer, create_trainer
from mml_core.plugins import PluginManager


def parameters() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.zeros(2))]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "adamv", "lr": 0.1}, "Did you mean .*'adam"),
        ({"name": "adamw", "lr": 0.1, "wieght_decay": 0}, "'optimizer.wieght_decay'.* Did you mean 'weight_"),
        ({"name": "adamw", "lr": -1.0}, "optimizer: Invalid learning rate"),
        ({"lr": 0.1}, "Unknown optimizer 'None'"),
    ],
)
def test_wrong_optimisers(config: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_optimizer(parameters(), config)


def test_every_optimiser_takes_a_step() -> None:
    from mml_core.learning.optimisation import OPTIMIZERS

    for name in OPTIMIZERS:
        (parameter,) = trained = parameters()
        optimizer = build_optimizer(trained, {"name": name, "lr": 0.1})
        (parameter - 1).square().sum().backward()
        optimizer.step()
        assert (parameter != 0).all(), name


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "cosin"}, "Did you mean 'cosine'"),
        ({"name": "cosine", "interval": "batch"}, "must be 'step' or 'epoch', found 'batch'"),
        ({"name": "cosine", "warmpu": 0.1}, "Did you mean 'warmup'"),
        ({"name": "onecycle", "interval": "epoch"}, "interval=step"),
    ],
)
def test_wrong_schedules(config: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        validate_schedule(config)


def rates(config: dict[str, Any], steps: int) -> list[float]:
    optimizer = torch.optim.SGD(parameters(), lr=1.0, momentum=0.9)
    made = build_schedule(optimizer, config, total_steps=steps, total_epochs=3)
    assert made is not None
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made["scheduler"].step()
    return found


def test_schedules_follow_the_whole_fit() -> None:
    cosine = rates({"name": "cosine", "warmup": 0.1, "min_factor": 0.01}, 100)
    assert max(cosine) == cosine[10] == 1
    assert cosine[-1] == pytest.approx(0.01, abs=1e-3)
    onecycle = rates({"name": "onecycle"}, 50)
    assert onecycle[0] == pytest.approx(1 / 25)
    assert max(onecycle) == pytest.approx(1, rel=1e-2)
    assert onecycle[-1] < 1e-4
    assert rates({"name": "step", "drops": 2, "gamma": 0.1}, 9) == pytest.approx(
        [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]
    )
    assert build_schedule(torch.optim.SGD(parameters(), lr=1), {}, total_steps=1, total_epochs=1) is None
    with pytest.raises(OptionError, match="share of the fit"):
        rates({"name": "cosine", "warmup": 2}, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epoch": 1}, "Unknown option 'trainer.max_epoch'. Did you mean 'max_epochs'"),
        ({"callbacks": []}, "use the group callbacks instead"),
        ({"logger": True}, "use the group logging instead"),
        ({"precision": "7-bit"}, "trainer: "),
        ({"accelerator": "abacus"}, "trainer: "),
        ({"accelerator": "cpu", "devices": 2}, "ask for 2 devices .* set trainer.devices=1"),
        ({"accelerator": "cpu", "num_nodes": 3}, "ask for 3 devices"),
        ({"profiler": "fast"}, "trainer: "),
    ],
)
def test_wrong_trainer_arguments(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=message):
        create_trainer({"trainer": arguments}, default_root_dir=tmp_path)


@pytest.mark.parametrize(
    ("group", "value", "message"),
    [
        ("callbacks", {"progres": "none"}, "Did you mean 'progress'"),
        ("callbacks", {"progress": "fancy"}, "Choose one of"),
        ("callbacks", {"checkpoint": {"every_n_batch": 1}}, "Did you mean 'every_n_batches'"),
        ("callbacks", {"learning_rate": True}, "needs a logger"),
        ("callbacks", {"disabled_plugins": "wandb"}, r"write \[wandb\]"),
        ("logging", {"loggers": ["cvs"]}, "Did you mean 'csv'"),
        ("logging", {"loggers": "csv"}, r"write \[csv\]"),
    ],
)
def test_wrong_callbacks_and_loggers(group: str, value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=message):
        create_trainer({group: value}, default_root_dir=tmp_path)


def test_several_devices_are_for_torchrun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started_by = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0"}
    for name, value in {**started_by, "LOCAL_RANK": "0", "GROUP_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    trainer = create_trainer({"trainer": {"accelerator": "cpu", "devices": 2}}, default_root_dir=tmp_path)
    assert trainer.world_size == 2


@pytest.mark.parametrize("arguments", [{}, {"devices": "auto"}])
def test_a_step_takes_one_device_of_a_host_with_more(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from lightning.pytorch.accelerators import CPUAccelerator

    monkeypatch.setattr(CPUAccelerator, "auto_device_count", staticmethod(lambda: 4))
    trainer = create_trainer({"trainer": {"accelerator": "cpu", **arguments}}, default_root_dir=tmp_path)
    assert trainer.world_size == 1


def test_overfitting_is_on_the_first_batches(tmp_path: Path) -> None:
    cfg = {"trainer": {"accelerator": "cpu", "overfit_batches": 3}}
    trainer = create_trainer(cfg, default_root_dir=tmp_path)
    assert (trainer.limit_train_batches, trainer.limit_val_batches) == (3, 3)
    trainer = create_trainer(cfg, default_root_dir=tmp_path, limit_val_batches=0)
    assert (trainer.limit_train_batches, trainer.limit_val_batches) == (3, 0)


def test_checking_a_trainer_writes_nothing(learning_config: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = learning_config(logging={"loggers": ["csv", "tensorboard"]})
    check_trainer(cfg)
    assert list(tmp_path.iterdir()) == []


def test_the_default_config_makes_a_trainer_that_stays_in_its_folder(
    learning_config: Any, tmp_path: Path
) -> None:
    trainer = create_trainer(learning_config(), default_root_dir=tmp_path / "step")
    assert isinstance(trainer, Trainer)
    assert trainer.default_root_dir == str(tmp_path / "step")
    assert trainer.logger is None
    assert trainer.checkpoint_callback is None


def test_every_trainer_option_in_the_config_is_one_of_lightning(learning_config: Any) -> None:
    import inspect

    from mml_core.learning.trainer import MANAGED

    given = set(learning_config()["trainer"]) | set(MANAGED)
    assert given == set(inspect.signature(Trainer).parameters)


def test_a_model_needs_a_learning_rate_and_a_fitting_network(learning_config: Any, task_like: Any) -> None:
    from mml_core.learning.architectures import ArchitectureError
    from mml_core.learning.outputs import UntrainableTaskError

    plugins = PluginManager.discover()
    with pytest.raises(OptionError, match=r"optimizer\.lr is missing"):
        recipe_of({"optimizer": {"name": "sgd"}})
    cfg = learning_config(arch={"name": "UNet", "kwargs": {}})
    with pytest.raises(ArchitectureError, match="serves semantic_segmentation, not 'classification'"):
        create_model(cfg, task_like("a", "classification", 3), plugins)
    cfg = learning_config(arch={"name": "ResNet", "kwargs": {"blok": 1}})
    with pytest.raises(ArchitectureError, match="blok"):
        create_model(cfg, task_like("a", "classification", 3), plugins)
    with pytest.raises(UntrainableTaskError, match="unlabelled"):
        create_model(learning_config(), task_like("a", "unlabelled", 0), plugins)
