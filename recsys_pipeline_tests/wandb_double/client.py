"""The unmodified client in a process of its own, because it keeps its settings and its connection for a lifetime."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any


class Client:
    """One child process in which functions run, one after the other, with this environment.

    A function must be importable (top level of a module), its arguments and its result picklable. Starting the child
    and importing wandb costs about three seconds, a run in it a third of one: share a client among tests.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        # Spawned: a fork would inherit the threads and sockets of the server.
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, spawn, initializer=_prepare, initargs=(dict(environment),))

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.submit(_end).result(timeout=30)
        self._pool.shutdown()

    def start(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> "Future[Any]":
        """Begin a call and go on; the result is in the future."""
        return self._pool.submit(function, *arguments, **named)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call and wait; raises what the function raises, and TimeoutError after a minute."""
        return self.start(function, *arguments, **named).result(timeout=60)


def without_wandb(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which nothing is said to W&B yet."""
    return {name: value for name, value in environment.items() if not name.startswith("WANDB_")}


def _prepare(environment: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(without_wandb(os.environ)):
        del os.environ[name]
    os.environ.update(environment)
    os.chdir(environment["WANDB_DIR"])


def _end() -> None:
    import wandb

    wandb.teardown()
