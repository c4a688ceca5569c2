"""`recsys demo`: the daily job for the last complete day, and what came out."""

import argparse
import math
import time

from rich.console import Console
from rich.table import Table

from recsys_pipeline import definitions
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.commands.running.launch import Outcome, last_complete_day, run_job
from recsys_pipeline.commands.screen import print_missing, show_steps
from recsys_pipeline.core.neighbors.index import SearchIndex
from recsys_pipeline.core.reports.accuracy.ranking_report import RankingReport, load_records
from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline.defs.released import index_key
from recsys_pipeline.defs.resources import StoreResource, configured_source, report_folder
from recsys_pipeline.settings import settings

LEADERBOARD = {
    "NDCG@10": ("ndcg", 10),
    "recall@10": ("recall", 10),
    "hit@10": ("hit_rate", 10),
    "coverage": ("coverage", 10),
}
LOOKS = {
    "accuracy": ("same_category_accuracy", 0),
    "AUC": ("auc", 0),
    "hit@10 in category": ("category_hit_rate", 10),
    "MRR in category": ("category_mrr", 0),
}


def run(console: Console, _: argparse.Namespace) -> int:
    """Run the job, print the tables."""
    day = last_complete_day()
    show_steps()
    started = time.monotonic()
    console.print(f"[bold]batch_daily[/bold] for {day}: the last complete day (UTC)")
    outcome = run_job(definitions.defs, "batch_daily", day)
    print_summary(console, day, time.monotonic() - started, outcome)
    print_missing(console, outcome.missing)
    return 0


def print_summary(console: Console, day: str, seconds: float, outcome: Outcome) -> None:
    """Tables of the reports that exist for the day, and the next steps."""
    store = StoreResource().open()
    console.print()
    if ranking := store.current("reports/ranking", day):
        report = RankingReport.load(ranking.path)
        console.print(_table("Ranking: mean over users [95% interval]", report.estimates, LEADERBOARD))
    if looks := store.current("reports/looks", day):
        estimates = load_records(Estimate, looks.path / "estimates.parquet")
        console.print(_table("Shop the look, unseen scenes [95% interval]", estimates, LOOKS))
    console.print(_index_table(store, day))
    console.print(f"\n{outcome.made} artifacts made, {outcome.reused} up to date, in {seconds:.0f} s.")
    if store.current("reports/daily", day):
        folder = report_folder(settings(), configured_source().name)
        console.print(f"Report  {folder / f'{day}.html'}  (all days: {folder / 'index.html'})", soft_wrap=True)
    console.print(
        "Next    [bold]make ui[/bold]                      lineage, plots, Launchpad, schedules\n"
        "        [bold]. .venv/bin/activate[/bold]         once in this shell: it then finds `recsys`\n"
        "        [bold]recsys run sweep_weekly[/bold]      tune; tomorrow's models take the winner\n"
        "        edit [bold].env[/bold]                    point it at your own data (conf/sources has examples)"
    )


def _table(title: str, estimates: list[Estimate], columns: dict[str, tuple[str, int]]) -> Table:
    """Models by rows, best in the first column on top."""
    figures = {(row.model, row.metric, row.k): row for row in estimates}
    decisive = next(iter(columns.values()))
    models = sorted({row.model for row in estimates}, key=lambda model: -figures[(model, *decisive)].value)
    table = Table(title=title, title_justify="left")
    for heading in ("model", *columns):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for model in models:
        table.add_row(model, *(_figure(figures.get((model, metric, k))) for metric, k in columns.values()))
    return table


def _figure(row: Estimate | None) -> str:
    if row is None:
        return "–"
    interval = "" if math.isnan(row.low) else f" [dim]\\[{_short(row.low)} {_short(row.high)}][/dim]"
    return f"{_short(row.value)}{interval}"


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _index_table(store: ArtifactStore, day: str) -> Table:
    table = Table(title="Nearest-neighbour indexes: recall against exact search", title_justify="left")
    for heading in ("index", "family", "vectors", "recall@10", "target", "queries/s"):
        table.add_column(heading, justify="left" if heading in ("index", "family") else "right")
    for key in (index_key(), "neighbors/stl_index"):
        if artifact := store.current(key, day):
            found = SearchIndex.load(artifact.path).report
            name = key.removeprefix("neighbors/")
            table.add_row(name, found.chosen.family, f"{found.n_vectors:,}", f"{found.recall:.3f}",
                          f"{found.recall_target:.2f}", f"{found.queries_per_second:,.0f}")  # fmt: skip
    return table
