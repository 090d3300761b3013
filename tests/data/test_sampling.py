"""The order of samples: a function of seed and epoch alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.data.errors import LoaderError
from mml_core.data.orders import Balanced, BySubject, Sequential, Shuffled, Weighted
from mml_core.data.randomness import uniforms
from mml_core.data.sampling import EpochBatches, SamplingOptions
from mml_core.tasks.description import TaskDescription, TaskType


def shown(batches: EpochBatches, epoch: int) -> list[int]:
    batches.set_epoch(epoch)
    return [int(sample) for batch in batches for sample in batch.samples]


@given(st.integers(0, 200), st.integers(0, 2**40), st.integers(0, 1000))
def test_an_epoch_shows_every_sample_once(samples: int, seed: int, epoch: int) -> None:
    assert sorted(Shuffled(samples, seed, samples).order(epoch)) == list(range(samples))


def test_the_order_is_known_for_good() -> None:
    assert Shuffled(8, 42, 8).order(3).tolist() == [3, 4, 5, 6, 0, 2, 7, 1]


def test_seed_and_epoch_change_the_order() -> None:
    orders = {tuple(Shuffled(50, seed, 50).order(epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_balanced_sampling_shows_every_class_equally_often() -> None:
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    order = Balanced(labels, 1, 3000).order(0)
    assert np.bincount(labels[order]) == pytest.approx([1000] * 3, rel=0.1)
    assert (order == Balanced(labels, 1, 3000).order(0)).all()
    assert (order != Balanced(labels, 1, 3000).order(1)).any()
    assert len(set(order[labels[order] == 2])) == 10


@given(st.integers(1, 60), st.integers(1, 20), st.sampled_from([True, False, "single"]))
def test_batches_cover_the_order(samples: int, batch_size: int, drop_last: bool | str) -> None:
    batches = EpochBatches(Sequential(samples), batch_size, drop_last=drop_last)
    cut = list(batches)
    assert len(cut) == len(batches)
    count = sum(len(batch.samples) for batch in cut)
    rest = samples % batch_size
    dropped = {True: rest, False: 0, "single": 1 if rest == 1 and samples > 1 else 0}[drop_last]
    assert count == samples - dropped
    assert [int(place) for batch in cut for place in batch.positions] == list(range(count))


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4))
def test_ranks_share_an_epoch(samples: int, batch_size: int, world_size: int) -> None:
    order = Sequential(samples)
    ranks = [EpochBatches(order, batch_size, rank=r, world_size=world_size) for r in range(world_size)]
    assert sorted(sample for rank in ranks for sample in shown(rank, 0)) == list(range(samples))
    training = [
        EpochBatches(order, batch_size, rank=r, world_size=world_size, drop_last="single")
        for r in range(world_size)
    ]
    assert len({len(rank) for rank in training}) == 1


@given(st.integers(0, 2**32), st.integers(0, 99), st.lists(st.integers(0, 500), min_size=1, max_size=20))
def test_a_samples_random_numbers_do_not_depend_on_its_batch(
    seed: int, epoch: int, places: list[int]
) -> None:
    together = uniforms("a", seed, epoch, np.array(places), 12)
    alone = [uniforms("a", seed, epoch, np.array([place]), 12)[0] for place in places]
    assert (together == alone).all()
    assert ((together >= 0) & (together < 1)).all()


def test_random_numbers_are_uniform_and_differ_by_purpose() -> None:
    numbers = uniforms("a", 1, 1, np.arange(20_000), 3)
    assert numbers.mean(axis=0) == pytest.approx([0.5] * 3, abs=0.01)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(3)).max() < 0.03
    assert (numbers != uniforms("b", 1, 1, np.arange(20_000), 3)).any()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"name": "shufle"}, "shuffle"),
        ({"num_sample": 3}, "num_samples"),
        ({"num_samples": 0}, "num_samples"),
    ],
)
def test_impossible_options_are_named(config: dict, named: str) -> None:
    with pytest.raises(LoaderError, match=named):
        SamplingOptions.from_config(config)


def test_weighted_sampling_shows_samples_as_often_as_their_weights_say() -> None:
    order = Weighted(np.array([0.0, 1.0, 0.0, 3.0, 0.0]), 1, 8000).order(0)
    assert np.bincount(order, minlength=5) == pytest.approx([0, 2000, 0, 6000, 0], rel=0.1)
    assert (order == Weighted(np.array([0.0, 1.0, 0.0, 3.0, 0.0]), 1, 8000).order(0)).all()
    assert (order != Weighted(np.array([0.0, 1.0, 0.0, 3.0, 0.0]), 1, 8000).order(1)).any()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 2**32), st.integers(1, 100))
def test_subjects_are_shown_equally_often_and_all_of_theirs_before_one_again(
    names: list[int], seed: int, wanted: int
) -> None:
    _, subjects = np.unique(names, return_inverse=True)
    order = BySubject(subjects, seed, wanted).order(3)
    assert len(order) == wanted
    shown = np.bincount(subjects[order], minlength=subjects.max() + 1)
    assert shown.max() - shown.min() <= 1
    times = np.bincount(order, minlength=len(subjects))
    for subject in range(subjects.max() + 1):
        of_subject = times[subjects == subject]
        assert of_subject.max() - of_subject.min() <= 1


def order_of(task: TaskDescription, **config: object) -> np.ndarray:
    rows = task.samples.indices("train")
    order = SamplingOptions.from_config(config).order(task, rows, 1)
    return rows[order.order(0)]


def test_classes_are_weighted_by_name(make_task) -> None:
    task = make_task()
    weights = {"class 0": 0, "class 1": 3, "class 2": 1}
    shown = task.samples.numpy("label")[order_of(task, name="weighted", weights=weights, num_samples=4000)]
    counts = np.bincount(task.samples.numpy("label")[task.samples.indices("train")]) * [0, 3, 1]
    assert np.bincount(shown, minlength=3) == pytest.approx(counts / counts.sum() * 4000, rel=0.1)


def test_values_of_a_column_are_balanced(make_task) -> None:
    task = make_task(groups=["a", "b", "b", "b"])
    shown = order_of(task, name="weighted", column="group", weights="balanced", num_samples=4000)
    groups = task.samples.take(shown).column("group").to_pylist()
    assert groups.count("a") == pytest.approx(2000, rel=0.1)


def test_a_column_can_hold_the_weights(make_task) -> None:
    task = make_task(groups=["0", "1.5"])
    shown = order_of(task, name="weighted", column="group", num_samples=50)
    assert set(task.samples.take(shown).column("group").to_pylist()) == {"1.5"}


def test_every_subject_is_shown_once_an_epoch(make_task) -> None:
    task = make_task(groups=["a", "b", "b", "c", None])
    shown = task.samples.take(order_of(task, name="subjects")).column("group").to_pylist()
    held = task.samples.take(task.samples.indices("train")).column("group").to_pylist()
    assert sorted(name for name in shown if name) == ["a", "b", "c"]
    assert shown.count(None) == held.count(None)


def test_balancing_what_has_no_class_is_refused(make_task) -> None:
    with pytest.raises(LoaderError, match="classification"):
        order_of(make_task(task_type=TaskType.REGRESSION), name="balanced")


def test_more_samples_than_there_are_need_replacement(make_task) -> None:
    with pytest.raises(LoaderError, match="balanced"):
        order_of(make_task(), num_samples=99)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"name": "weighted"}, "needs sampling.weights"),
        ({"name": "weighted", "weights": "even"}, "balanced"),
        ({"name": "weighted", "weights": {"class 0": -1}}, "class 0 is -1"),
        ({"name": "weighted", "weights": {"class 0": 1, "class 1": 1}}, "no weight for 'class 2'"),
        ({"name": "weighted", "column": "grup"}, "group"),
        ({"name": "weighted", "column": "sample_id"}, "numbers from 0 are needed"),
        ({"name": "weighted", "weights": {"class 0": 0, "class 1": 0, "class 2": 0}}, "weight 0"),
        ({"name": "shuffle", "weights": "balanced"}, "for sampling=weighted"),
        ({"name": "subjects"}, "does not say of which subject"),
    ],
)
def test_weights_and_subjects_that_cannot_be_are_named(make_task, config: dict, named: str) -> None:
    with pytest.raises(LoaderError, match=named):
        order_of(make_task(), **config)
