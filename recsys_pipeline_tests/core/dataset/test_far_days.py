"""Lone far days at both ends of a history, and what is none: a pause, a small table, a declared begin."""

from datetime import date, timedelta

import pytest

from recsys_pipeline.core.dataset.far_days import body_of
from recsys_pipeline.core.errors import SourceError

START = date(2026, 1, 1)


def history(rows: int = 40, days: int = 140, far: dict[date, int] | None = None) -> dict[date, int]:
    return {START + timedelta(days=number): rows for number in range(days)} | (far or {})


@pytest.mark.parametrize("stray", [date(1970, 1, 1), START - timedelta(days=91), date(2031, 1, 1)])
def test_a_lone_far_day_is_no_part_of_the_history(stray: date) -> None:
    body = body_of(history(far={stray: 1}))
    assert (body.first, body.last, body.far) == (START, START + timedelta(days=139), {stray: 1})
    assert f"1 rows of {stray} lie months away" in body.told()


def test_both_ends_and_several_lone_days() -> None:
    far = {date(1970, 1, 1): 2, date(1970, 1, 20): 5, date(1999, 1, 1): 1, date(2040, 1, 1): 3}
    assert body_of(history(far=far)).far == far


@pytest.mark.parametrize(
    ("far", "why"),
    [
        ({START - timedelta(days=80): 1}, "less than months away"),
        ({START - timedelta(days=200 + day): 1 for day in range(4)}, "four days are no mistake"),
        ({START - timedelta(days=200): 100}, "too many rows for a mistake"),
    ],
)
def test_a_pause_is_none(far: dict[date, int], why: str) -> None:
    assert body_of(history(far=far)).far == {}, why


def test_a_small_table_may_have_a_lone_row_too() -> None:
    assert body_of(history(1, 20, {date(1970, 1, 1): 1})).far == {date(1970, 1, 1): 1}
    year = timedelta(days=365)
    assert body_of({START + number * year: 1 for number in range(5)}).far == {}, (
        "rows that all lie alone are the history"
    )


def test_a_declared_begin_and_a_larger_gap_take_far_days_in() -> None:
    stray = {date(1970, 1, 1): 1}
    assert body_of(history(far=stray), max_gap_days=30_000).first == date(1970, 1, 1)
    assert body_of(history(far=stray), has_first_day=True).first == date(1970, 1, 1)


def test_two_large_parts_years_apart_are_refused() -> None:
    with pytest.raises(SourceError, match=r"between 1970-01-20 and 2026-01-01: check interactions\.time_unit"):
        body_of(history(far={date(1970, 1, 20): 900}))
    assert body_of(history(far={date(1970, 1, 20): 900}), max_gap_days=30_000).far == {}
