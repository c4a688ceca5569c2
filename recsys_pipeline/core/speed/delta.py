"""What happened since a release's snapshot: the events of its hour files, and the latest of each pair among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64, Shaped

from recsys_pipeline.core.dataset.snapshots import AVOID_EVENTS, IMPRESSION
from recsys_pipeline.core.errors import ArtifactError, DataError

COLUMNS = ("user_id", "item_id", "event", "value", "timestamp")


@dataclass(frozen=True)
class Pairs:
    """(user, item) pairs as row numbers in a `Delta`'s ids, in ascending order."""

    user: Int64[np.ndarray, " pairs"]
    item: Int64[np.ndarray, " pairs"]


@dataclass(frozen=True)
class Delta:
    """Interactions since `start_us`: of each pair the latest, as a snapshot would have it. Impressions are left out.

    `taken` are the pairs with an interaction, with `value` and `timestamp_us` of the latest; `avoided` those that the
    user asked not to be shown.
    """

    user_ids: Shaped[np.ndarray, " users"]
    """Of everybody in `taken` or `avoided`, sorted."""
    item_ids: Shaped[np.ndarray, " items"]
    taken: Pairs
    value: Float32[np.ndarray, " taken"]
    timestamp_us: Int64[np.ndarray, " taken"]
    avoided: Pairs
    start_us: int
    end_us: int
    n_events: int
    """Events that were read, impressions included."""


def read_hours(files: Sequence[Path]) -> pa.Table:
    """The events of hour files; raises `ArtifactError` naming one that cannot be read."""
    tables = []
    for path in files:
        try:
            tables.append(pq.read_table(path, columns=list(COLUMNS)))
        except (OSError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"{path} is not readable ({error}): materialize its hour again") from error
    if not tables:
        raise ArtifactError("no hour file was given: an overlay needs those of its own hour at least")
    return pa.concat_tables(tables)


def delta_of(events: pa.Table, start_us: int, end_us: int) -> Delta:
    """The latest of each pair in `[start_us, end_us)`, by time, then event name, then value.

    What is taken and what is avoided are as in `Snapshot.ratings` and `Snapshot.avoided`. Time and memory are
    O(events), whatever their order. Raises `DataError` for an event outside the window: one of the future must never be
    told, and one of the past is in the snapshot already.
    """
    time = events.column("timestamp").cast(pa.int64()).to_numpy()
    if len(time) and not (time.min() >= start_us and time.max() < end_us):
        row = int(np.flatnonzero((time < start_us) | (time >= end_us))[0])
        raise DataError(
            f"event {row}, {events.slice(row, 1).to_pylist()[0]}, lies outside the hours that the overlay covers: "
            "give it the files from the snapshot's end to its own hour"
        )
    event, event_names = _coded(events.column("event"))
    is_avoid = np.isin(event_names, AVOID_EVENTS)[event]
    is_taken = (event_names != IMPRESSION)[event] & ~is_avoid
    value = events.column("value").to_numpy()
    counts = is_taken | is_avoid
    kept = events.select(["user_id", "item_id"]).filter(pa.array(counts))
    (user, user_ids), (item, item_ids) = (_coded(kept.column(name)) for name in ("user_id", "item_id"))
    event, time, value, is_taken, is_avoid = (part[counts] for part in (event, time, value, is_taken, is_avoid))
    latest = _latest(user, item, time, event, value, is_taken)
    avoided = np.unique(user[is_avoid] * max(len(item_ids), 1) + item[is_avoid])
    return Delta(
        user_ids=user_ids,
        item_ids=item_ids,
        taken=Pairs(user[latest], item[latest]),
        value=value[latest].astype(np.float32),
        timestamp_us=time[latest],
        avoided=Pairs(*np.divmod(avoided, max(len(item_ids), 1))),
        start_us=start_us,
        end_us=end_us,
        n_events=events.num_rows,
    )


def _latest(
    user: np.ndarray, item: np.ndarray, time: np.ndarray, event: np.ndarray, value: np.ndarray, is_taken: np.ndarray
) -> Int64[np.ndarray, " pairs"]:
    """Of each pair the row of its latest interaction, in order of pairs."""
    rows = np.flatnonzero(is_taken)
    order = rows[np.lexsort((value[rows], event[rows], time[rows], item[rows], user[rows]))]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = (user[order[1:]] != user[order[:-1]]) | (item[order[1:]] != item[order[:-1]])
    return order[is_last]


def _coded(column: pa.ChunkedArray) -> tuple[Int64[np.ndarray, " n"], Shaped[np.ndarray, " ids"]]:
    """Each text as its number among all, and all of them in ascending order (by code point)."""
    found = column.combine_chunks().dictionary_encode()
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    names = found.dictionary.to_numpy(zero_copy_only=False).astype(object)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[found.indices.to_numpy()], names[order]
