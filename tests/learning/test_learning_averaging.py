"""Averages of weights: what is averaged, validated and stored, and what they cannot be combined with."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn

from mml_core.learning.averaging_rules import check_averaging
from mml_core.learning.factory import recipe_of
from mml_core.learning.history import History
from mml_core.learning.layers import layers_of
from mml_core.learning.module import MMLModule
from mml_core.learning.optimisation import build_schedule
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.trainer import create_trainer

BATCHES = 3


class Net(nn.Module):
    feature_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, momentum=0.3))

    def layer_groups(self) -> list[tuple[str, ...]]:
        return [("first",), ("second",)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(images)).mean((2, 3))


class Recorder(Callback):
    """Keeps the weights after each step, and at the end of each epoch."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []
        self.epochs: list[dict[str, torch.Tensor]] = []
        self.rates: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if trainer.global_step > len(self.steps):
            self.steps.append(copy.deepcopy(pl_module.state_dict()))

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append(copy.deepcopy(pl_module.state_dict()))


class Fitted:
    """A fit of a small net on digits."""

    def __init__(self, cfg: Any, data: Any, folder: Path, *, frozen: int = 0) -> None:
        torch.manual_seed(0)
        output = TaskOutput(task="t", task_type="classification", width=10)
        self.model = MMLModule(Net(), [output], recipe_of(cfg))
        self.model.freeze_layers(layers_of(self.model.network)[:frozen])
        self.before = copy.deepcopy(self.model.state_dict())
        self.seen, self.history, self.data = Recorder(), History(), data
        trainer = create_trainer(cfg, default_root_dir=folder, callbacks=[self.seen, self.history])
        trainer.fit(self.model, datamodule=data)

    def losses(self, part: str) -> float:
        """The loss of the model as it is now."""
        total, count = 0.0, 0
        with torch.no_grad():
            for batch in self.data._loader(part, False):
                loss, _ = self.model.eval().batch_loss(batch)
                total, count = total + float(loss) * len(batch["image"]), count + len(batch["image"])
        return total / count


@pytest.fixture
def fit(digits: Any, learning_config: Any, tmp_path: Path) -> Any:
    def make(epochs: int = 2, frozen: int = 0, accumulate: int = 1, **callbacks: Any) -> Fitted:
        cfg = learning_config(optimizer={"name": "sgd", "lr": 0.2}, lr_scheduler={"name": "none"})
        cfg["trainer"] |= {
            "max_epochs": epochs,
            "limit_train_batches": BATCHES,
            "accumulate_grad_batches": accumulate,
            "accelerator": "cpu",
        }
        cfg["callbacks"] |= callbacks
        return Fitted(cfg, digits(), tmp_path, frozen=frozen)

    return make


