"""The search for a learning rate finds one that trains well, and leaves the model as it was."""

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mml_core.learning.factory import create_model
from mml_core.learning.module import MMLModule
from mml_core.learning.options import OptionError
from mml_core.learning.trainer import create_trainer
from mml_core.learning.tuning import Tuned, TuningError, apply, suggest_lr, tune, wanted
from mml_core.plugins import PluginManager

PLUGINS = PluginManager.discover()


def fresh(cfg: Any, task_like: Any) -> Any:
    torch.manual_seed(0)
    return create_model(cfg, task_like("digits", "classification", 10), PLUGINS)


def loss_after(cfg: Any, rate: float, model: Any, data: Any, folder: Path) -> float:
    model.learning_rate = rate
    trainer = create_trainer(cfg, default_root_dir=folder, max_epochs=2)
    trainer.fit(model, datamodule=data)
    loss = float(trainer.callback_metrics["val/loss"])
    return loss if math.isfinite(loss) else math.inf


def test_a_rate_within_a_decade_of_the_best_of_a_grid(
    learning_config: Any, task_like: Any, digits: Any, tmp_path: Path
) -> None:
    cfg = learning_config(tune__lr=True, trainer__accelerator="cpu")
    data = digits("label", size=8)
    found = tune(cfg, fresh(cfg, task_like), data, folder=tmp_path).lr
    assert found is not None
    grid = [10.0**exponent for exponent in (-5, -4, -3, -2, -1, 0)]
    losses = {rate: loss_after(cfg, rate, fresh(cfg, task_like), data, tmp_path) for rate in grid}
    best = min(losses, key=losses.__getitem__)
    assert abs(math.log10(found / best)) <= 1, (found, losses)


def test_the_model_and_the_random_state_are_those_from_before(
    learning_config: Any, task_like: Any, digits: Any, tmp_path: Path
) -> None:
    cfg = learning_config(tune__lr=True, tune__batch_size=True, tune__max_batch_size=256, tune__steps=20)
    cfg["trainer"]["accelerator"] = "cpu"
    data, model = digits("label", batch_size=32), fresh(cfg, task_like)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tobytes()
    tuned = tune(cfg, model, data, folder=tmp_path)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == state[1:]
    assert model.training
    assert model.schedule_for_fit
    assert tuned.batch_size == data.batch_size == 256
    assert tuned.lr == model.learning_rate
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    other = fresh(cfg, task_like)
    apply(Tuned(**tuned.to_json()), other, data)
    assert other.learning_rate == tuned.lr


def test_a_search_is_the_same_twice(
    learning_config: Any, task_like: Any, digits: Any, tmp_path: Path
) -> None:
    cfg = learning_config(tune__lr=True, tune__steps=20, trainer__accelerator="cpu")
    found = [tune(cfg, fresh(cfg, task_like), digits("label"), folder=tmp_path).lr for _ in range(2)]
    assert found[0] == found[1]


def test_what_an_earlier_attempt_found_is_not_searched_again(
    learning_config: Any, task_like: Any, digits: Any, tmp_path: Path
) -> None:
    cfg = learning_config(tune__lr=True, tune__steps=10, trainer__accelerator="cpu")
    notes = [tmp_path / name / "tuned-0.json" for name in ("first", "second")]
    first = tune(cfg, fresh(cfg, task_like), digits("label"), folder=tmp_path, note=notes[0])
    cfg["tune"]["max_lr"] = -1.0  # no search would begin with this
    model = fresh(cfg, task_like)
    assert tune(cfg, model, digits("label"), folder=tmp_path, note=notes[1], earlier=notes[1::-1]) == first
    assert model.learning_rate == first.lr
    assert notes[1].read_bytes() == notes[0].read_bytes()


def test_each_batch_size_is_trained_for_as_many_steps_as_the_option_says(
    learning_config: Any, task_like: Any, digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: Counter[int] = Counter()
    step = MMLModule.training_step

    def counted(self: MMLModule, batch: Any, batch_idx: int) -> Any:
        sizes[len(batch["image"])] += 1
        return step(self, batch, batch_idx)

    monkeypatch.setattr(MMLModule, "training_step", counted)
    cfg = learning_config(tune__batch_size=True, tune__max_batch_size=150)
    cfg["trainer"]["accelerator"], cfg["tune"]["batch_size_steps"] = "cpu", 2
    assert tune(cfg, fresh(cfg, task_like), digits("label", batch_size=32), folder=tmp_path).batch_size == 128
    assert sizes == {32: 2, 64: 2, 128: 2}  # the one that is chosen was tried, too


def test_a_search_over_gathered_gradients_is_silent(
    learning_config: Any, task_like: Any, digits: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = learning_config(tune__lr=True, tune__batch_size=True, tune__steps=10, tune__max_batch_size=64)
    cfg["trainer"] |= {"accelerator": "cpu", "accumulate_grad_batches": 2, "min_epochs": 50}
    assert tune(cfg, fresh(cfg, task_like), digits("label", batch_size=16), folder=tmp_path).lr
    assert capfd.readouterr() == ("", "")


def test_the_choice_lies_below_the_lowest_loss() -> None:
    rates = [10 ** (-6 + 6 * step / 99) for step in range(100)]
    losses = [2.0 - min(1.0, max(0.0, (math.log10(rate) + 4) / 2)) for rate in rates]
    losses = [loss + max(0.0, math.log10(rate) + 1.5) * 10 for rate, loss in zip(rates, losses, strict=True)]
    assert 1e-4 < suggest_lr(rates, losses) < 1e-2


def test_a_search_that_finds_nothing_says_so() -> None:
    rates = [10.0**-power for power in range(10, 0, -1)]
    with pytest.raises(TuningError, match="never fell"):
        suggest_lr(rates, [float(step) for step in range(10)])
    with pytest.raises(TuningError, match="got 2 usable losses"):
        suggest_lr(rates, [2.0, 1.0, *[math.nan] * 8])


def test_wrong_options_are_refused(learning_config: Any, task_like: Any, digits: Any, tmp_path: Path) -> None:
    assert not wanted(learning_config())
    with pytest.raises(OptionError, match="Did you mean 'min_lr'"):
        wanted({"tune": {"min_rl": 1}})
    cfg = learning_config(tune__lr=True, tune__min_lr=1.0, tune__max_lr=0.1)
    with pytest.raises(OptionError, match="min_lr < max_lr"):
        tune(cfg, fresh(cfg, task_like), digits("label"), folder=tmp_path)


def test_a_step_that_was_killed_reads_of_the_config_what_it_would_have_read(
    learning_config: Any, task_like: Any, digits: Any, tmp_path: Path
) -> None:
    class Watched(dict):
        def get(self, key: Any, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

    cfg = learning_config(tune__lr=True, tune__steps=10, trainer__accelerator="cpu")
    note = tmp_path / "note.json"
    model, found = fresh(cfg, task_like), []
    for earlier in ([], [note]):
        read: set[str] = set()
        tune(Watched(cfg), model, digits("label"), folder=tmp_path, note=note, earlier=earlier)
        found.append(read)
    assert found[0] == found[1]
