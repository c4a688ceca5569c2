"""The report on new items as files: figures of the day and of the days that reach back from it, and what is behind."""

import json
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.files import read_json
from recsys_pipeline.core.learning.cold_start.cold_start import MAPPERS, MapperError
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import ItemFeatures
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import HasVectors
from recsys_pipeline.core.reports.accuracy.day_by_day import KnownUntil
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.ratios import mean_estimates
from recsys_pipeline.core.reports.accuracy.resampling import N_RESAMPLES, Difference, Estimate
from recsys_pipeline.core.reports.accuracy.significance import (
    holm,
    minimum_detectable_effect,
    randomisation_p_values,
)
from recsys_pipeline.core.reports.cold_start.new_items import (
    AMONG_NEW,
    PLACEMENTS,
    NewItemsDay,
    judge,
    new_items_day,
    placing,
)

METRICS = (("auc", 0), ("ndcg", 10), ("recall", 10), ("recall", 100))
NARROW_METRICS = METRICS[:-1]
"""Among new items a list of 100 would hold most of them."""
PRIMARY = METRICS[0]
SCOPES = ("day", "recent days")
MODELS = ("random", "popularity", *MAPPERS)
_COLUMNS = [f"{metric}@{k}" for metric, k in METRICS]
Fit = Callable[[Ratings], HasVectors]
Metrics = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class NewItemsConfig:
    """How new items are judged."""

    recent_days: int = setting(28, "Days, the day itself among them, whose choices are also judged together.", ge=1)
    n_resamples: int = setting(N_RESAMPLES, "Bootstrap resamples of users.", ge=1)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class NewItemsFacts:
    """What one day gave to judge by."""

    day: str
    new_items: int
    """Items without an interaction before the day that a list could have held."""
    with_image: int
    chosen_items: int
    """New items that known users chose on the day."""
    pairs: int
    users: int
    mapper: str
    """The mapper that held-out items chose, before the day; empty where none was fitted."""
    reason: str
    """Why there is no figure; empty where there is one."""
    note: str = ""
    """Why no regression was fitted; empty where some were."""


@dataclass(frozen=True)
class Place:
    """Over which days, and among which items, new items were placed."""

    scope: str
    placement: str


@dataclass(frozen=True)
class PlacedFigure(Estimate, Place):
    """One figure of a way to place new items; NaN where nothing defines it."""


@dataclass(frozen=True)
class PlacedDifference:
    """The lead of the chosen mapper over another way to place new items, over the recent days."""

    placement: str
    difference: Difference


