"""What list metrics need, gathered from an evaluation, the train rows and the catalogue."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse
from jaxtyping import Bool, Float, Float64, Int, Int64

from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.lists.beyond_accuracy import ListFacts
from recsys_pipeline.core.reports.lists.slices import PlacedRows


def category_mix(categories: Sequence[Sequence[str]]) -> Float64[np.ndarray, "items categories"]:
    """The share of each category in each item: equal parts of its categories, which are in order of their names.

    An item without a category has a row of zeros.
    """
    names = sorted({name for own in categories for name in own})
    column = {name: at for at, name in enumerate(names)}
    mix = np.zeros((len(categories), len(names)))
    for row, own in enumerate(categories):
        for name in set(own):
            mix[row, column[name]] = 1 / len(set(own))
    return mix


def read_category_mix(items_table: Path, item_ids: Sequence[str]) -> Float64[np.ndarray, "items categories"] | None:
    """`category_mix` of the items in this order, from the item table; None where no item has a category."""
    table = pq.read_table(items_table, columns=["item_id", "categories"])
    own = dict(zip(table["item_id"].to_pylist(), table["categories"].to_pylist(), strict=True))
    mix = category_mix([own.get(name) or [] for name in item_ids])
    return mix if mix.any() else None


def history_mix(
    train: Ratings, users: Int[np.ndarray, " users"], item_mix: Float[np.ndarray, "items categories"]
) -> Float64[np.ndarray, "users categories"]:
    """The category shares of the train items of each user, every row alike; zeros without rows."""
    ones = np.ones(len(train))
    rows = scipy.sparse.csr_array((ones, (train.user, train.item)), shape=(train.n_users, train.n_items))
    sums = rows[users] @ item_mix.astype(np.float64)
    totals = sums.sum(axis=1, keepdims=True)
    return sums / np.where(totals > 0, totals, 1.0)


def first_seen(train: Ratings) -> Int64[np.ndarray, " items"]:
    """The earliest train row of each item, microseconds; items without rows get the latest time of all."""
    found = np.full(train.n_items, train.timestamp_us.max(initial=0))
    np.minimum.at(found, train.item, train.timestamp_us)
    return found


def placed_rows(result: RankingResult) -> PlacedRows:
    """The relevant test rows of an evaluation and where its model put them."""
    return PlacedRows(result.users, result.rows.user, result.rows.item, result.rows.places)


def hits_of(result: RankingResult) -> Bool[np.ndarray, "users places"]:
    """Which places of each list, as it is shown, hold a relevant item."""
    relevant = placed_rows(result).user_rows() * result.n_items + result.rows.item
    listed = np.arange(len(result.top))[:, None] * result.n_items + result.top
    return np.isin(listed, relevant) & (result.top >= 0)


def list_facts(
    result: RankingResult,
    train: Ratings,
    plainest: RankingResult | None = None,
    item_mix: Float[np.ndarray, "items categories"] | None = None,
    vectors: Float[np.ndarray, "items dim"] | None = None,
) -> ListFacts:
    """Facts of one model's lists; diversity uses category shares where no vectors are given.

    Vectors should come from outside the models that are compared (categories, texts, pictures): a model's own vectors
    make its own lists look alike. `plainest` is the popularity model on the same users; without it there is no
    serendipity. Raises `DataError` where it was evaluated on others.
    """
    if plainest is not None and not np.array_equal(plainest.users, result.users):
        raise DataError(f"{result.model} and {plainest.model} were evaluated on different users: use the same folds")
    popularity = np.bincount(train.item, minlength=train.n_items)
    if not len(train):
        warnings.warn("no train rows: every item counts as equally popular", stacklevel=2)
    return ListFacts(
        top=result.top,
        popularity=popularity,
        n_train_users=len(np.unique(train.user)),
        hits=hits_of(result),
        expected=None if plainest is None else plainest.top,
        vectors=item_mix if vectors is None else vectors,
        item_mix=item_mix,
        history_mix=None if item_mix is None else history_mix(train, result.users, item_mix),
    )
