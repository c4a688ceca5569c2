"""Responsiveness: by hand, and of models that listen to their users or do not."""

import numpy as np
import pytest

from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.lists.responsiveness import (
    ranked_lists,
    responsiveness,
    responsiveness_estimates,
    responsiveness_to_latest,
)


def test_the_added_item_itself_is_no_response() -> None:
    before, added = np.array([[5, 1, 2, 3]]), np.array([5])
    assert responsiveness(before, np.array([[1, 2, 3, 4]]), added, (3,)) == 0
    assert responsiveness(before, np.array([[1, 2, 7, 4]]), added, (3,)) == pytest.approx(2 / 4)


HISTORIES = Ratings(
    user=np.array([0, 0, 1, 2, 2], np.int32),
    item=np.array([0, 1, 2, 5, 4], np.int32),
    value=np.ones(5, np.float32),
    timestamp_us=np.array([1, 2, 1, 9, 3], np.int64),
    n_users=4,
    n_items=12,
)


def deaf(histories: Ratings) -> np.ndarray:
    """The same order for everybody, seen items left out."""
    return np.stack([_unseen(histories, user, range(12)) for user in range(4)])


def listening(histories: Ratings) -> np.ndarray:
    """Items far from the latest one first."""
    lists = []
    for user in range(4):
        own = np.flatnonzero(histories.user == user)
        latest = histories.item[own[histories.timestamp_us[own].argmax()]] if len(own) else 0
        lists.append(_unseen(histories, user, sorted(range(12), key=lambda item, at=latest: -abs(item - at))))
    return np.stack(lists)


def _unseen(histories: Ratings, user: int, order: range | list[int]) -> np.ndarray:
    seen = set(histories.item[histories.user == user].tolist())
    return np.array([item for item in order if item not in seen][:8])


def test_a_model_that_ignores_histories_is_not_responsive() -> None:
    users, values = responsiveness_to_latest(deaf, HISTORIES, (2, 5))
    assert users.tolist() == [0, 2]  # user 1 has one event, user 3 none
    assert (values == 0).all()
    assert (responsiveness_to_latest(listening, HISTORIES, (2, 5))[1][1] > 0).all()


def test_no_second_event_and_wrong_lists() -> None:
    alone = HISTORIES.take(np.array([0, 2]))
    with pytest.warns(UserWarning, match="two events"):
        assert responsiveness_to_latest(deaf, alone, (2,))[1].shape == (0, 1)
    with pytest.raises(DataError, match="3 and 3 lists for 4 users"):
        responsiveness_to_latest(lambda _: np.zeros((3, 2), int), HISTORIES, (2,))


def test_popularity_is_deaf_and_neighbours_listen() -> None:
    rng, fitted = np.random.default_rng(0), {}
    pairs = np.unique(rng.integers(0, 240, 120))
    user, item = np.divmod(pairs.astype(np.int32), 12)
    columns = {"value": np.ones(len(pairs), np.float32), "timestamp_us": rng.permutation(len(pairs)).astype(np.int64)}
    histories = Ratings(user, item, **columns, n_users=20, n_items=12)
    for name in ("popularity", "cooccurrence"):
        spec = discover()[name]
        fitted[name] = spec.fit(histories, spec.config(), seed=0)
    rows = responsiveness_estimates(fitted, histories, (2,), seed=0, n_users=8, n_resamples=20)
    figures = {row.model: (row.value, row.n) for row in rows}
    assert figures["popularity"] == (0, 8)
    assert figures["cooccurrence"][0] > 0.1
    lists = ranked_lists(fitted["popularity"], 12)(histories)
    for own in range(20):
        seen = item[user == own]
        assert (lists[own] < 0).sum() == len(seen)
        assert not np.isin(lists[own], seen).any()
