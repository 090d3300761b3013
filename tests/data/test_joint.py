"""Joint batches of several tasks: what each strategy shows, and that it is the same however it is loaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mml_core.data.datamodule import create_datamodule
from mml_core.data.errors import LoaderError
from mml_core.data.joint import STRATEGIES, JointBatches, JointDataModule
from mml_core.data.loader import pinned
from mml_core.data.orders import Shuffled
from mml_core.data.sampling import EpochBatches
from mml_core.tasks.description import TaskType


def joint(strategy: str, **samples: int) -> JointBatches:
    """Batches of two samples each of tasks with so many samples."""
    tasks = {name: EpochBatches(Shuffled(count, 3, count), 2) for name, count in samples.items()}
    return JointBatches(tasks, strategy, seed=5)


def shown(batches: JointBatches, epoch: int, task: str) -> list[int]:
    batches.set_epoch(epoch)
    return [int(each) for step in batches if task in step for each in step[task].samples]


def turns(batches: JointBatches, epoch: int) -> list[str]:
    batches.set_epoch(epoch)
    return ["".join(step) for step in batches]


def test_the_longest_task_sets_the_length_and_others_begin_again_in_a_new_order() -> None:
    batches = joint("longest", a=8, b=4)
    assert turns(batches, 0) == ["ab"] * 4
    assert sorted(shown(batches, 0, "a")) == list(range(8))
    first = shown(batches, 0, "b")
    assert sorted(first[:4]) == sorted(first[4:]) == list(range(4))
    second = shown(batches, 1, "b")
    orders = {tuple(each[part : part + 4]) for each in (first, second) for part in (0, 4)}
    assert len(orders) > 2


def test_the_shortest_task_sets_the_length() -> None:
    batches = joint("shortest", a=8, b=4)
    assert turns(batches, 0) == ["ab"] * 2
    assert len(set(shown(batches, 0, "a"))) == 4


def test_round_robin_takes_turns_until_all_is_shown() -> None:
    assert turns(joint("round_robin", a=8, b=4, c=2), 0) == ["a", "b", "c", "a", "b", "a", "a"]


def test_proportional_shows_all_once_in_turns_that_differ_from_epoch_to_epoch() -> None:
    batches = joint("proportional", a=20, b=10)
    orders = [turns(batches, epoch) for epoch in range(3)]
    assert all(sorted(order) == ["a"] * 10 + ["b"] * 5 for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert sorted(shown(batches, 2, "b")) == list(range(10))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_epoch_can_be_begun_anywhere(strategy: str) -> None:
    batches = joint(strategy, a=9, b=4, c=2)
    batches.set_epoch(3)
    whole = [{task: (each.epoch, *each.samples) for task, each in step.items()} for step in batches]
    assert len(whole) == len(batches)
    for start in range(len(whole)):
        batches.epoch, batches.start = 3, start
        rest = [{task: (each.epoch, *each.samples) for task, each in step.items()} for step in batches]
        assert rest == whole[start:]


@pytest.fixture
def data(make_task) -> Any:
    """``data(strategy, workers)``: a joint data module over a classification and a regression."""
    tasks = [make_task("a"), make_task("b", TaskType.REGRESSION, samples=30)]

    def make(strategy: str, workers: int = 0) -> JointDataModule:
        cfg = {
            "preprocessing": {"id": "none"},
            "loader": {"batch_size": 4, "num_workers": workers},
            "augmentations": {"name": "light", "rotate": 20.0},
        }
        modules = {
            task.name: create_datamodule(cfg, task, data_root=task.data, fold=0, seed=number)
            for number, task in enumerate(tasks)
        }
        return JointDataModule(modules, strategy=strategy, seed=7)

    return make


def seen(data: JointDataModule, loader: Any) -> list[dict[str, dict[str, torch.Tensor]]]:
    return [data.on_after_batch_transfer(batch, 0) for batch in loader]


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(equal, one, other))


@pytest.mark.parametrize("strategy", ["longest", "proportional"])
def test_workers_change_nothing(data: Any, strategy: str) -> None:
    alone, helped = data(strategy), data(strategy, workers=2)
    assert equal(seen(alone, alone.train_dataloader()), seen(helped, helped.train_dataloader()))


def test_a_loader_goes_on_from_a_stored_place(data: Any) -> None:
    module = data("longest")
    loader = module.train_dataloader()
    expected = [*seen(module, loader), *seen(module, loader)]
    loader = module.train_dataloader()
    iterator = iter(loader)
    next(iterator), next(iterator)
    state = loader.state_dict()
    fresh = module.train_dataloader()
    fresh.load_state_dict(state)
    assert equal([*seen(module, fresh), *seen(module, fresh)], expected[2:])


def test_validation_shows_one_task_after_the_other(data: Any) -> None:
    steps = [tuple(step) for step in data("longest").val_dataloader()]
    assert steps == [("a",)] * 2 + [("b",)] * 3


def test_an_unknown_strategy_is_named(data: Any) -> None:
    with pytest.raises(LoaderError, match="Did you mean 'longest'"):
        data("longst")


def test_joint_batches_are_pinned_tensor_by_tensor(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: seen.append(tensor) or tensor)
    batch = next(iter(data("longest").train_dataloader()))
    found = pinned(batch)
    assert equal(found, batch)
    assert len(seen) == sum(len(part) for part in batch.values())
