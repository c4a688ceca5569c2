"""Day by day on one file with times: each day is predicted by models that know only what came before it."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys_pipeline.adapters.splits.files import OneFile, read_interactions
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Recommender
from recsys_pipeline.core.reports.accuracy.day_by_day import DayByDayConfig, DayFigure, continue_curve
from recsys_pipeline.core.time import Window, microseconds
from recsys_pipeline.evaluate.output import versions
from recsys_pipeline.evaluate.reading import show_files
from recsys_pipeline.evaluate.request import Contender, CurveFile, Request

MICROSECONDS_PER_S = 1_000_000


@dataclass(frozen=True)
class Curve:
    """Every figure, and where it came from."""

    request: Request
    file: OneFile
    figures: tuple[DayFigure, ...]
    seconds: float


def evaluate_curve(request: Request, files: CurveFile, console: Console) -> Curve:
    """Predict the last days of the file one after the other; raises `DataError` for data without times."""
    started = time.perf_counter()
    found = read_interactions(files.data, request.reading)
    show_files({"data": found.file}, console)
    if not found.file.layout.has_times:
        raise DataError(
            f"{files.data} has no times ({found.file.layout.describe()}): day_by_day needs a timestamp column "
            "(--columns says which it is)"
        )
    ratings = found.ratings
    first, last = (_day_of(bound) for bound in (ratings.timestamp_us.min(), ratings.timestamp_us.max()))
    console.print(f"{len(ratings):,} pairs, {first} to {last}; predicting the last {files.days} days", markup=False)
    fits = {row.spec.name: _fit_of(row, request.seed) for row in request.contenders}
    config = DayByDayConfig(ages_days=files.ages_days, first_days=files.days, curve_days=max(files.days, 60))

    def known(window: Window) -> Ratings:
        return ratings.take(ratings.timestamp_us < microseconds(window.start))

    def progress(label: str, figures: dict[str, float]) -> None:
        console.print(f"{label}: {', '.join(f'{name} {value:.4f}' for name, value in figures.items())}", markup=False)

    figures = continue_curve([], last, first, known, fits, config, request.seed, progress)
    return Curve(request, found, tuple(figures), time.perf_counter() - started)


def print_curve(curve: Curve, console: Console) -> None:
    """One row per day, and per age of the model on the last day."""
    name = f"{curve.figures[0].metric}@{curve.figures[0].k}" if curve.figures else "figure"
    table = Table(title="Each day by models that know only what came before it [95% interval]", title_justify="left")
    for column in ("day", "model", "age, days", "folded in"):
        table.add_column(column)
    for column in (name, "users"):
        table.add_column(column, justify="right")
    for row in curve.figures:
        figure = "undefined" if np.isnan(row.value) else f"{row.value:.4f} \\[{row.low:.3f} {row.high:.3f}]"
        folded = "yes" if row.is_folded_in else ""
        table.add_row(row.day, row.model, str(row.age_days), folded, figure, f"{row.n:,}")
    console.print(table)
    console.print("Tested: what known users newly chose that day; every item that they had not chosen before competes.")


def curve_document(curve: Curve) -> dict[str, Any]:
    """Everything as JSON; what is undefined is null."""
    file = curve.file.file
    rows = [{name: None if value != value else value for name, value in asdict(row).items()} for row in curve.figures]
    return {
        "protocol": "day_by_day",
        "files": {"data": {"path": str(file.path), "sha256": file.digest, "pairs": file.n_rows}},
        "models": [{"model": row.spec.name, "config": asdict(row.config)} for row in curve.request.contenders],
        "seed": curve.request.seed,
        "figures": rows,
        "seconds": round(curve.seconds, 3),
        "versions": versions(),
    }


def _fit_of(contender: Contender, seed: int) -> Callable[[Ratings], Recommender]:
    return lambda train: contender.spec.fit(train, contender.config, seed)


def _day_of(timestamp_us: np.integer[Any]) -> date:
    return datetime.fromtimestamp(int(timestamp_us) / MICROSECONDS_PER_S, UTC).date()
