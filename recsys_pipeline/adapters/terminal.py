"""Where the package writes to a terminal: what data says is shown, and never obeyed; who stops reading is let go."""

import logging
import os
import select
import sys
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from recsys_pipeline.core.printable import printable


class _Shown:
    """A renderable whose text has no control characters; what rich itself adds (colours) comes later."""

    def __init__(self, shown: Any) -> None:
        self.shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The same segments, their texts written out."""
        for segment in console.render(self.shown, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class _ShowControlCharacters(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(renderable) for renderable in renderables]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command, which ends as others do; rich would end it as a failure."""
        raise


def open_console(**options: Any) -> Console:
    """A console that writes out every control character of what it is given: titles and ids may hold any."""
    console = _Console(**options)
    console.push_render_hook(_ShowControlCharacters())
    return console


class StepHandler(logging.StreamHandler):
    """Steps to standard output; when nobody reads it any more, the work goes on and says no more."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is logging's)
        """Called by `emit` while it handles what writing raised."""
        if isinstance(sys.exc_info()[1], BrokenPipeError) and is_unread():
            fall_silent()
        else:
            super().handleError(record)


def is_unread() -> bool:
    """Whether standard output is a pipe whose reader has gone, as `head` goes after ten lines."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # it is no file, or closed
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))


def fall_silent() -> None:
    """Send standard output nowhere, so that what is left in its buffer raises no more as Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
