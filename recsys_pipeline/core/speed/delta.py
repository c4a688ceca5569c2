"""What happened since a release's snapshot: the events of its hour files, and what each pair among them is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int64, Shaped

from recsys_pipeline.core.dataset.events import AVERSION, EXPOSURE, EventMeaning, interest_that_counts
from recsys_pipeline.core.errors import ArtifactError, DataError

COLUMNS = ("user_id", "item_id", "event", "value", "timestamp")


@dataclass(frozen=True)
class Pairs:
    """(user, item) pairs as row numbers in a `Delta`'s ids, in ascending order."""

    user: Int64[np.ndarray, " pairs"]
    item: Int64[np.ndarray, " pairs"]


@dataclass(frozen=True)
class Delta:
    """Interest and aversion since `start_us`, pair by pair, as a snapshot would have them. Exposures are left out.

    `taken` are the pairs of interest, with its `value` and the `timestamp_us` of the latest; `avoided` those whose last
    word is an aversion.
    """

    user_ids: Shaped[np.ndarray, " users"]
    """Of everybody in `taken` or `avoided`, sorted."""
    item_ids: Shaped[np.ndarray, " items"]
    taken: Pairs
    value: Float32[np.ndarray, " taken"]
    timestamp_us: Int64[np.ndarray, " taken"]
    is_anew: Bool[np.ndarray, " taken"]
    """Whether an aversion came before, so that what the release knows of the pair counts no more."""
    avoided: Pairs
    start_us: int
    end_us: int
    n_events: int
    """Events that were read, exposures included."""


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


def delta_of(events: pa.Table, start_us: int, end_us: int, meaning: EventMeaning) -> Delta:
    """What the events of `[start_us, end_us)` say of each pair, by what they mean.

    What is taken and what is avoided are as in `Snapshot.ratings` and `Snapshot.avoided`. Time and memory are
    O(events), whatever their order. Raises `DataError` for an event outside the window: one of the future must never be
    told, and one of the past is in the snapshot already.
    """
    _check_times(events, start_us, end_us)
    sign = meaning.signs(events)
    told = events.filter(pa.array(sign != EXPOSURE))
    sign, time = sign[sign != EXPOSURE], told.column("timestamp").cast(pa.int64()).to_numpy()
    value = told.column("value").to_numpy().astype(np.float32)
    (user, user_ids), (item, item_ids) = (_coded(told.column(name)) for name in ("user_id", "item_id"))
    n_items = max(len(item_ids), 1)
    keys, pair = np.unique(user * n_items + item, return_inverse=True)
    counts = interest_that_counts(sign, time, pair, len(keys))
    rows = np.flatnonzero(counts)
    rows = rows[np.lexsort((value[rows], time[rows], pair[rows]))]
    taken, first = np.unique(pair[rows], return_index=True)
    last = np.append(first, len(rows))[1:] - 1
    is_averse = np.zeros(len(keys), bool)
    is_averse[pair[sign == AVERSION]] = True
    is_avoided = is_averse.copy()
    is_avoided[taken] = False
    return Delta(
        user_ids=user_ids,
        item_ids=item_ids,
        taken=Pairs(*np.divmod(keys[taken], n_items)),
        value=meaning.combined(value[rows], first),
        timestamp_us=time[rows][last],
        is_anew=is_averse[taken],
        avoided=Pairs(*np.divmod(keys[is_avoided], n_items)),
        start_us=start_us,
        end_us=end_us,
        n_events=events.num_rows,
    )


def _check_times(events: pa.Table, start_us: int, end_us: int) -> None:
    time = events.column("timestamp").cast(pa.int64()).to_numpy()
    if len(time) and not (time.min() >= start_us and time.max() < end_us):
        row = int(np.flatnonzero((time < start_us) | (time >= end_us))[0])
        raise DataError(
            f"event {row}, {events.slice(row, 1).to_pylist()[0]}, lies outside the hours that the overlay covers: "
            "give it the files from the snapshot's end to its own hour"
        )


def _coded(column: pa.ChunkedArray) -> tuple[Int64[np.ndarray, " n"], Shaped[np.ndarray, " ids"]]:
    """Each text as its number among all, and all of them in ascending order (by code point)."""
    found = column.combine_chunks().dictionary_encode()
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    names = found.dictionary.to_numpy(zero_copy_only=False).astype(object)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[found.indices.to_numpy()], names[order]
