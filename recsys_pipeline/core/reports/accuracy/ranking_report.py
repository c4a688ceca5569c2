"""The ranking report as files: estimates, differences, how often items were shown, and every evaluated user's list."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.core.reports.accuracy.hit_rates import ValueHitRate, hit_rates_by_value
from recsys_pipeline.core.reports.accuracy.item_metrics import item_estimates
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.resampling import (
    Difference,
    Estimate,
    best_against_others,
    ranking_estimates,
    silent_models,
)

PRIMARY_METRIC, PRIMARY_K = "ndcg", 10
SHOWN_PLACES = 10
Row = TypeVar("Row")


@dataclass(frozen=True)
class RankingReport:
    """What the page, the metadata and the next day's report read."""

    estimates: list[Estimate]
    differences: list[Difference]
    shown: dict[str, np.ndarray]
    """Per model, how often each item stood among the first places."""
    by_value: list[ValueHitRate]
    """How often relevant rows of each value, and of each value or more, stood among the first places."""
    lists: pd.DataFrame
    """One row per model and evaluated user: `model`, `user`, `items` (best first)."""

    @property
    def best(self) -> str:
        """The model with the highest primary metric, the first of equals; models that tell no items apart come last."""
        rows = [row for row in self.estimates if (row.metric, row.k) == (PRIMARY_METRIC, PRIMARY_K)]
        silent = silent_models(self.estimates)
        return max(rows, key=lambda row: (row.model not in silent, row.value)).model

    def save(self, directory: Path) -> None:
        """Write the tables."""
        save_records(self.estimates, directory / "estimates.parquet")
        save_records(self.by_value, directory / "by_value.parquet")
        save_records(self.differences, directory / "differences.parquet")
        pq.write_table(pa.table(self.shown), directory / "shown.parquet")
        self.lists.to_parquet(directory / "lists.parquet")

    @classmethod
    def load(cls, directory: Path) -> "RankingReport":
        """Read what `save` wrote."""
        shown = pq.read_table(directory / "shown.parquet")
        return cls(
            estimates=load_records(Estimate, directory / "estimates.parquet"),
            differences=load_records(Difference, directory / "differences.parquet"),
            by_value=load_records(ValueHitRate, directory / "by_value.parquet"),
            shown={name: shown.column(name).to_numpy() for name in shown.column_names},
            lists=pd.read_parquet(directory / "lists.parquet"),
        )


def summarise(results: Sequence[RankingResult], seed: int, n_resamples: int) -> RankingReport:
    """Estimates of every model with intervals, and the best model's paired difference from each other one."""
    rows = [
        {"model": result.model, "user": int(user), "items": result.recommended(int(user))[:SHOWN_PLACES].tolist()}
        for result in results
        for user in result.users
    ]
    return RankingReport(
        estimates=[
            row
            for result in results
            for row in (*ranking_estimates(result, seed, n_resamples), *item_estimates(result, seed, n_resamples))
        ],
        by_value=[row for result in results for row in hit_rates_by_value(result, SHOWN_PLACES, seed, n_resamples)],
        differences=best_against_others(results, seed, PRIMARY_METRIC, PRIMARY_K, n_resamples),
        shown={result.model: result.shown_counts(SHOWN_PLACES) for result in results},
        lists=pd.DataFrame(rows, columns=["model", "user", "items"]),
    )


def save_records(records: Sequence[Any], path: Path) -> None:
    """A list of flat dataclasses as a Parquet table."""
    pd.DataFrame([dataclasses.asdict(record) for record in records]).to_parquet(path)


def load_records(kind: type[Row], path: Path) -> list[Row]:
    """The dataclasses that `save_records` wrote."""
    rows: list[Any] = pd.read_parquet(path).to_dict("records")
    return [kind(**row) for row in rows]
