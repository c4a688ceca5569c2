"""Who is served how well: results for popular and rare items, for users with short and long histories, for new items.

A slice of users takes the mean of a per-user metric over those users. A slice of items takes the share of relevant
test rows with such an item that stand within the first k places (recall over rows), because one user's rows may lie
in several slices. Every figure carries the number of users and rows that it rests on.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64, Integer

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy.ratios import ratio_intervals
from recsys_pipeline.core.reports.accuracy.resampling import N_RESAMPLES
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces
from recsys_pipeline.core.reports.calibration.reliability import wilson_interval
from recsys_pipeline.core.reports.lists.beyond_accuracy import check_ks

DAY_US = 86_400_000_000
ROW_RECALL = "row_recall"
"""The metric of item slices: the share of relevant rows within the first k places."""


@dataclass(frozen=True)
class SliceConfig:
    """Where slices begin and end."""

    head_share: float = setting(1 / 3, "Head: the most popular items that take this share of train rows.", gt=0, lt=1)
    torso_share: float = setting(2 / 3, "Head and torso together take this share; the rest is tail.", gt=0, lt=1)
    cold_max_rows: int = setting(5, "Users with at most so many train rows are cold.", ge=0)
    new_days: float = setting(7.0, "Items first seen in the last so many days of train are new.", ge=0)
    new_max_rows: int = setting(0, "Items with at most so many train rows are new, too.", ge=0)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.head_share > self.torso_share:
            raise SettingError(
                f"SliceConfig.head_share {self.head_share:g} is above torso_share {self.torso_share:g}: "
                "torso_share is of head and torso together"
            )


@dataclass(frozen=True)
class SliceFigure:
    """One metric (between 0 and 1) of one model on one slice, with its 95% interval over users.

    Value and interval are NaN where the slice is empty, the interval alone where it holds one user, say.
    """

    model: str
    unit: str
    """What is sliced: "users" or "items"."""
    slice: str
    metric: str
    k: int
    value: float
    low: float
    high: float
    n_users: int
    """Users with a defined value, or with a relevant row in the slice."""
    n_rows: int
    """Relevant test rows of these users, or in the slice."""


def popularity_slices(
    popularity: Int[np.ndarray, " items"], config: SliceConfig = SliceConfig()
) -> dict[str, Bool[np.ndarray, " items"]]:
    """Head, torso and tail: items by train rows, cut by their cumulative share of all train rows.

    An item is head where the items above it take less than `head_share` of the rows, so the head is never empty.
    Equally popular items are in one slice, whatever their numbers. All items are tail, with a warning, where
    there are no train rows. On the long tail: Celma, "Music Recommendation and Discovery in the Long Tail", 2010.
    """
    if not popularity.sum():
        warnings.warn("no train rows: no item is more popular than another, all are tail", stacklevel=2)
        return {name: np.full(len(popularity), name == "tail") for name in ("head", "torso", "tail")}
    ascending = np.sort(popularity)
    rows_up_to = np.concatenate([[0], np.cumsum(ascending)])[np.searchsorted(ascending, popularity, side="right")]
    above = (popularity.sum() - rows_up_to) / popularity.sum()
    head = (above < config.head_share) & (popularity > 0)
    torso = (above < config.torso_share) & (popularity > 0) & ~head
    return {"head": head, "torso": torso, "tail": ~head & ~torso}


def new_item_slices(
    popularity: Int[np.ndarray, " items"],
    first_seen_us: Int64[np.ndarray, " items"] | None,
    end_us: int,
    config: SliceConfig = SliceConfig(),
) -> dict[str, Bool[np.ndarray, " items"]]:
    """New items: first seen in the last `new_days` before `end_us` (microseconds, UTC), or with few train rows.

    Items of the first day of the data are not new: how long they had been there is unknown. Without `first_seen_us`
    only train rows decide.
    """
    new = popularity <= config.new_max_rows
    if first_seen_us is not None and len(first_seen_us):
        begins = first_seen_us.min() // DAY_US * DAY_US + DAY_US
        new = new | (first_seen_us >= max(begins, end_us - config.new_days * DAY_US))
    return {"new": new, "known": ~new}


def activity_slices(
    train_rows: Int[np.ndarray, " users"], config: SliceConfig = SliceConfig()
) -> dict[str, Bool[np.ndarray, " users"]]:
    """Cold and warm users by their number of train rows; `train_rows` is per evaluated user."""
    cold = train_rows <= config.cold_max_rows
    return {"cold": cold, "warm": ~cold}


@dataclass(frozen=True)
class PlacedRows:
    """Relevant test rows of evaluated users and where one model put them; users ascending, as in `RankingResult`."""

    users: Integer[np.ndarray, " users"]
    user: Integer[np.ndarray, " rows"]
    item: Integer[np.ndarray, " rows"]
    places: TiedPlaces
    """Among all candidates of the user."""

    def user_rows(self) -> Int64[np.ndarray, " rows"]:
        """The position of each row's user in `users`; raises `DataError` for a user who was not evaluated."""
        at = np.searchsorted(self.users, self.user)
        found = (at < len(self.users)) & (self.users[np.minimum(at, len(self.users) - 1)] == self.user)
        if not found.all():
            row = int(np.argmin(found))
            raise DataError(f"row {row} is of user {self.user[row]}, who was not evaluated: leave its rows out")
        return at


