"""The page on which an experiment stands beside the day's own release: settings, accuracy, lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recsys_pipeline.core.reports.accuracy.leaderboard import sentence
from recsys_pipeline.core.reports.page.page import (
    Cell,
    ItemCard,
    ReportData,
    Samples,
    Section,
    Table,
    Text,
    UserSample,
    counts,
    render_page,
)
from recsys_pipeline.core.reports.page.plots import metric_label
from recsys_pipeline.core.reports.page.sections import terms_section
from recsys_pipeline.core.serving.comparison import Accuracy, Comparison, ListPair

SIDES = ("Day's own", "Experiment")


@dataclass(frozen=True)
class SettingRow:
    """A setting in which the two differ, in words: its value and where that is from."""

    name: str
    own: str
    other: str


@dataclass(frozen=True)
class ComparedReleases:
    """What the page is about, besides the figures."""

    dataset: str
    day: str
    digest: str
    """Of the snapshot that both were made from."""
    settings: tuple[SettingRow, ...]
    gate: tuple[str, str]
    """The gate's verdict on each, in words."""
    titles: Mapping[str, str]
    """Of items, by id."""
    notes: tuple[str, ...] = ()
    """What the reader must know first."""


def verdict(comparison: Comparison) -> str:
    """The answer in a sentence."""
    row = comparison.primary
    if row is None:
        return "No test row is left that neither model was fitted on: there is nothing to judge accuracy by."
    gap = row.difference
    words = "within chance" if not gap.is_clear else ("clearly better" if gap.value > 0 else "clearly worse")
    return (
        f"The experiment is {words}: {metric_label(gap.metric, gap.k)} {row.other:.4f} against {row.own:.4f}, "
        f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] on the same {gap.n:,} users."
    )


def lists_in_words(comparison: Comparison) -> str:
    """How far the lists differ."""
    if not comparison.users:
        return "No user is in both: there are no lists to compare."
    own, other = comparison.coverage
    return (
        f"{comparison.changed:.0%} of {comparison.users:,} users would see another list; {comparison.overlap:.0%} of "
        f"what is in a list stays. They would show {other:.0%} of what is on sale; the day's own show {own:.0%}."
    )


def render_comparison(comparison: Comparison, about: ComparedReleases) -> str:
    """One self-contained HTML document; the same comparison gives the same text."""
    facts = [("test rows", comparison.test_rows), ("left out", comparison.rows_left_out), ("lists", comparison.users)]
    metrics = [row.difference.metric for row in comparison.accuracy]
    return render_page(
        ReportData(
            dataset=f"Experiment on {about.dataset}",
            day=about.day,
            digest=about.digest[:12],
            facts=counts(facts),
            sections=(
                _accuracy_section(comparison),
                _settings_section(about),
                _lists_section(comparison, about.titles),
                terms_section([*metrics, "coverage"]),
            ),
            warnings=about.notes,
        )
    )


def accuracy_rows(comparison: Comparison) -> list[tuple[str, str, str, str, str]]:
    """Metric, own, other, difference with its interval, and whether it is clear; for page and shell alike."""
    return [
        (
            sentence(metric_label(row.difference.metric, row.difference.k)),
            f"{row.own:.4f}",
            f"{row.other:.4f}",
            f"{row.difference.value:+.4f} [{row.difference.low:+.4f}, {row.difference.high:+.4f}]",
            _clear(row),
        )
        for row in comparison.accuracy
    ]


def _clear(row: Accuracy) -> str:
    gap = row.difference
    chance = "p < 0.001" if gap.p_value < 0.001 else f"p {gap.p_value:.3f}"
    return chance if gap.is_clear else f"within chance, {chance}"


def _tone(row: Accuracy) -> str:
    if not row.difference.is_clear:
        return ""
    return "good" if row.difference.value > 0 else "bad"


def _accuracy_section(comparison: Comparison) -> Section:
    tones = [
        "" if not row.difference.is_clear else ("good" if row.difference.value > 0 else "bad")
        for row in comparison.accuracy
    ]
    rows = tuple(
        (Cell(name), Cell(own), Cell(other), Cell(gap, clear, tone))
        for (name, own, other, gap, clear), tone in zip(accuracy_rows(comparison), tones, strict=True)
    )
    note = (
        "Both as they would serve today, on the day's test rows that neither was fitted on; differences are paired by "
        "user, with 95% intervals."
    )
    table = Table(("metric", "difference", *SIDES), rows)  # first what a phone has room for
    return Section("accuracy", "Accuracy", (Text(note), table) if rows else (Text(note),), verdict(comparison))


def _settings_section(about: ComparedReleases) -> Section:
    rows = tuple((Cell(row.name), Cell(row.own), Cell(row.other)) for row in about.settings)
    gate = (Cell("gate"), Cell(about.gate[0]), Cell(about.gate[1]))
    table = Table(("setting", *SIDES), (*rows, gate), textual=True)
    named = ", ".join(row.name for row in about.settings[:3]) + (" and more" if len(about.settings) > 3 else "")
    headline = f"They differ in {named}." if rows else "Their settings are the same."
    return Section("settings", "What differs", (table,), headline)


def _lists_section(comparison: Comparison, titles: Mapping[str, str]) -> Section:
    note = "From the lists that differ most to those that differ least. A green mark: chosen in the test rows."
    users = tuple(_sample(pair, titles) for pair in comparison.shown)
    return Section("lists", "Lists side by side", (Text(note), Samples(users, SIDES)), lists_in_words(comparison))


def _sample(pair: ListPair, titles: Mapping[str, str]) -> UserSample:
    def cards(items: Sequence[str]) -> tuple[ItemCard, ...]:
        return tuple(ItemCard(titles.get(item, item), is_hit=item in pair.chosen) for item in items)

    return UserSample(pair.user, cards(pair.own), cards(pair.other), f"{pair.overlap:.0%} of the items in both")
