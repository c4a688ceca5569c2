"""What changed since the report before: data, the best model, its figure, and whether that is more than chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recsys_pipeline.core.reports.accuracy.leaderboard import ranked
from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline.core.reports.page.page import Cell, Section, Table, Text
from recsys_pipeline.core.reports.page.plots import metric_label

_WIDTH_IN_ERRORS = 2 * 1.96  # of a 95% interval


@dataclass(frozen=True)
class DayFacts:
    """One day as its report knows it."""

    day: str
    counts: Mapping[str, int]
    """Users, items, rows and the like."""
    estimates: Sequence[Estimate]


def changes_section(today: DayFacts, before: DayFacts | None, metric: str = "ndcg", k: int = 10) -> Section:
    """The section, whose headline is the one paragraph that people read first.

    Figures of two days are on different rows, so their difference is not paired: it is called real where it is
    larger than 1.96 standard errors of both together, taken from their intervals.
    """
    if before is None:
        text = f"{today.day} is the first report: there is no earlier one to compare with."
        return Section("changes", "What changed", (Text(text),), text)
    sentences = [f"Since {before.day}: {_counts_sentence(today.counts, before.counts)}."]
    rows, earlier = ranked(today.estimates, metric, k), ranked(before.estimates, metric, k)
    if rows and earlier:
        sentences.append(_best_sentence(rows[0], earlier))
    clear = [row.model for row in rows[1:] for then in earlier if then.model == row.model and _is_clear(row, then)]
    if clear:
        sentences.append(f"Also clearly changed: {', '.join(clear)}.")
    return Section("changes", "What changed", (_table(rows, earlier, today, before),), " ".join(sentences))


def _counts_sentence(today: Mapping[str, int], before: Mapping[str, int]) -> str:
    parts = [f"{today[name] - before[name]:+,} {name} (now {today[name]:,})" for name in today if name in before]
    return ", ".join(parts) if parts else "nothing that both reports count"


def _best_sentence(best: Estimate, earlier: Sequence[Estimate]) -> str:
    label = metric_label(best.metric, best.k)
    then = next((row for row in earlier if row.model == best.model), None)
    lead = "still ranks best" if earlier[0].model == best.model else f"now ranks best, before it was {earlier[0].model}"
    if then is None:
        return f"{best.model} {lead}; it is new, with {label} {best.value:.3f}."
    verdict = "more than chance" if _is_clear(best, then) else "within chance"
    return (
        f"{best.model} {lead}: {label} {then.value:.3f} → {best.value:.3f} ({best.value - then.value:+.3f}, {verdict})."
    )


def _is_clear(now: Estimate, then: Estimate) -> bool:
    errors = [(row.high - row.low) / _WIDTH_IN_ERRORS for row in (now, then)]
    return bool(abs(now.value - then.value) > 1.96 * math.hypot(*errors))


def _table(rows: Sequence[Estimate], earlier: Sequence[Estimate], today: DayFacts, before: DayFacts) -> Table:
    then = {row.model: row for row in earlier}
    cells = []
    for row in rows:
        old = then.get(row.model)
        if old is None:
            cells.append((Cell(row.model), Cell("–"), Cell(f"{row.value:.3f}"), Cell("new")))
            continue
        change = Cell(f"{row.value - old.value:+.3f}", "", "" if _is_clear(row, old) else "muted")
        cells.append((Cell(row.model), _figure(old), _figure(row), change))
    label = metric_label(rows[0].metric, rows[0].k) if rows else ""
    caption = "Grey: within chance, as far as two days on different rows can tell."
    return Table(("model", f"{label}, {before.day}", today.day, "change"), tuple(cells), caption)


def _figure(row: Estimate) -> Cell:
    return Cell(f"{row.value:.3f}", f"{row.low:.3f}–{row.high:.3f}")