@dataclass(frozen=True)
class SliceSums:
    """One figure before it is divided and resampled: Σ `above` / Σ `below` over users."""

    model: str
    unit: str
    slice: str
    metric: str
    k: int
    above: Float64[np.ndarray, " users"]
    below: Float64[np.ndarray, " users"]
    rows: Float64[np.ndarray, " users"]
    """Relevant test rows that count, per user."""


def item_slice_sums(
    model: str, placed: PlacedRows, slices: Mapping[str, Bool[np.ndarray, " items"]], ks: Sequence[int]
) -> list[SliceSums]:
    """Recall over the rows of each item slice at each k: Σ rows within k / Σ rows.

    Steck, "Item popularity and recommendation accuracy", RecSys 2011, on why the tail needs a figure of its own.
    """
    cutoffs, at, n_users = check_ks(ks), placed.user_rows(), len(placed.users)
    sums = []
    for name, mask in slices.items():
        inside = mask[placed.item]
        rows = np.bincount(at[inside], minlength=n_users).astype(np.float64)
        for k in cutoffs:
            found = np.bincount(at[inside], placed.places.chance_within(k)[inside], minlength=n_users)
            sums.append(SliceSums(model, "items", name, ROW_RECALL, k, found.astype(np.float64), rows, rows))
    return sums


def user_slice_sums(
    model: str,
    columns: Sequence[tuple[str, int]],
    values: Float64[np.ndarray, "users columns"],
    n_relevant: Int[np.ndarray, " users"],
    slices: Mapping[str, Bool[np.ndarray, " users"]],
) -> list[SliceSums]:
    """The mean of each metric, a number from 0 to 1, over the users of each slice for whom it is defined.

    `columns` name the columns of `values`; `n_relevant` counts each user's relevant rows.
    """
    sums = []
    for name, mask in slices.items():
        for (metric, k), column in zip(columns, values.T, strict=True):
            counted = mask & ~np.isnan(column)
            above, rows = np.where(counted, column, 0.0), np.where(counted, n_relevant, 0).astype(np.float64)
            sums.append(SliceSums(model, "users", name, metric, k, above, counted.astype(np.float64), rows))
    return sums


def slice_figures(sums: Sequence[SliceSums], seed: int, n_resamples: int = N_RESAMPLES) -> list[SliceFigure]:
    """Figures with 95% intervals over users; all share one set of draws, so all must be on the same users.

    NaN, with a warning, for a slice without users. Where all resamples are equal the bootstrap would claim certainty:
    a figure of 0 or 1 then has Wilson's interval for so many users, another (of one user, say) has none.
    """
    if not sums:
        return []
    above, below = (np.stack([getattr(part, name) for part in sums], axis=1) for name in ("above", "below"))
    figures = []
    for part, estimate in zip(sums, ratio_intervals(above, below, seed, n_resamples).T.tolist(), strict=True):
        n_users = int((part.below > 0).sum())
        low, high = _with_spread(estimate, n_users)
        figures.append(
            SliceFigure(
                part.model, part.unit, part.slice, part.metric, part.k, estimate[0], low, high, n_users,
                n_rows=int(part.rows.sum()),
            )
        )  # fmt: skip
    for unit, name, metric in dict.fromkeys((row.unit, row.slice, row.metric) for row in figures if not row.n_users):
        warnings.warn(f"{metric} on the slice {name!r} of {unit} rests on no users: it is NaN", stacklevel=2)
    return figures


def slice_value_loop(
    users: Sequence[int], items: Sequence[int], places: Sequence[int], in_slice: Sequence[bool], k: int
) -> tuple[float, int, int]:
    """The readable twin of one item-slice figure: value, users, rows."""
    rows = [row for row, item in enumerate(items) if in_slice[item]]
    found = sum(places[row] <= k for row in rows)
    return (found / len(rows) if rows else float("nan")), len({users[row] for row in rows}), len(rows)


def _with_spread(estimate: Sequence[float], n_users: int) -> tuple[float, float]:
    """The interval of (value, low, high), or an honest one where all resamples were equal."""
    value, low, high = estimate
    if low != high:
        return low, high
    return wilson_interval(value, float(n_users)) if value in (0.0, 1.0) else (math.nan, math.nan)
