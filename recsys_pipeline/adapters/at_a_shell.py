"""Whether what runs in this process was typed at a shell of this machine, or asked for over the network."""

from collections.abc import Iterator
from contextlib import contextmanager

_commands: list[str] = []
"""No context variable: Dagster runs steps in contexts of its own."""


def at_a_shell() -> bool:
    """Whether a command runs in this process; runs that the UI, a schedule or a sensor asks for have processes."""
    return bool(_commands)


@contextmanager
def typed(command: str) -> Iterator[None]:
    """While a command runs."""
    _commands.append(command)
    try:
        yield
    finally:
        _commands.pop()
