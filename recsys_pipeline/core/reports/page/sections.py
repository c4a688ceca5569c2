"""The other sections of the daily report, built from stored figures: indexes, samples, lineage, terms."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.neighbors.index import IndexReport
from recsys_pipeline.core.reports.accuracy.leaderboard import sentence
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.reports.page.page import (
    Block,
    Cell,
    Plot,
    Plots,
    Samples,
    Section,
    Table,
    Terms,
    Text,
    UserSample,
)
from recsys_pipeline.core.reports.page.plots import metric_label

MEANINGS = {
    "ndcg": "How high the things that a user went on to choose are placed: 1 when all are on top, less further down.",
    "recall": "Of the things a user went on to choose, the share that the first k places held.",
    "precision": "Of the first k places, the share that the user went on to choose.",
    "map": "Precision averaged over the places of the hits: rewards putting them early (mean average precision).",
    "mrr": "One over the place of the first hit, on average: 0.5 is a first hit in place two (mean reciprocal rank).",
    "hit_rate": "The share of users with at least one hit in the first k places.",
    "coverage": "The share of the catalogue that at least one user is shown in the first k places.",
    "tied_places": "Of the first k places, the share whose score another candidate has too: their order says nothing, "
    "and every figure is its mean over all such orders.",
    "silent_users": "The share of users to whom the model gives all items the same score: of them it says nothing.",
    "arhr": "One over the place of each hit, added up: as MRR, but every hit counts (average reciprocal hit rank).",
    "graded_ndcg": "As NDCG, with the value that the user gave (stars, say) as the worth of a hit.",
    "auc": "The chance that a true item scores above a random one; guessing gives 0.5.",
    "limited_auc": "AUC judged on the first k places alone, as if everything below were in random order.",
    "r_precision": "Precision at as many places as the user has relevant items.",
    "item_recall": "Recall averaged over items instead of users: every product counts once, however popular.",
    "item_mrr": "One over the place where an item is shown to those who chose it, averaged over items.",
    "item_ndcg": "As NDCG, averaged over items instead of users.",
    "mae": "How far predicted values are from the real ones on average, in their own unit; smaller is better.",
    "rmse": "How far predicted values are from the real ones, in their own unit; smaller is better.",
    "prediction_coverage": "The share of test rows whose user and item are both known, so that more than a mean can be "
    "predicted; the error counts all rows.",
    "same_category_accuracy": "How often the true product fits the scene better than another of its category does; "
    "guessing gives 50%.",
    "category_auc": "As AUC, among products of the same category only.",
    "category_mrr": "As MRR, among products of the same category only.",
    "category_hit_rate": "As hit rate, among products of the same category only.",
    "hubness": "How unevenly products appear in the neighbour lists; 0 is even, high means a few appear everywhere.",
    "interval": "Where the figure would fall in 95 of 100 repetitions with other users, or scenes, of the same "
    "kind (bootstrap).",
}


@dataclass(frozen=True)
class LineageRow:
    """One artifact and what it was made from."""

    artifact: ArtifactRef
    inputs: tuple[ArtifactRef, ...]


def index_section(reports: Mapping[str, IndexReport]) -> Section:
    """Nearest-neighbour indexes, by name: what was chosen, how much it finds, how fast."""
    columns = ("index", "chosen", "recall", "target", "queries/s", "vectors", "size")
    rows = tuple(_index_row(name, report) for name, report in reports.items())
    caption = "Recall against exact search on queries that the tuning did not see; speed on one thread, in batches."
    measured = tuple(
        Plot(
            f"{name}: recall against speed",
            plots.recall_against_speed(report),
            f"Recall and queries per second of {len(report.candidates)} measured settings; chosen: {_choice(report)}.",
        )
        for name, report in reports.items()
        if len(report.candidates) > 1
    )
    blocks: list[Block] = [Table(columns, rows, caption)]
    if measured:
        blocks.append(Plots(measured))
    missed = [name for name, report in reports.items() if not report.meets_target]
    headline = (
        f"Index recall is below its target for {', '.join(missed)}."
        if missed
        else "; ".join(
            f"the {name} index finds {100 * report.recall:.1f}% of the true neighbours at "
            f"{_rounded(report.queries_per_second)} queries a second"
            for name, report in reports.items()
        )
        + "."
    )
    return Section("indexes", "Nearest-neighbour indexes", tuple(blocks), headline[:1].upper() + headline[1:])


def samples_section(users: Sequence[UserSample], best: str, released: str) -> Section:
    """A few users with their history, lists of the best model, and beside them of the released one where it is not."""
    both = best == released
    whose = f"Lists of {best}, which ranks best" + (" and is the model of releases" if both else "")
    if not both:
        whose += f", beside those of {released}, the model of releases"
    note = f"{whose}; as fitted for the figures above. A green mark is an item that the user chose in the test window."
    titles = ("Chose before", f"{best}, ranks best", *([] if both else [f"{released}, the model of releases"]))
    return Section("samples", "Sample users", (Text(note), Samples(tuple(users), titles)))


def lineage_section(rows: Sequence[LineageRow]) -> Section:
    """What each artifact was made from, by digest: the way back from a figure to its data."""
    table = Table(
        ("artifact", "partition", "digest", "made from"),
        tuple(
            (
                Cell(row.artifact.key),
                Cell(row.artifact.partition, tone="code"),
                Cell(row.artifact.digest[:12], tone="code"),
                Cell(", ".join(f"{ref.key} {ref.digest[:8]}" for ref in row.inputs) or "the source"),
            )
            for row in rows
        ),
        textual=True,
    )
    return Section("lineage", "Lineage", (table,))


def terms_section(metrics: Sequence[str]) -> Section:
    """What the figures mean, for those metrics that the page shows."""
    names = [name for name in dict.fromkeys(metrics) if name in MEANINGS]
    terms = [(sentence(metric_label(name, 0)), MEANINGS[name]) for name in names]
    return Section("terms", "What the figures mean", (Terms((*terms, ("95% interval", MEANINGS["interval"]))),))


def _index_row(name: str, report: IndexReport) -> tuple[Cell, ...]:
    return (
        Cell(name),
        Cell(_choice(report)),
        Cell(f"{report.recall:.3f}", f"{report.n_queries:,} queries", "good" if report.meets_target else "bad"),
        Cell(f"{report.recall_target:g}"),
        Cell(_rounded(report.queries_per_second)),
        Cell(f"{report.n_vectors:,} × {report.dim}"),
        Cell(f"{report.size_bytes / 1e6:.1f} MB"),
    )


def _choice(report: IndexReport) -> str:
    chosen = report.chosen
    name = {"flat": "exact search", "ivf": "IVF", "ivf_equal_norms": "IVF, equal norms", "hnsw": "HNSW"}[chosen.family]
    return f"{name}, {chosen.parameter} {chosen.value}" if chosen.parameter else name


def _rounded(value: float) -> str:
    """Two leading digits: speeds vary from run to run, more would pretend."""
    digits = max(0, math.floor(math.log10(value)) - 1) if value >= 1 else 0
    return f"{round(value, -digits):,.0f}"
