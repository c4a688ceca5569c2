"""Where the package writes to a terminal: what data says is shown, and never obeyed."""

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


def open_console(**options: Any) -> Console:
    """A console that writes out every control character of what it is given: titles and ids may hold any."""
    console = Console(**options)
    console.push_render_hook(_ShowControlCharacters())
    return console
