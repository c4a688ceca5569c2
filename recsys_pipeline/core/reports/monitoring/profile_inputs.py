"""The arrays that a day's profile is made from, read from day files, the catalogue and the snapshot's ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Int64

from recsys_pipeline.core.dataset.events import EXPOSURE, EventMeaning
from recsys_pipeline.core.dataset.schema import open_duckdb
from recsys_pipeline.core.reports.monitoring.priors import Share
from recsys_pipeline.core.reports.monitoring.profiles import DAY_US, CatalogueState, Events, FirstTimers


def read_catalogue(path: Path, end_us: int) -> tuple[list[str], CatalogueState]:
    """Ids and state of the items of a catalogue file; the category is an item's first, the age counts to `end_us`."""
    table = pq.read_table(path, columns=["item_id", "categories", "price", "available", "created_at"])
    category = np.array([names[0] if names else None for names in table["categories"].to_pylist()], object)
    created_us = table["created_at"].cast("int64").to_pandas().to_numpy(np.float64, na_value=np.nan)
    state = CatalogueState(
        category=category,
        price=table["price"].to_pandas().to_numpy(np.float64, na_value=np.nan),
        age_days=(end_us - created_us) / DAY_US,
        available=table["available"].to_numpy().astype(bool),
    )
    return table["item_id"].to_pylist(), state


def read_events(path: Path, user_ids: Sequence[str], catalogue_ids: Sequence[str], meaning: EventMeaning) -> Events:
    """The events of a day file; users are numbered as in `user_ids`, items as in `catalogue_ids` (−1: in neither)."""
    columns = ["user_id", "item_id", "event", "value", "timestamp"]
    table = pq.read_table(path, columns=columns)
    return Events(
        user=positions(table["user_id"].to_numpy(), user_ids),
        item=positions(table["item_id"].to_numpy(), catalogue_ids),
        event=table["event"].to_numpy().astype(object),
        value=table["value"].to_numpy().astype(np.float64),
        timestamp_us=table["timestamp"].cast("int64").to_numpy(),
        is_interaction=meaning.signs(table) != EXPOSURE,
    )


def positions(names: np.ndarray, among: Sequence[str]) -> Int64[np.ndarray, " n"]:
    """Where each name stands in a list of unique ids; −1 where it does not."""
    return pd.Index(np.asarray(among, object)).get_indexer(pd.Index(names.astype(object))).astype(np.int64)


def first_timers(today: Path, earlier: Sequence[Path], meaning: EventMeaning) -> FirstTimers:
    """Users and items of a day file that no earlier day file shows an interaction of; exposures do not count.

    Reads a few columns of the history: O(history), as the fit of a model is.
    """
    if not earlier:
        return FirstTimers(None, None)
    return FirstTimers(*(_first_timers(subject, today, earlier, meaning) for subject in ("user_id", "item_id")))


def _first_timers(subject: str, today: Path, earlier: Sequence[Path], meaning: EventMeaning) -> Share:
    present = f"select distinct {subject} from read_parquet(?, hive_partitioning = false)"
    known = f"select {subject} from read_parquet(?, hive_partitioning = false) where {meaning.sign_sql()} <> {EXPOSURE}"
    with open_duckdb() as con:
        total = _count(con, present, [str(today)])
        known_ones = f"{present} semi join ({known}) using ({subject})"
        found = _count(con, known_ones, [str(today), [str(path) for path in earlier]])
    return Share(total - found, total)


def _count(con: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]) -> int:
    return con.execute(f"select count(*) from ({query})", parameters).fetchall()[0][0]