@dataclass(frozen=True)
class NewItemsReport:
    """What the page, the metadata and the next day's report read."""

    values: pd.DataFrame
    """A row per day, placement, model and user (its number in the snapshots, which never changes), with a column per
    metric."""
    facts: list[NewItemsFacts]
    """By day; the last is the report's."""
    figures: list[PlacedFigure]
    differences: list[PlacedDifference]
    errors: list[MapperError]
    """On held-out items of the days before; empty where no mapper could be chosen."""

    @property
    def today(self) -> NewItemsFacts:
        """The facts of the report's own day."""
        return self.facts[-1]

    def save(self, directory: Path) -> None:
        """Write a table each."""
        self.values.to_parquet(directory / "values.parquet")
        save_records(self.figures, directory / "figures.parquet")
        rows = [{"placement": row.placement, **asdict(row.difference)} for row in self.differences]
        document = {
            "facts": [asdict(row) for row in self.facts],
            "errors": [asdict(row) for row in self.errors],
            "differences": rows,
        }
        (directory / "new_items.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "NewItemsReport":
        """Read what `save` wrote."""
        document = read_json(directory / "new_items.json")
        rows = document["differences"]
        return cls(
            values=pd.read_parquet(directory / "values.parquet"),
            facts=[NewItemsFacts(**row) for row in document["facts"]],
            figures=load_records(PlacedFigure, directory / "figures.parquet"),
            differences=[PlacedDifference(row.pop("placement"), Difference(**row)) for row in rows],
            errors=[MapperError(**row) for row in document["errors"]],
        )


def report_new_items(
    known: KnownUntil,
    day: date,
    features: ItemFeatures,
    fit: Fit,
    mapping: ColdStartConfig,
    config: NewItemsConfig,
    seed: int,
    earlier: NewItemsReport | None = None,
) -> NewItemsReport:
    """Judge every way to place the day's new items, and all recent days together.

    `features` are of all items that a list could hold: those of the snapshot by id, then those that only the catalogue
    lists. `fit` makes the factorisation from what was known before the day. `earlier` is the newest report before the
    day, which brings the days before; a day that it lacks is left out. Where nothing of the day can be judged, its
    figures are NaN, with a warning, and `facts` say why.
    """
    values, facts, errors = _judge_day(known, day, features, fit, mapping, seed)
    if facts.reason:
        warnings.warn(f"new items of {day}: {facts.reason}; their figures are NaN", stacklevel=2)
    first = (day - timedelta(days=config.recent_days - 1)).isoformat()
    kept = [row for row in earlier.facts if first <= row.day < day.isoformat()] if earlier else []
    if earlier is not None:
        recent = earlier.values[earlier.values["day"].isin([row.day for row in kept])]
        values = pd.concat([recent, values], ignore_index=True)
    today = values[values["day"] == day.isoformat()]
    figures = [
        row
        for scope, table in zip(SCOPES, (today, values), strict=True)
        for row in _figures(scope, table, seed, config.n_resamples)
    ]
    return NewItemsReport(
        values=values,
        facts=[*kept, facts],
        figures=figures,
        differences=_leads(values, facts.mapper, seed, config.n_resamples),
        errors=errors,
    )


def _judge_day(
    known: KnownUntil, day: date, features: ItemFeatures, fit: Fit, mapping: ColdStartConfig, seed: int
) -> tuple[pd.DataFrame, NewItemsFacts, list[MapperError]]:
    tested = new_items_day(known, day, len(features))
    new, reason = tested.is_new, _reason(tested)
    values, mapper, note, errors = _no_values(), "", "", []
    if not reason:
        scorers, cold_start = placing(fit(tested.known), features, tested, mapping, seed)
        mapper, note, errors = cold_start.chosen, cold_start.note, list(cold_start.errors)
        values = _values(day, judge(scorers, tested, sorted({k for _, k in METRICS if k})))
    counts = (int(new.sum()), int((new & features.has_image).sum()), len(np.unique(tested.test.item)))
    sizes = (len(tested.test), len(np.unique(tested.test.user)))
    return values, NewItemsFacts(day.isoformat(), *counts, *sizes, mapper, reason, note), errors


def _reason(tested: NewItemsDay) -> str:
    """Why nothing can be judged; empty where it can."""
    if not len(tested.known):
        return "nothing was known before the day to learn from"
    if not tested.is_new.any():
        return "every item of the catalogue had interactions before the day"
    if not len(tested.test):
        return "no known user chose any of the new items on the day"
    return ""


def _values(day: date, results: Iterable[tuple[str, RankingResult]]) -> pd.DataFrame:
    tables = []
    for placement, result in results:
        keys = {"day": day.isoformat(), "placement": placement, "model": result.model, "user": result.users}
        columns = result.values[:, [result.columns.index(name) for name in METRICS]]
        tables.append(pd.DataFrame({**keys, **dict(zip(_COLUMNS, columns.T, strict=True))}))
    return pd.concat(tables, ignore_index=True)


def _no_values() -> pd.DataFrame:
    kinds = {"day": str, "placement": str, "model": str, "user": np.int32, **dict.fromkeys(_COLUMNS, np.float64)}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _by_user(values: pd.DataFrame, placement: str) -> tuple[list[str], Float64[np.ndarray, "users models metrics"]]:
    """The models, and each user's mean over days of every figure of theirs; NaN where there is none."""
    rows = values[values["placement"] == placement]
    models = [name for name in MODELS if name in set(rows["model"])]
    users = np.unique(rows["user"])
    columns = [f"{metric}@{k}" for metric, k in metrics_of(placement)]
    means = [rows[rows["model"] == name].groupby("user")[columns].mean().reindex(users) for name in models]
    return models, np.stack(means, axis=1) if models else np.empty((0, 0, len(columns)))


def metrics_of(placement: str) -> Metrics:
    """The figures that say something about a placement."""
    return NARROW_METRICS if placement == AMONG_NEW else METRICS


def _figures(scope: str, values: pd.DataFrame, seed: int, n_resamples: int) -> Iterator[PlacedFigure]:
    for placement in PLACEMENTS:
        models, by_user = _by_user(values, placement)
        if not models:
            nothing = (math.nan, math.nan, math.nan, 0)
            metrics = metrics_of(placement)
            yield from (PlacedFigure(scope, placement, m, metric, k, *nothing) for m in MODELS for metric, k in metrics)
            continue
        columns = [(model, metric, k) for model in models for metric, k in metrics_of(placement)]
        for row in mean_estimates(columns, by_user.reshape(len(by_user), -1), seed, n_resamples):
            yield PlacedFigure(scope, placement, *vars(row).values())


def _leads(values: pd.DataFrame, mapper: str, seed: int, n_resamples: int) -> list[PlacedDifference]:
    """The mapper's paired differences from all others over users, p-values adjusted per figure (Holm)."""
    return [
        PlacedDifference(placement, row)
        for placement in PLACEMENTS
        for row in _leads_in(*_by_user(values, placement), metrics_of(placement), mapper, seed, n_resamples)
    ]


def _leads_in(
    models: list[str], by_user: np.ndarray, metrics: Metrics, mapper: str, seed: int, n_resamples: int
) -> Iterator[Difference]:
    if mapper not in models:
        return
    own, others = by_user[:, models.index(mapper)], [name for name in models if name != mapper]
    gaps = np.stack([own - by_user[:, models.index(name)] for name in others], axis=1)
    for at, (metric, k) in enumerate(metrics):
        columns = gaps[:, :, at]
        p_values = holm(randomisation_p_values(columns, seed))
        detectable = minimum_detectable_effect(columns)
        means = mean_estimates([(name, metric, k) for name in others], columns, seed, n_resamples)
        for row, p_value, effect in zip(means, p_values, detectable, strict=True):
            figures = (row.value, row.low, row.high, row.n, float(p_value), float(effect))
            yield Difference(mapper, row.model, metric, k, *figures)
