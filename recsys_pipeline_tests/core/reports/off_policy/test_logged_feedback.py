"""Logged feedback from interaction tables: what pairs with what, and what is refused."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.reports.off_policy.logged_feedback import logged_feedback

USERS, ITEMS = ["u1", "u2"], ["a", "b", "c"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def table(*rows: tuple) -> pa.Table:
    """(user, item, event, request, position, propensity) as interactions."""
    columns = list(zip(*rows, strict=True))
    return pa.table(
        [columns[0], columns[1], columns[2], [0.0] * len(rows), [NOON] * len(rows), *columns[3:]], schema=INTERACTIONS
    )


VIEW = ("u1", "a", "view", "r1", 0, 0.5)


def test_a_click_pays_the_impression_of_its_own_request() -> None:
    log = logged_feedback(
        table(
            VIEW,
            ("u1", "b", "view", "r1", 1, 0.25),
            ("u1", "a", "view", "r2", 0, 0.5),
            ("u1", "a", "click", "r2", 0, 0.5),
            ("u1", "b", "click", None, None, None),  # a click from elsewhere pays nothing
        ),
        USERS,
        ITEMS,
        WEB_LOG,
    )
    assert log.reward.tolist() == [0.0, 0.0, 1.0]
    assert log.item.tolist() == [0, 1, 0]
    assert log.position.tolist() == [0, 1, 0]
    assert log.propensity.tolist() == [0.5, 0.25, 0.5]
    assert log.timestamp_us.tolist() == [int(NOON.timestamp()) * 1_000_000] * 3


def test_impressions_without_propensity_are_counted_and_left_out() -> None:
    log = logged_feedback(table(VIEW, ("u2", "b", "view", "r2", 0, None)), USERS, ITEMS, WEB_LOG)
    assert (len(log), log.n_unlogged) == (1, 1)
    none = logged_feedback(table(("u2", "b", "view", "r2", 0, None)), USERS, ITEMS, WEB_LOG)
    assert (len(none), none.n_unlogged) == (0, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("u1", "b", "view", "r1", 1, 0.0), "row 1 .* propensity 0"),
        (("u1", "b", "view", "r1", 1, 1.5), "row 1 .* propensity 1.5"),
        (("u1", "b", "view", "r1", 1, float("nan")), "propensity nan"),
        (("u1", "b", "view", "r1", -1, 0.5), "position -1"),
        (("u9", "b", "view", "r1", 1, 0.5), "user_id 'u9'"),
        (("u1", "z", "view", "r1", 1, 0.5), "item_id 'z'"),
        (("u1", "a", "view", "r1", 1, 0.5), "'r1' shows item 'a' twice"),
    ],
)
def test_a_bad_row_is_named(row: tuple, message: str) -> None:
    with pytest.raises(DataError, match=message):
        logged_feedback(table(VIEW, row), USERS, ITEMS, WEB_LOG)


def test_absent_columns_are_named() -> None:
    with pytest.raises(DataError, match="lack propensity"):
        logged_feedback(table(VIEW).drop_columns("propensity"), USERS, ITEMS, WEB_LOG)