@pytest.mark.parametrize("warmup", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_moving_average_follows_every_step(warmup: bool, accumulate: int, fit: Any) -> None:
    fitted = fit(accumulate=accumulate, ema={"decay": 0.8, "warmup": warmup})
    steps = fitted.seen.steps
    assert len(steps) == 2 * math.ceil(BATCHES / accumulate)
    for name, tensor in fitted.model.state_dict().items():
        if not tensor.is_floating_point():
            assert torch.equal(tensor, steps[-1][name])
            continue
        expected = steps[0][name]
        for number, weights in enumerate(steps[1:], 1):
            decay = min(0.8, (1 + number) / (10 + number)) if warmup else 0.8
            expected = decay * expected + (1 - decay) * weights[name]
        torch.testing.assert_close(tensor, expected)


def test_a_moving_average_begins_where_it_is_to(fit: Any) -> None:
    fitted = fit(epochs=3, ema={"decay": 0.5, "warmup": False, "start_epoch": 2})
    (first, second, third) = [weights["heads.task:t.weight"] for weights in fitted.seen.steps[-BATCHES:]]
    torch.testing.assert_close(fitted.model.head("t").weight.data, 0.25 * first + 0.25 * second + 0.5 * third)


@pytest.mark.parametrize(
    "callbacks",
    [{"ema": {"decay": 0.9}}, {"ema": {"decay": 0.9, "validate": False}}, {"swa": {"start": 0.5}}],
    ids=["ema", "ema at the end", "swa"],
)
def test_what_is_noted_of_the_last_validation_is_of_the_average(callbacks: Any, fit: Any) -> None:
    fitted = fit(**callbacks)
    assert len(fitted.history.epochs) == 2
    assert fitted.losses("val") == pytest.approx(fitted.history.last["val/loss"], abs=1e-6)


def test_validation_within_the_fit_leaves_the_weights_that_are_trained(fit: Any) -> None:
    plain, averaged = fit(), fit(ema={"decay": 0.99})
    for one, other in zip(plain.seen.epochs, averaged.seen.epochs, strict=True):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_epochs_are_averaged_as_torch_does(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[torch.Tensor] = []
    show = MMLModule.show

    def noted(self: MMLModule, batch: Any) -> None:
        shown.append(batch["image"])
        show(self, batch)

    monkeypatch.setattr(MMLModule, "show", noted)
    fitted = fit(epochs=4, swa={"start": 0.5})
    wanted = AveragedModel(copy.deepcopy(fitted.model.network))
    for weights in fitted.seen.epochs[2:]:
        net = Net()
        net.load_state_dict({name[8:]: each for name, each in weights.items() if name.startswith("network.")})
        wanted.update_parameters(net)
    assert len(shown) == BATCHES
    update_bn(shown, wanted)
    found, expected = fitted.model.network.state_dict(), wanted.module.state_dict()
    for name in found:
        torch.testing.assert_close(found[name], expected[name])
    assert fitted.model.network.second[1].momentum == 0.3


@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_the_rate_anneals_to_that_of_the_average_as_torch_does(anneal: str) -> None:
    from mml_core.learning.averaging_rules import SwaRule

    rule = SwaRule(start=0.5, lr=0.05, anneal_epochs=3, anneal=anneal)
    optimizers = [torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0) for _ in range(2)]
    config = {"name": "step", "interval": "epoch", "drops": 1}
    made = build_schedule(optimizers[0], config, total_steps=80, total_epochs=8, swa=rule)
    assert made is not None
    optimizers[1].param_groups[0]["lr"] = 0.1  # where the drop has left it
    theirs = SWALR(optimizers[1], swa_lr=0.05, anneal_epochs=3, anneal_strategy=anneal)  # type: ignore[arg-type]
    rates = []
    for _ in range(8):
        rates.append(optimizers[0].param_groups[0]["lr"])
        optimizers[0].step()
        made["scheduler"].step()
    expected = [1.0] * 4
    for _ in range(4):
        expected.append(optimizers[1].param_groups[0]["lr"])
        optimizers[1].step()
        theirs.step()
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("callbacks", [{"ema": {"decay": 0.9}}, {"swa": {"start": 0.5}}], ids=["ema", "swa"])
def test_frozen_layers_stay_as_they_are_to_the_bit(callbacks: Any, fit: Any) -> None:
    fitted = fit(frozen=1, **callbacks)
    after = fitted.model.state_dict()
    changed = {name for name in after if not torch.equal(after[name], fitted.before[name])}
    assert {name for name in after if name.startswith("network.first")} & changed == set()
    assert {name for name in after if "second" in name} <= changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ema": {"decay": 1.0}}, "callbacks.ema.decay is 1.0"),
        ({"ema": {"decay": "slow"}}, "callbacks.ema.decay is 'slow'"),
        ({"ema": {"decay": 0.9, "warmup": 3}}, "write true or false"),
        ({"ema": {"decay": 0.9, "decays": 3}}, "Did you mean 'decay'"),
        ({"ema": {"decay": 0.9, "start_epoch": 12}}, "is never reached with trainer.max_epochs=12"),
        ({"swa": {"start": 12}}, "callbacks.swa.start is 12"),
        ({"swa": {"start": 0.5, "lr": 0}}, "callbacks.swa.lr is 0"),
        ({"swa": {"start": 0.5, "anneal_epochs": -1}}, "callbacks.swa.anneal_epochs is -1"),
        ({"swa": {"start": 0.5, "anneal": "cosine"}}, "write cos or linear"),
        ({"swa": {"start": 0.5}, "ema": {"decay": 0.9}}, "averaged in one way only"),
        ({"swa": {"start": 0.5}, "early_stopping": {"patience": 1}}, "may end the training before"),
    ],
)
def test_impossible_averages_are_refused(changes: Any, message: str, learning_config: Any) -> None:
    cfg = learning_config(lr_scheduler={"name": "cosine"})
    cfg["callbacks"] |= changes
    with pytest.raises(OptionError, match=message):
        check_averaging(cfg)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "choose lr_scheduler=cosine, polynomial, step, constant or none"),
        ({"lr_scheduler": {"name": "plateau"}}, "which lr_scheduler=plateau plans or watches"),
        ({"lr_scheduler": {}, "trainer__max_epochs": -1}, "their number has to be known"),
        ({"lr_scheduler": {}, "trainer__max_steps": 5}, "found 12 and 5"),
        ({"lr_scheduler": {}, "mode": {"weights": "best"}}, "set mode.weights=last"),
    ],
)
def test_what_contradicts_the_average_of_epochs_is_refused(
    changes: Any, message: str, learning_config: Any
) -> None:
    cfg = learning_config(**changes)
    cfg["callbacks"] |= {"swa": {"start": 0.5}}
    with pytest.raises(OptionError, match=message):
        check_averaging(cfg)


def test_the_best_weights_are_those_that_were_validated(learning_config: Any) -> None:
    cfg = learning_config(mode={"weights": "best"})
    cfg["callbacks"] |= {"ema": {"decay": 0.9}}
    check_averaging(cfg)
    cfg["callbacks"]["ema"]["validate"] = False
    with pytest.raises(OptionError, match=r"set callbacks\.ema\.validate=true"):
        check_averaging(cfg)
