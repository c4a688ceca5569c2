"""Config dataclasses that check themselves: types, bounds, and which field was wrong."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pytest

from recsys_pipeline.core.configs import check_settings, parse_config, setting
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.time import DAY, HOUR, Window


@dataclass(frozen=True)
class Toy:
    """A config with one field of each kind."""

    size: int = setting(4, "A whole number.", ge=1, le=64)
    share: float = setting(0.1, "A part.", gt=0.0, lt=1.0)
    flag: bool = setting(True, "A flag.")
    kind: Literal["one", "two"] = setting("one", "A choice.")
    widths: tuple[int, ...] = setting((1, 2), "Some numbers.")
    name: str = setting("a", "A text.")

    __post_init__ = check_settings


def test_values_become_the_types_of_their_fields() -> None:
    loose: dict[str, Any] = {"size": np.int64(3), "share": np.float32(0.5), "widths": [3, 4.0]}
    made = Toy(**loose)
    assert made == Toy(size=3, share=0.5, widths=(3, 4))
    assert [type(value) for value in (made.size, made.share, *made.widths)] == [int, float, int, int]
    assert parse_config(Toy, {"size": 3.0}).size == 3


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"size": 0}, "size must be at least 1, got 0"),
    ({"size": 65}, "size must be at most 64"),
    ({"size": 1.5}, "size must be a whole number"),
    ({"size": math.nan}, "size must be a whole number"),
    ({"size": True}, "size must be of type int"),
    ({"size": "3"}, "size must be of type int"),
    ({"share": 0}, "share must be above 0"),
    ({"share": 1.0}, "share must be below 1"),
    ({"share": math.nan}, "share must be finite"),
    ({"share": -math.inf}, "share must be finite"),
    ({"flag": 1}, "flag must be of type bool"),
    ({"kind": "three"}, "kind must be one of 'one', 'two'"),
    ({"widths": 3}, "widths must be of type"),
    ({"widths": [1, "x"]}, r"widths\[1\] must be of type int"),
    ({"name": 3}, "name must be of type str"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_what_does_not_fit_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=rf"Toy\.{message}"):
        Toy(**values)
    with pytest.raises(SettingError, match=rf"here\.{message}"):
        parse_config(Toy, values, "here")


def test_unknown_field_names_those_that_there_are() -> None:
    with pytest.raises(SettingError, match=r"here\.sise: Toy has no field 'sise'; it has flag, kind, name, share"):
        parse_config(Toy, {"sise": 3}, "here")


def test_partition_keys_are_days_and_hours() -> None:
    start = datetime(2026, 1, 5, 13, tzinfo=UTC)
    assert Window.of_partition("2026-01-05-13:00") == Window(start, start + HOUR) == Window.of_hour(start)
    assert Window.of_partition("2026-01-05") == Window.of_day(start.date())
    with pytest.raises(SettingError, match="2026-01-05-13:00"):
        Window.of_partition("yesterday")


def test_periods_are_those_that_a_window_touches() -> None:
    start = datetime(2026, 1, 5, 22, 30, tzinfo=UTC)
    window = Window(start, start + timedelta(hours=2))
    assert [moment.hour for moment in window.periods(HOUR)] == [22, 23, 0]
    assert [moment.day for moment in window.periods(DAY)] == [5, 6]
    assert list(Window(start, start).periods(DAY)) == [], "an empty window touches nothing"
