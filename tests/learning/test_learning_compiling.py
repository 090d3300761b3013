"""A compiled network trains as the plain one does, under the same names; impossible choices are refused."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mml_core.learning.compiling import check_compiling, compile_network
from mml_core.learning.factory import create_model
from mml_core.learning.options import OptionError
from mml_core.learning.trainer import create_trainer
from mml_core.plugins import PluginManager


@pytest.fixture
def trained(task_like: Any, learning_config: Any, digits: Any, tmp_path: Path) -> Any:
    """Weights after three batches of a small net that is compiled as is asked for."""

    def train(mode: str | None) -> dict[str, torch.Tensor]:
        cfg = learning_config(trainer__max_epochs=1, trainer__limit_train_batches=3, arch__compile=mode)
        cfg["trainer"] |= {"accelerator": "cpu", "limit_val_batches": 1}
        cfg |= {"optimizer": {"name": "sgd", "lr": 0.1}, "lr_scheduler": {"name": "none"}}
        cfg["arch"]["auto"]["classification"]["kwargs"]["block_inplanes"] = [2, 2, 2, 4]
        torch.manual_seed(0)
        model = create_model(cfg, task_like("t", "classification", 10), PluginManager.discover())
        assert (model.network._compiled_call_impl is None) == (mode is None)
        create_trainer(cfg, default_root_dir=tmp_path).fit(model, datamodule=digits())
        return dict(model.state_dict())

    return train


@pytest.mark.parametrize(
    "mode",
    ["aot_eager", pytest.param("default", marks=pytest.mark.long)],  # calls the C++ compiler
)
def test_it_trains_as_the_plain_network_does(mode: str, trained: Any) -> None:
    torch.compiler.reset()
    plain, compiled = trained(None), trained(mode)
    assert list(compiled) == list(plain)
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-3, atol=1e-4)


def test_sizes_seen_before_do_not_matter() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            graphs.append(tuple(values.shape))  # runs while a graph is made only
            return self.layer(values)

    graphs: list[tuple[int, ...]] = []
    torch.compiler.reset()
    net = Net()
    compile_network(net, "eager")
    for size in (4, 3, 2, 3, 4):
        net(torch.zeros(size, 2))
    assert [type(size) for size, _ in graphs] == [int] * len(graphs)


def test_a_copy_is_not_compiled() -> None:
    class Net(nn.Linear):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return super().forward(values)

    net = Net(1, 1)
    compile_network(net, "eager")
    assert copy.deepcopy(net)._compiled_call_impl is None


def test_a_bare_container_is_refused() -> None:
    with pytest.raises(OptionError, match="no effect on a bare Sequential"):
        compile_network(nn.Sequential(nn.Linear(1, 1)), "eager")


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("defualt", "Unknown arch.compile 'defualt'. Did you mean 'default'"),
        (True, "Unknown arch.compile 'True'"),
        ("max-autotune", "by how fast they are"),
    ],
)
def test_impossible_modes_are_refused(mode: Any, message: str, learning_config: Any) -> None:
    with pytest.raises(OptionError, match=message):
        check_compiling(learning_config(arch__compile=mode))


def test_a_processor_needs_a_compiler(learning_config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    cfg = learning_config(arch__compile="default", trainer__accelerator="cpu")
    with pytest.raises(OptionError, match="there is no 'no-such-compiler' on the path"):
        check_compiling(cfg)
    check_compiling(learning_config(arch__compile="aot_eager", trainer__accelerator="cpu"))
