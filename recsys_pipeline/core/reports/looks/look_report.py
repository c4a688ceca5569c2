"""The looks report as files: figures of every model, the model's lead over each baseline, products it had not seen.

Everything is paired over scenes: all models are judged on the same pairs, and the pairs of one scene stay together.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int32

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.accuracy.ratios import ratio_intervals
from recsys_pipeline.core.reports.accuracy.resampling import N_RESAMPLES, Difference, Estimate
from recsys_pipeline.core.reports.accuracy.significance import (
    holm,
    minimum_detectable_effect,
    randomisation_p_values,
)
from recsys_pipeline.core.reports.looks.looks import PairFigures, look_estimates, scene_sums

PRIMARY = ("same_category_accuracy", 0)
GROUPED = ("same_category_accuracy", "auc", "mrr", "hit_rate")
"""Metrics that are told apart by group."""


@dataclass(frozen=True)
class GroupFigure:
    """A figure on the pairs of one group: products that stand in a train row ("seen"), and those that do not."""

    group: str
    model: str
    metric: str
    k: int
    value: float
    low: float
    high: float
    n: int
    """Pairs that define the figure."""
    n_scenes: int


@dataclass(frozen=True)
class LooksReport:
    """What the page, the metadata and the summary read."""

    estimates: list[Estimate]
    differences: list[Difference]
    """The model's lead over every other scorer; `n` are scenes."""
    groups: list[GroupFigure]

    def save(self, directory: Path) -> None:
        """Write one table each."""
        for name in ("estimates", "differences", "groups"):
            save_records(getattr(self, name), directory / f"{name}.parquet")

    @classmethod
    def load(cls, directory: Path) -> "LooksReport":
        """Read what `save` wrote."""
        kinds = {"estimates": Estimate, "differences": Difference, "groups": GroupFigure}
        return cls(**{name: load_records(kind, directory / f"{name}.parquet") for name, kind in kinds.items()})


def summarise_looks(
    figures: Sequence[PairFigures],
    model: str,
    seen: Bool[np.ndarray, " pairs"],
    seed: int,
    n_resamples: int = N_RESAMPLES,
) -> LooksReport:
    """Estimates, `model`'s paired differences from all others, and figures by whether the pair's product was `seen`."""
    own = next(rows for rows in figures if rows.model == model)
    others = [rows for rows in figures if rows is not own]
    return LooksReport(
        estimates=[row for rows in figures for row in look_estimates(rows, seed, n_resamples)],
        differences=lead_over(own, others, seed, n_resamples),
        groups=group_figures(figures, {"seen": seen, "unseen": ~seen}, seed, n_resamples),
    )


def seen_pairs(
    data: LookData, train_rows: Int32[np.ndarray, " train"], rows: Int32[np.ndarray, " pairs"]
) -> Bool[np.ndarray, " pairs"]:
    """Whether each pair's product occurs in a train row: what does not is a cold product."""
    return np.isin(data.product[rows], data.product[train_rows])


def lead_over(
    model: PairFigures, others: Sequence[PairFigures], seed: int, n_resamples: int = N_RESAMPLES
) -> list[Difference]:
    """Model minus each other scorer for every figure, p-values adjusted per figure for all of them (Holm)."""
    compared = [paired_over_scenes(model, other, seed, n_resamples) for other in others]
    if not compared:
        return []
    adjusted = np.stack([holm(np.array([row.p_value for row in rows])) for rows in zip(*compared, strict=True)])
    return [
        replace(row, p_value=float(adjusted[at, other]))
        for other, rows in enumerate(compared)
        for at, row in enumerate(rows)
    ]


def paired_over_scenes(
    model: PairFigures, baseline: PairFigures, seed: int, n_resamples: int = N_RESAMPLES
) -> list[Difference]:
    """Model minus baseline over the same pairs: interval, p-value and detectable effect with scenes as the units.

    The mean is over pairs, as in `look_estimates`. The randomisation test swaps the two models scene by scene; the
    detectable effect is of a ratio (summed gaps over summed pairs), by its linearisation: Cochran, "Sampling
    techniques", 1977, section 6.3. P-values are of this one comparison. Raises `DataError` where the two were judged
    on other pairs or figures.
    """
    if model.columns != baseline.columns or not np.array_equal(model.scenes, baseline.scenes):
        raise DataError(
            f"{model.model} and {baseline.model} were judged on other pairs or cut-offs: use the same folds"
        )
    sums, counts = scene_sums(model.values - baseline.values, model.scenes)
    value, low, high = ratio_intervals(sums, counts, seed, n_resamples)
    gaps = np.where(counts > 0, sums, np.nan)
    p_values, detectable = randomisation_p_values(gaps, seed), _detectable(sums, counts, value)
    n_scenes = (counts > 0).sum(axis=0)
    return [
        Difference(
            model.model, baseline.model, metric, k, float(value[at]), float(low[at]), float(high[at]),
            int(n_scenes[at]), float(p_values[at]), float(detectable[at]),
        )
        for at, (metric, k) in enumerate(model.columns)
    ]  # fmt: skip


def group_figures(
    figures: Sequence[PairFigures],
    groups: Mapping[str, Bool[np.ndarray, " pairs"]],
    seed: int,
    n_resamples: int = N_RESAMPLES,
) -> list[GroupFigure]:
    """The figures of `GROUPED` on each group of pairs; NaN, with a warning, for a group that defines none."""
    rows = []
    for group, members in groups.items():
        if not members.any():
            warnings.warn(f"no pair is of the group {group!r}: its figures are NaN", stacklevel=2)
        for model in figures:
            columns = [at for at, (metric, _) in enumerate(model.columns) if metric in GROUPED]
            sums, counts = scene_sums(model.values[members][:, columns], model.scenes[members])
            value, low, high = ratio_intervals(sums, counts, seed, n_resamples)
            pairs, scenes = counts.sum(axis=0).astype(int), (counts > 0).sum(axis=0)
            rows += [
                GroupFigure(
                    group, model.model, *model.columns[at], float(value[i]), float(low[i]), float(high[i]),
                    int(pairs[i]), int(scenes[i]),
                )
                for i, at in enumerate(columns)
            ]  # fmt: skip
    return rows


def _detectable(
    sums: Float64[np.ndarray, "scenes columns"],
    counts: Float64[np.ndarray, "scenes columns"],
    value: Float64[np.ndarray, " columns"],
) -> Float64[np.ndarray, " columns"]:
    defined = counts > 0
    per_scene = counts.sum(axis=0) / np.maximum(defined.sum(axis=0), 1)
    residuals = (sums - value * counts) / np.where(per_scene > 0, per_scene, np.nan)
    return minimum_detectable_effect(np.where(defined, residuals, np.nan))
