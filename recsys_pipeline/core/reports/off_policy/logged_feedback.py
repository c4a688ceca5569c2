"""Logged bandit feedback: who was shown what, where, with which probability, and what came of it.

Off-policy evaluation needs three things of a log: the context (here the user and the time), the action (the item at a
position) with the probability by which the logging policy chose it, and the reward. Bottou et al., "Counterfactual
reasoning and learning systems", JMLR 2013.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int32, Int64

from recsys_pipeline.core.dataset.events import EXPOSURE, INTEREST, EventMeaning
from recsys_pipeline.core.errors import DataError

COLUMNS = ("user_id", "item_id", "event", "value", "timestamp", "request_id", "position", "propensity")
"""What is read of an interactions table."""


@dataclass(frozen=True)
class LoggedFeedback:
    """One row is an item shown at a position of a list; ids are dense row numbers of the snapshot's id maps.

    `propensity` is the probability, in (0, 1], that the logging policy put this item at this position, given the user,
    the time and the items above it. Checked here, once, because a wrong propensity does not fail: it misleads.
    """

    request: Int64[np.ndarray, " n"]
    user: Int32[np.ndarray, " n"]
    item: Int32[np.ndarray, " n"]
    position: Int32[np.ndarray, " n"]
    """From 0, the top."""
    reward: Float64[np.ndarray, " n"]
    propensity: Float64[np.ndarray, " n"]
    timestamp_us: Int64[np.ndarray, " n"]
    n_unlogged: int = 0
    """Impressions left out because they carry no propensity, no request or no position."""

    def __post_init__(self) -> None:
        bad = np.flatnonzero(~((self.propensity > 0) & (self.propensity <= 1)))
        if len(bad):
            raise DataError(
                f"row {bad[0]} of the logged feedback has propensity {self.propensity[bad[0]]}: it must lie in (0, 1], "
                "the probability by which the shown item was chosen"
            )
        bad = np.flatnonzero(~np.isfinite(self.reward))
        if len(bad):
            raise DataError(f"row {bad[0]} of the logged feedback has reward {self.reward[bad[0]]}: it must be finite")
        for name, ids in (("user", self.user), ("item", self.item), ("position", self.position)):
            if len(ids) and ids.min() < 0:
                raise DataError(
                    f"row {ids.argmin()} of the logged feedback has {name} {ids.min()}: it must be 0 or more"
                )

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> "LoggedFeedback":
        """The given rows (indices or a mask)."""
        return dataclasses.replace(self, **{name: column[rows] for name, column in self._columns().items()})

    def _columns(self) -> dict[str, np.ndarray]:
        fields = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in fields if name != "n_unlogged"}


def logged_feedback(
    interactions: pa.Table,
    user_ids: Sequence[str] | np.ndarray,
    item_ids: Sequence[str] | np.ndarray,
    meaning: EventMeaning,
) -> LoggedFeedback:
    """The exposures of an interactions table, each with reward 1 where its request led to interest in its item.

    Needs the columns `COLUMNS`. Impressions without propensity, request or position are left out and counted; a log
    without any gives no rows. Rows come in order of request and position. Raises `DataError` naming the row for a
    propensity outside (0, 1], an unknown id, or an item shown twice in one request.
    """
    absent = [name for name in COLUMNS if name not in interactions.column_names]
    if absent:
        raise DataError(f"interactions lack {', '.join(absent)}: logged feedback is read from {', '.join(COLUMNS)}")
    sign = meaning.signs(interactions)
    shown = interactions.filter(pa.array(sign == EXPOSURE))
    complete = shown.filter(_is_complete())
    clicked = interactions.filter(pa.array(sign == INTEREST)).filter(pc.field("request_id").is_valid())
    n = complete.num_rows
    # One coding of requests for both tables, so that impressions and clicks meet by number.
    both = pa.concat_tables([complete.select(["request_id"]), clicked.select(["request_id"])])
    request, _ = pd.factorize(both.column("request_id").to_pandas())
    item, clicked_item = (_codes(table, "item_id", item_ids) for table in (complete, clicked))
    keys = request[:n].astype(np.int64) * len(item_ids) + item
    _check_distinct(keys, complete)
    feedback = LoggedFeedback(
        request=request[:n].astype(np.int64),
        user=_codes(complete, "user_id", user_ids),
        item=item,
        position=_numbers(complete, "position").astype(np.int32),
        reward=np.isin(keys, request[n:].astype(np.int64) * len(item_ids) + clicked_item).astype(np.float64),
        propensity=_numbers(complete, "propensity").astype(np.float64),
        timestamp_us=_numbers(complete, "timestamp").astype("datetime64[us]").astype(np.int64),
        n_unlogged=shown.num_rows - n,
    )
    return feedback.take(np.lexsort((feedback.position, feedback.request)))


def _is_complete() -> pc.Expression:
    fields = [pc.field(name).is_valid() for name in ("propensity", "request_id", "position")]
    return fields[0] & fields[1] & fields[2]


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).to_numpy()


def _codes(table: pa.Table, column: str, ids: Sequence[str] | np.ndarray) -> Int32[np.ndarray, " rows"]:
    texts = table.column(column).to_pandas()
    codes = pd.Index(ids).get_indexer(texts)
    if (codes < 0).any():
        raise DataError(
            f"{column} {texts[codes < 0].iloc[0]!r} of the log is not in the id map: use its snapshot's map"
        )
    return codes.astype(np.int32)


def _check_distinct(keys: np.ndarray, table: pa.Table) -> None:
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if (counts > 1).any():
        row = table.slice(int(first[counts > 1][0]), 1).to_pylist()[0]
        raise DataError(
            f"request {row['request_id']!r} shows item {row['item_id']!r} twice, so its click cannot be placed: "
            "log each item of a list once"
        )
