"""Nothing that data holds is obeyed by a terminal or by a page of Markdown."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from recsys_pipeline.adapters.terminal import open_console
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.printable import markdown_text, printable

TITLE = "\x1b]0;owned\x07\x1b[31mRed\x9b2J \u202egnp.exe\r"


def written(*shown: object, **options: object) -> str:
    stream = io.StringIO()
    open_console(file=stream, width=120, **options).print(*shown)
    return stream.getvalue()


def table_of(text: str) -> Table:
    table = Table("title")
    table.add_row(text)
    return table


@pytest.mark.parametrize("make", [str, Text, table_of])
def test_control_characters_of_data_are_written_out(make: type) -> None:
    out = written(make(TITLE))
    assert not set(out) & set("\x1b\x07\x9b\u202e\r")
    assert "\\x1b" in out
    assert "Red" in out


def test_colours_of_our_own_stay() -> None:
    assert "\x1b[" in written("[red]wrong[/red]", force_terminal=True, color_system="standard")


def test_an_error_says_data_in_print() -> None:
    assert str(SourceError(f"price '{TITLE}'")) == f"price '{printable(TITLE)}'"
    assert "\x1b" not in printable(TITLE)
    assert printable("Ö\tzwei\nZeilen 😀") == "Ö\tzwei\nZeilen 😀"


def test_markdown_of_data_is_text() -> None:
    assert markdown_text("a|b\n<b>[x](y) `c` *d* _e_") == r"a\|b \<b\>\[x\](y) \`c\` \*d\* \_e\_"
