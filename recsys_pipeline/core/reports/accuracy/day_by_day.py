"""Prequential evaluation: each day is predicted by models that know only what came before it, and then learned.

It is the evaluation that is closest to use: one cut in time for all users, no future anywhere, and a figure for every
day instead of one for a draw of rows. Models that are some days old when they are used tell what a pause in training
costs; the same old models with today's histories folded in tell how much of that a speed layer wins back.
Gama, Sebastião and Rodrigues, "On evaluating stream learning algorithms", Machine Learning 2013; Vinagre, Jorge and
Gama, "Evaluation of recommender systems in streaming environments", 2014.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Recommender
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_report import PRIMARY_K, PRIMARY_METRIC
from recsys_pipeline.core.reports.accuracy.resampling import N_RESAMPLES, ranking_estimates
from recsys_pipeline.core.time import Window, microseconds

KnownUntil = Callable[[Window], Ratings]
"""What was known when a window began: no event at or after its start. Ids are the same whatever the window."""
Fit = Callable[[Ratings], Recommender]


@dataclass(frozen=True)
class DayByDayConfig:
    """Which figures a day adds to the curve."""

    ages_days: tuple[int, ...] = setting((0, 1, 7, 14), "Ages of the models that predict a day; 0 knows all before it.")
    first_days: int = setting(7, "Days of the curve where no earlier report continues it.", ge=1)
    curve_days: int = setting(60, "Days that the curve reaches back.", ge=1)
    n_resamples: int = setting(N_RESAMPLES, "Bootstrap resamples of users.", ge=1)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.ages_days or min(self.ages_days) != 0 or len(set(self.ages_days)) < len(self.ages_days):
            raise SettingError(f"ages_days are {self.ages_days}: give distinct ages from 0 days up, 0 among them")


@dataclass(frozen=True)
class DayFigure:
    """How well one model predicted what users newly chose on one day."""

    day: str
    model: str
    age_days: int
    is_folded_in: bool
    """Whether today's histories were folded into the old model."""
    metric: str
    k: int
    value: float
    """NaN on a day on which no known user chose anything new."""
    low: float
    high: float
    n: int
    """Users who chose something new that day."""


def predict_day(
    day: date,
    known: KnownUntil,
    models: Mapping[str, Fit],
    config: DayByDayConfig,
    seed: int,
    ages_days: Sequence[int],
    progress: Progress | None = None,
) -> Iterator[DayFigure]:
    """Figures of every model and age on what users newly chose on `day`.

    Tested are the (user, item) pairs of the day that were not known before it, by users who were. An age for which
    nothing was known yet gives no figure.
    """
    window = Window.of_day(day)
    before, after = known(window), known(Window.of_day(day + timedelta(days=1)))
    test = _new_pairs(before, after, window)
    for age in ages_days:
        train = before if age == 0 else known(Window.of_day(day - timedelta(days=age)))
        if not len(train):
            continue
        for name, fit in models.items():
            model = fit(train)
            for is_folded_in in (False, True) if age else (False,):
                used = model.for_users(before) if is_folded_in else model
                result = evaluate_ranking(used, before, test, (PRIMARY_K,), name=name)
                rows = ranking_estimates(result, seed, config.n_resamples)
                row = next(row for row in rows if row.metric == PRIMARY_METRIC)
                figures = (row.value, row.low, row.high, row.n)
                yield DayFigure(day.isoformat(), name, age, is_folded_in, PRIMARY_METRIC, PRIMARY_K, *figures)
                if progress is not None:
                    folded = ", users folded in" if is_folded_in else ""
                    progress(f"{day}: {name}, {age} days old{folded}", {f"{PRIMARY_METRIC}@{PRIMARY_K}": row.value})


def continue_curve(
    earlier: Sequence[DayFigure],
    day: date,
    first_day: date,
    known: KnownUntil,
    models: Mapping[str, Fit],
    config: DayByDayConfig,
    seed: int,
    progress: Progress | None = None,
) -> list[DayFigure]:
    """The curve up to `day`: earlier figures, and those of the days since.

    Where nothing is there to continue, the curve begins `first_days` before, with models of age 0 only. `first_day`
    is the first day of the data; a day needs one before it to learn from. Costs a fit per model, age and new day.
    """
    begins = max(first_day + timedelta(days=1), day - timedelta(days=config.curve_days - 1))
    kept = [row for row in earlier if begins.isoformat() <= row.day < day.isoformat() and row.model in models]
    last = max((row.day for row in kept), default="")
    since = date.fromisoformat(last) + timedelta(days=1) if last else day - timedelta(days=config.first_days - 1)
    for day_no in range(max(since, begins).toordinal(), day.toordinal()):
        kept += predict_day(date.fromordinal(day_no), known, models, config, seed, (0,), progress)
    return [*kept, *predict_day(day, known, models, config, seed, config.ages_days, progress)]


def _new_pairs(before: Ratings, after: Ratings, window: Window) -> Ratings:
    """Rows of the window whose pair was not known before it, of users who were."""
    is_today = after.timestamp_us >= microseconds(window.start)
    has_history = np.bincount(before.user, minlength=before.n_users) > 0
    known_pairs = before.user.astype(np.int64) * before.n_items + before.item
    pairs = after.user.astype(np.int64) * after.n_items + after.item
    return after.take(np.flatnonzero(is_today & has_history[after.user] & ~np.isin(pairs, known_pairs)))
