"""Work in threads: each outcome is taken once, in order, and the first failure in order is raised."""

import threading
import time

import pytest

from mml_core.data.in_order import _AHEAD, in_order


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("number", [0, 1, 3, 400])
def test_each_outcome_is_taken_once_and_in_order(workers: int, number: int) -> None:
    taken: list[int] = []
    taking = threading.Lock()

    def work(item: int) -> int:
        time.sleep(item % 7 * 1e-4)
        return item * 2

    def take(done: int) -> None:
        assert taking.acquire(blocking=False)
        taken.append(done)
        taking.release()

    in_order(work, range(number), workers, take)
    assert taken == [2 * item for item in range(number)]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_failure_in_order_is_raised_when_all_before_it_is_taken(workers: int) -> None:
    taken: list[int] = []

    def work(item: int) -> int:
        time.sleep(0.02 if item == 5 else 0)  # the failure of 6 is there before
        if item >= 5:
            raise ValueError(str(item))
        return item

    with pytest.raises(ValueError, match=r"^5$"):
        in_order(work, range(50), workers, taken.append)
    assert taken == [0, 1, 2, 3, 4]


def test_what_cannot_be_taken_ends_the_work() -> None:
    before = threading.active_count()

    def take(done: int) -> None:
        raise OSError(f"{done} is too much")

    with pytest.raises(OSError, match=r"^0 is too much$"):
        in_order(lambda item: item, range(10_000), 3, take)
    assert threading.active_count() == before


def test_not_much_is_done_ahead_of_what_takes_long() -> None:
    begun: list[int] = []
    ahead: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 0:
            while len(begun) < 2 * _AHEAD:
                time.sleep(0.001)
            time.sleep(0.05)
            ahead.append(len(begun))
        return item

    in_order(work, range(1000), 2, lambda done: None)
    assert ahead == [2 * _AHEAD]


def test_an_interruption_of_the_caller_ends_all_threads() -> None:
    before, caller = threading.active_count(), threading.get_ident()

    def work(item: int) -> int:
        if item > 20 and threading.get_ident() == caller:
            raise KeyboardInterrupt
        time.sleep(0.001)
        return item

    with pytest.raises(KeyboardInterrupt):
        in_order(work, range(10_000), 3, lambda done: None)
    assert threading.active_count() == before
