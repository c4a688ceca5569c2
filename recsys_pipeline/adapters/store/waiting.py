"""A line where nothing was said for seconds, so that nobody takes work for a hang; one mechanism for all of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_S, LONGEST_S = 5.0, 60.0


class Silence:
    """How long nothing was said of something that is going on."""

    def __init__(self) -> None:
        self.began = self._broken = time.monotonic()

    def broken(self) -> None:
        """Something was said just now."""
        self._broken = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the last word."""
        return time.monotonic() - self._broken


@contextmanager
def told_while_silent(what: str, say: Callable[[str], None], first_s: float = FIRST_S) -> Iterator[Silence]:
    """While the body runs, say `<what>: at work for <n> s` after `first_s` of silence, then after twice that, …

    The body says so by `broken` where it has said something itself.
    """
    silence, over = Silence(), threading.Event()

    def watch() -> None:
        patience = first_s
        while not over.wait(max(patience - silence.seconds, first_s / 10)):
            if silence.seconds >= patience:
                say(f"{what}: at work for {time.monotonic() - silence.began:.0f} s")
                silence.broken()
                patience = min(2 * patience, LONGEST_S)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield silence
    finally:
        over.set()
        watcher.join()
