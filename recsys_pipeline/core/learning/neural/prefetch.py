"""Batches made ready in a thread while the device computes, so that it does not wait for pixels to be read."""

import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

DEPTH = 2
"""Items drawn ahead: one to hand over next and one in the making hide any delay that is shorter than a step."""

_END = object()


def prefetched(items: Iterable[Item], waits_s: list[float] | None = None) -> Generator[Item, None, None]:
    """The items in their order, each drawn by one thread up to `DEPTH` items before it is asked for.

    Its readable twin is the iterable itself. An error is raised where its item would have come. Close it
    (`contextlib.closing`) where the loop may end early: that ends the thread, once the item in the making is done.
    Seconds that the consumer stood still for each item, and for the end, are appended to `waits_s`.

    >>> list(prefetched(row * row for row in range(4)))
    [0, 1, 4, 9]
    """
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        ready = deque(thread.submit(next, source, _END) for _ in range(DEPTH))
        try:
            while True:
                begin = time.perf_counter()
                item = ready.popleft().result()
                if waits_s is not None:
                    waits_s.append(time.perf_counter() - begin)
                if item is _END:
                    return
                ready.append(thread.submit(next, source, _END))
                yield item  # pyright: ignore[reportReturnType] - the end was told apart above
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
