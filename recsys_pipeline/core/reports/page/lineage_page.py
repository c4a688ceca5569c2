"""The lineage page: a graph of artifacts from left to right, and what each was made with; one file, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2
from markupsafe import Markup

from recsys_pipeline.core.reports.page.lineage_layout import Layout, lay_out
from recsys_pipeline.core.reports.page.page import Cell, Html, ReportData, Section, Table, render_page

BOX_WIDTH, BOX_HEIGHT, GAP, HEAD = 140, 42, 38, 30
"""Pixels: of a box, between columns, and of the row of stage names above."""
LETTERS = 17
"""Characters of a name that fit in a box."""
GUIDE = (
    "Data flows from left to right. Choose an artifact to see its manifest, what it was made from, and what it went "
    "into."
)


@dataclass(frozen=True)
class LineageCard:
    """One box of the page and what stands behind it: an artifact with its manifest, or a run of days."""

    key: str
    partition: str
    """A day or an hour; of a run how many, such as "28 days"."""
    digest: str
    """Empty for a run."""
    state: str = "current"
    """"current", "older" where its partition points to another version, or "gone" where its manifest is."""
    headline: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """When, how long, by which run and code."""
    tables: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """(title, rows of name and value): config, metrics, files."""
    is_asked: bool = False
    """The artifact that the page is about."""

    @property
    def stage(self) -> str:
        """First word of the key."""
        return self.key.split("/")[0]

    @property
    def name(self) -> str:
        """Key and partition."""
        return f"{self.key}@{self.partition}" if self.digest else f"{self.key}, {self.partition}"

    @property
    def when(self) -> str:
        """The second line of the box."""
        return f"{self.partition} · {self.digest[:6]}" if self.digest else self.partition

    @property
    def subject(self) -> str:
        """What follows the stage."""
        return self.key.partition("/")[2]


def render_lineage(
    cards: Sequence[LineageCard],
    edges: Sequence[tuple[int, int]],
    stages: Sequence[str],
    headline: str,
    facts: Sequence[tuple[str, str]],
) -> str:
    """The page; `edges` are (input, output) as rows of `cards`, `stages` the names of the stages in flow order."""
    asked = next(card for card in cards if card.is_asked)
    named = [name for name, _ in asked.facts[:2]]
    table = Table(
        ("artifact", "partition", "digest", *named, "figure"),
        tuple(_row(number, card, named) for number, card in enumerate(cards)),
        "All of them as a table", folded=True, textual=True,
    )  # fmt: skip
    section = Section("lineage", "Lineage", (Html(_graph(cards, edges, stages)), table), headline)
    return render_page(ReportData(f"Lineage of {asked.key}", asked.partition, "", tuple(facts), (section,)))


def _row(number: int, card: LineageCard, named: list[str]) -> tuple[Cell, ...]:
    facts = dict(card.facts)
    texts = (card.partition, *(facts.get(name, "–") for name in named), card.headline or "–")
    cells = [Cell(text, tone="muted" if card.state == "gone" else "") for text in texts]
    cells.insert(1, Cell(card.digest[:12] or "–", tone="code"))
    return (Cell(card.key, "" if card.state == "current" else card.state, href=f"#a{number}"), *cells)


def _graph(cards: Sequence[LineageCard], edges: Sequence[tuple[int, int]], stages: Sequence[str]) -> Markup:
    order = {stage: number for number, stage in enumerate(stages)}
    layout = lay_out([order.get(card.stage, len(order)) for card in cards], edges)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    source = files("recsys_pipeline.core.reports.page").joinpath("lineage.html.j2").read_text(encoding="utf-8")
    inputs, outputs = ([[] for _ in cards] for _ in range(2))
    for given, made in edges:
        inputs[made].append(given)
        outputs[given].append(made)
    rendered = environment.from_string(source).render(
        guide=GUIDE,
        cards=list(zip(cards, inputs, outputs, strict=True)),
        boxes=[_box(card, at, y) for card, at, y in zip(cards, layout.column, layout.height, strict=True)],
        paths=[{"from": edge[0], "to": edge[1], "d": _path(edge, layout)} for edge in edges],
        heads=_heads(cards, layout, order),
        width=(max(layout.column) + 1) * (BOX_WIDTH + GAP) - GAP + 2,
        height=layout.bottom + HEAD,
        box=(BOX_WIDTH, BOX_HEIGHT),
    )
    return Markup(rendered)


def _box(card: LineageCard, column: int, height: float) -> dict[str, object]:
    name = card.subject if len(card.subject) <= LETTERS else card.subject[: LETTERS - 1] + "…"
    return {"x": _left(column), "y": HEAD + height - BOX_HEIGHT / 2, "name": name, "card": card}


def _left(column: int) -> int:
    return 1 + column * (BOX_WIDTH + GAP)


def _path(edge: tuple[int, int], layout: Layout) -> str:
    """A line from the right side of the input's box, straight along its lanes, to the left side of the output's."""
    source, target = edge
    x, y = _left(layout.column[source]) + BOX_WIDTH, HEAD + layout.height[source]
    steps = [f"M{x:.0f} {y:.1f}"]
    passed = range(layout.column[source] + 1, layout.column[target])
    for at, height in zip((*passed, layout.column[target]), (*layout.lanes[edge], layout.height[target]), strict=True):
        x_next, y_next = _left(at), HEAD + height
        middle = (x + x_next) / 2
        steps.append(f"C{middle:.0f} {y:.1f} {middle:.0f} {y_next:.1f} {x_next:.0f} {y_next:.1f}")
        x, y = x_next + BOX_WIDTH, y_next
        if at in passed:
            steps.append(f"H{x:.0f}")
    return "".join(steps)


def _heads(cards: Sequence[LineageCard], layout: Layout, order: dict[str, int]) -> list[dict[str, object]]:
    """Each stage's name above its columns."""
    found: dict[str, list[int]] = {}
    for card, column in zip(cards, layout.column, strict=True):
        found.setdefault(card.stage, []).append(column)
    return [
        {"name": stage, "x": _left(min(columns)), "to": _left(max(columns)) + BOX_WIDTH, "hue": order.get(stage, 7) + 1}
        for stage, columns in found.items()
    ]
