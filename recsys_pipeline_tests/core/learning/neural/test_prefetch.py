"""Drawing ahead changes when items are made, never which, and leaves no thread behind."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.learning.neural.prefetch import DEPTH, prefetched


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@given(items=st.lists(st.one_of(st.none(), st.integers())))
def test_items_are_those_of_the_plain_iterable(items: list[int | None]) -> None:
    assert list(prefetched(items)) == items
    assert threads() == []


def test_an_error_comes_in_its_place_and_ends_the_thread() -> None:
    def failing() -> Iterator[int]:
        yield from range(3)
        raise OSError("the disk is gone")

    items = prefetched(failing())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)
    assert threads() == []


def test_a_loop_that_ends_early_stops_the_thread_and_the_drawing() -> None:
    drawn = []

    def counting() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    with closing(prefetched(counting())) as items:
        assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
        assert len(threads()) == 1
    assert threads() == []
    assert 5 <= len(drawn) <= 5 + DEPTH


def test_items_are_made_while_the_consumer_is_busy() -> None:
    delay_s, waits_s = 0.02, []

    def slow() -> Iterator[int]:
        for number in range(6):
            time.sleep(delay_s)
            yield number

    for _ in prefetched(slow(), waits_s):
        time.sleep(2 * delay_s)
    assert len(waits_s) == 7
    assert waits_s[0] > delay_s / 2, "the first item cannot have been there"
    assert sum(waits_s[1:]) < 3 * delay_s, "six delays without drawing ahead"
