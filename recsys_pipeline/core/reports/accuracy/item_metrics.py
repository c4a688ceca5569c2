"""The same test rows with items as the unit: each item counts once, however many people chose it.

A mean over users is a mean over what is popular. Averaged over items, every seller's product weighs the same (macro
averaging; Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, section 13.6).
"""

import numpy as np
from jaxtyping import Float64, Int32

from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.ratios import mean_estimates
from recsys_pipeline.core.reports.accuracy.resampling import N_RESAMPLES, Estimate
from recsys_pipeline.core.reports.accuracy.tied_places import PlaceGain, TiedPlaces

ROW_METRICS: dict[str, PlaceGain] = {
    "item_recall": lambda place: np.ones(len(place)),
    "item_mrr": lambda place: 1.0 / place,
    "item_ndcg": lambda place: 1.0 / np.log2(place + 1.0),
}
"""What a row gains that stands at a place within the first k; 0 below. Each is at most 1, reached at the first place
(at any place, for recall)."""


def item_values(
    item: Int32[np.ndarray, " rows"], places: TiedPlaces, ks: tuple[int, ...]
) -> tuple[Int32[np.ndarray, " items"], Float64[np.ndarray, "items columns"]]:
    """Items with relevant rows, ascending, and their rows' mean gains: a column per metric and k."""
    items, at = np.unique(item, return_inverse=True)
    n_rows = np.bincount(at, minlength=len(items))
    columns = [
        np.bincount(at, places.mean_gain(gain, k), len(items)) / n_rows for gain in ROW_METRICS.values() for k in ks
    ]
    return items.astype(np.int32), np.stack(columns, axis=1)


def item_estimates(result: RankingResult, seed: int, n_resamples: int = N_RESAMPLES) -> list[Estimate]:
    """Each row metric at each k as a mean over items, with its bootstrap interval over items; none without rows."""
    if not len(result.rows.item):
        return []
    _, values = item_values(result.rows.item, result.rows.places, result.ks)
    columns = [(result.model, metric, k) for metric in ROW_METRICS for k in result.ks]
    return mean_estimates(columns, values, seed, n_resamples)
