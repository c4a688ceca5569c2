"""What was known before a day, and models fitted on it: a policy that learned from its log would be flattered by it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int32, Int64

from recsys_pipeline.core.dataset.events import EXPOSURE
from recsys_pipeline.core.dataset.snapshots import Snapshot
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.off_policy.logged_feedback import COLUMNS
from recsys_pipeline.core.reports.off_policy.report import History


def history_before(snapshot: Snapshot, day: str, configs: Mapping[str, Any], seed: int) -> History:
    """The ratings before `day` (YYYY-MM-DD) and of it, and the models of `configs` fitted on the former.

    On a source's first day only popularity is fitted, for there is nothing to learn a taste from. Costs one read of
    the snapshot and one fit per model, O(history). Raises `DataError` where the snapshot does not hold the day.
    """
    before, today = _ratings(snapshot, lambda name: name < day), _ratings(snapshot, lambda name: name == day)
    specs = discover()
    models = {
        name: specs[name].fit(before, config, seed)
        for name, config in configs.items()
        if len(before) or name == "popularity"
    }
    events = day_events(snapshot, day)
    exposures = events.filter(pa.array(snapshot.events.signs(events) == EXPOSURE)).column("item_id")
    shown = pd.Index(snapshot.item_ids).get_indexer(exposures.to_pandas()) if len(exposures) else today.item
    return History(before, today, models, np.bincount(shown, minlength=snapshot.n_items))


def day_events(snapshot: Snapshot, day: str) -> pa.Table:
    """The events of one day of a snapshot, with what logged feedback is read from."""
    paths = [entry.path for entry in snapshot.days if entry.day == day]
    if not paths:
        raise DataError(f"the snapshot does not hold {day}: it ends on {max(entry.day for entry in snapshot.days)}")
    return pq.read_table(snapshot.root / paths[0], columns=list(COLUMNS))


def items_on_offer(
    snapshot: Snapshot, catalogue: pd.DataFrame | None, day_start: pd.Timestamp, shown: Int64[np.ndarray, " items"]
) -> Int32[np.ndarray, " actions"]:
    """The items that could be shown all day: in the catalogue before it began and still available at its end.

    Items that came or went during the day are left out, since a policy could not have chosen them all day. Without a
    catalogue: every item that was shown that day.
    """
    if catalogue is None:
        return np.flatnonzero(shown).astype(np.int32)
    created = pd.to_datetime(catalogue["created_at"], utc=True)
    offered = catalogue["available"].astype(bool) & ~(created >= day_start)
    items = pd.Index(snapshot.item_ids).get_indexer(pd.Index(catalogue["item_id"][offered]))
    return np.sort(items[items >= 0]).astype(np.int32)


def _ratings(snapshot: Snapshot, keep: Callable[[str], bool]) -> Ratings:
    days = tuple(entry for entry in snapshot.days if keep(entry.day))
    if any(entry.rows for entry in days):
        return dataclasses.replace(snapshot, days=days).ratings()
    empty = {name: np.empty(0, kind) for name, kind in (("user", np.int32), ("item", np.int32), ("value", np.float32))}
    return Ratings(**empty, timestamp_us=np.empty(0, np.int64), n_users=snapshot.n_users, n_items=snapshot.n_items)
