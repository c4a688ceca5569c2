"""The report page: one self-contained HTML file that opens offline, on a phone, in the light or in the dark.

A page is a header and a list of sections; a section is a list of blocks (text, table, plots, looks, samples, terms).
One file adds a section: it gives a `Section`, and nothing here changes. The sections of the daily report are in
`sections.py`. All text is escaped.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from recsys_pipeline.core.reports.page.pictures import LookExample, data_uri, encode_image
from recsys_pipeline.core.reports.page.plots import to_svg


@dataclass(frozen=True)
class Cell:
    """One table cell: its text, a smaller line below it, and how it is set."""

    text: str
    detail: str = ""
    tone: str = ""
    """"", "best", "good", "bad", "muted" or "code"."""
    href: str = ""
    """A relative address that the text leads to; only pages that stand beside others have one."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    link: tuple[str, str] | None = None
    """(relative address, words) of a page that stands beside this one."""
    kind: str = "text"


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first column names the row, the others are set as numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    folded: bool = False
    """Shown only when the reader opens it."""
    textual: bool = False
    """All columns hold text, set to the left."""
    kind: str = "table"


@dataclass(frozen=True)
class Plot:
    """One plot: a title that says what to see, the figure, and the same in words for those who cannot see it."""

    title: str
    figure: Figure
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Plots:
    """Plots side by side where there is room."""

    plots: tuple[Plot, ...]
    kind: str = "plots"


@dataclass(frozen=True)
class Looks:
    """Scenes with the products that were recommended for them."""

    examples: tuple[LookExample, ...]
    kind: str = "looks"


@dataclass(frozen=True)
class ItemCard:
    """One item as people see it; `image` is an encoded PNG or JPEG."""

    title: str
    image: bytes | None = None
    is_hit: bool = False
    """Whether the user chose it in the test window."""


@dataclass(frozen=True)
class UserSample:
    """One user's history and what was recommended to them."""

    user: str
    history: tuple[ItemCard, ...]
    recommended: tuple[ItemCard, ...]
    note: str = ""
    beside: tuple[ItemCard, ...] = ()
    """The list of a second model, where `Samples` has a third title."""


@dataclass(frozen=True)
class Samples:
    """Users with history and recommendations, or anything else that leads to a list of items."""

    users: tuple[UserSample, ...]
    titles: tuple[str, ...] = ("Chose before", "Recommended")
    kind: str = "samples"


@dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    terms: tuple[tuple[str, str], ...]
    kind: str = "terms"


@dataclass(frozen=True)
class Html:
    """Markup of a block's own, from a template that escapes all text; for what no other page shows."""

    html: Markup
    kind: str = "html"


Block = Text | Table | Plots | Looks | Samples | Terms | Html


@dataclass(frozen=True)
class Section:
    """One part of the page; `headline` is its one-sentence result, repeated at the top of the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    headline: str = ""


@dataclass(frozen=True)
class ReportData:
    """Everything on the page. A source without looks, or without interactions, leaves that section out."""

    dataset: str
    day: str
    digest: str
    """Of the data that the page is made from; empty on a page about several days."""
    facts: tuple[tuple[str, str], ...]
    """(what, how many) for the tiles on top: users, items, rows."""
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    """What the reader must know before trusting a figure."""


def render_page(data: ReportData) -> str:
    """The whole report as one HTML document without external references; the same data gives the same text."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["data_uri"] = data_uri
    environment.filters["picture"] = lambda pixels: data_uri(encode_image(pixels))
    environment.globals["svg"] = _svg
    source = files("recsys_pipeline.core.reports.page").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(data=data)


def _svg(plot: Plot, name: str) -> Markup:
    """The plot; a note in its place where it cannot be drawn, since figures and tables beside it can still be read."""
    try:
        # Matplotlib escapes the texts that it writes, so its SVG is markup already.
        return Markup(to_svg(plot.figure, name))
    except Exception as error:  # noqa: BLE001 - whatever a plotting library raises
        warnings.warn(f"the plot {name} cannot be drawn: {error!r}", stacklevel=2)
        return Markup("<p>This plot could not be drawn: {}</p>").format(f"{type(error).__name__}: {error}")


def counts(facts: Sequence[tuple[str, int]]) -> tuple[tuple[str, str], ...]:
    """Counts as `facts`, with thousands separated."""
    return tuple((name, f"{number:,}") for name, number in facts)
