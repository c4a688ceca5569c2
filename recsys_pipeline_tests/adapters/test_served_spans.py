"""When releases were served: by the order of moves, with the newest span in words."""

from recsys_pipeline.adapters.serving.releases import PROMOTE, ROLLBACK, STAND_IN, Move
from recsys_pipeline.adapters.serving.served_spans import Span, in_words, served_spans


def move(action: str, day: str, at: str, forced: bool = False) -> Move:
    return Move(action, day, f"v{day}", f"d{day}", at, forced=forced)


def test_each_is_served_until_the_next_move() -> None:
    found = served_spans(
        [move(PROMOTE, "05", "t1"), move(PROMOTE, "06", "t2", forced=True), move(ROLLBACK, "05", "t3")]
    )
    assert found["05", "v05"] == [Span("t1", "t2"), Span("t3")]
    assert found["06", "v06"] == [Span("t2", "t3", forced=True)]


def test_a_move_to_what_is_served_begins_nothing_new() -> None:
    found = served_spans([move(PROMOTE, "05", "t1"), move(PROMOTE, "05", "t2")])
    assert found == {("05", "v05"): [Span("t1")]}


def test_what_stands_in_for_its_day_was_never_served() -> None:
    found = served_spans([move(PROMOTE, "06", "t1"), move(STAND_IN, "05", "t2"), move(PROMOTE, "07", "t3")])
    assert found == {("06", "v06"): [Span("t1", "t3")], ("07", "v07"): [Span("t3")]}


def test_a_clock_that_was_set_back_changes_no_order() -> None:
    found = served_spans([move(PROMOTE, "05", "2026-02-01"), move(PROMOTE, "06", "2026-01-01")])
    assert found["05", "v05"] == [Span("2026-02-01", "2026-01-01")]


def test_in_words() -> None:
    assert in_words([]) == "never served"
    now = Span("2026-01-06T03:17:00+00:00")
    assert in_words([now]) == "01-06 03:17–now"
    past = Span("2026-01-05T03:17:00+00:00", "2026-01-06T03:17:00+00:00", forced=True)
    assert in_words([past]) == "01-05 03:17–01-06 03:17, forced"
    assert in_words([past, now]) == "2×, last 01-06 03:17–now"
