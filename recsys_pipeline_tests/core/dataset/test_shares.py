"""How many bad rows a table, a day and a file may have."""

import pytest

from recsys_pipeline.core.dataset.shares import check_quarantine_share, exceeds_share, is_clearly_bad
from recsys_pipeline.core.errors import DataError

FIRST = {"source_file": "ratings.csv", "source_row": 7, "reason": "timestamp 'abc' is not an epoch in seconds"}


def test_share_above_the_limit_fails_and_names_the_first_row() -> None:
    check_quarantine_share(1, 100, FIRST, 0.01)
    check_quarantine_share(0, 0, None, 0.0)
    with pytest.raises(DataError, match=r"2 of 100 .* row 7 of ratings\.csv: timestamp 'abc'"):
        check_quarantine_share(2, 100, FIRST, 0.01)


@pytest.mark.parametrize(
    ("bad", "total", "share", "too_many"),
    [(1, 3, 0.01, False), (2, 3, 0.01, True), (1, 1, 0.01, True), (1, 3, 0.0, True), (0, 3, 0.0, False)],
)
def test_one_bad_row_among_others_is_not_too_many_unless_none_is_allowed(
    bad: int, total: int, share: float, too_many: bool
) -> None:
    assert exceeds_share(bad, total, share) is too_many


@pytest.mark.parametrize(
    ("bad", "total", "clearly"),
    [(2, 30, False), (3, 30, True), (18, 1000, False), (21, 1000, True), (2, 3, True), (1, 2, False), (1, 1, True)],
)
def test_a_day_of_a_history_is_bad_where_chance_does_not_explain_it(bad: int, total: int, clearly: bool) -> None:
    assert is_clearly_bad(bad, total, 0.01) is clearly
