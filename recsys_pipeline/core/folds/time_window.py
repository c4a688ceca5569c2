"""Sliding time windows: train on `[a, b)`, test on `[b + delay, c)`; the only split that is honest across users."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.folds import Split
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.time import microseconds


def time_window(
    ratings: Ratings, start: datetime, cut: datetime, end: datetime, delay: timedelta = timedelta(0)
) -> Split:
    """Train on events in `[start, cut)`, test on events in `[cut + delay, end)`; both UTC, half-open.

    A delay asks how good a model is that is already `delay` old when it is used.

    Raises:
        SettingError: the instants are out of order, or not UTC.
    """
    a, b, c, d = (microseconds(instant) for instant in (start, cut, cut + delay, end))
    if not start <= cut <= cut + delay <= end:
        raise SettingError(f"time windows need start <= cut <= cut + delay <= end, got {start}, {cut}, {delay}, {end}")
    at = ratings.timestamp_us
    return Split(train=np.flatnonzero((at >= a) & (at < b)), test=np.flatnonzero((at >= c) & (at < d)))


def sliding_windows(
    ratings: Ratings, start: datetime, end: datetime, train: timedelta, test: timedelta, delay: timedelta = timedelta(0)
) -> Iterator[Split]:
    """Windows that move on by `test` each, so that every event after the first train window is tested at most once.

    Raises:
        SettingError: `test` is no time at all, or an instant is not UTC.
    """
    if test <= timedelta(0):
        raise SettingError(f"sliding windows test on {test}: give a positive time")
    cut = start + train
    while cut + delay + test <= end:
        yield time_window(ratings, cut - train, cut, cut + delay + test, delay)
        cut += test
