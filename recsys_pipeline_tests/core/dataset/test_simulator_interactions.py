"""The event stream of the marketplace: addressable, deterministic, within its contract, shaped like a shop."""

from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator, SimulatorConfig
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.time import Window

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = Window(START + timedelta(days=3), START + timedelta(days=4))


def read(source: Simulator, window: Window) -> pa.Table:
    return source.interactions(window).read_all()


def to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


@cache
def shop() -> Simulator:
    return Simulator(SIZES["tiny"], seed=7)


@cache
def fortnight() -> pd.DataFrame:
    events = read(shop(), Window.of_days(date(2026, 1, 1), date(2026, 1, 14))).to_pandas()
    events["hour"] = (events["timestamp"] - pd.Timestamp(START)) // pd.Timedelta(hours=1)
    for column, text in (("user", "user_id"), ("item", "item_id")):
        events[column] = events[text].str[1:].astype(int)
    return events


def test_the_same_day_gives_the_same_bytes_whatever_was_asked_before() -> None:
    travelled = Simulator(SIZES["tiny"], seed=7)
    travelled.items(START + timedelta(days=40))
    read(travelled, Window.of_day(date(2026, 2, 3)))
    assert to_bytes(read(travelled, DAY)) == to_bytes(read(Simulator(SIZES["tiny"], seed=7), DAY))


def test_another_seed_gives_another_day() -> None:
    assert not read(Simulator(SIZES["tiny"], seed=8), DAY).equals(read(shop(), DAY))


def test_a_day_is_its_24_hours_each_produced_by_itself() -> None:
    hours = [DAY.start + timedelta(hours=hour) for hour in range(24)]
    parts = [
        read(Simulator(SIZES["tiny"], seed=7), Window(hour, hour + timedelta(hours=1))) for hour in reversed(hours)
    ]
    assert to_bytes(pa.concat_tables(reversed(parts))) == to_bytes(read(shop(), DAY))


@given(st.lists(st.integers(0, 5 * 3_600_000_000), min_size=3, max_size=3).map(sorted))
def test_any_window_is_the_sum_of_its_parts_and_holds_no_event_outside(offsets_us: list[int]) -> None:
    start, cut, end = (DAY.start + timedelta(hours=17, microseconds=offset) for offset in offsets_us)
    whole = read(shop(), Window(start, end))
    parts = pa.concat_tables([read(shop(), Window(start, cut)), read(shop(), Window(cut, end))])
    assert whole.equals(parts)
    moments = whole["timestamp"].to_pylist()
    assert all(start <= moment < end for moment in moments)
    assert moments == sorted(moments)


def test_nothing_happens_before_the_first_day() -> None:
    assert read(shop(), Window(START - timedelta(days=2), START)).num_rows == 0
    assert shop().days().first == START.date()
    assert shop().days().last is None


def test_rows_meet_the_contract() -> None:
    table = read(shop(), DAY)
    assert table.schema.equals(INTERACTIONS)
    assert all(column.null_count == 0 for column in table.columns)
    events = table.to_pandas()
    allowed = {"view": {0}, "click": {3}, "purchase": {4}, "rating": {1, 2, 3, 4, 5}}
    for event, rows in events.groupby("event"):
        assert set(rows["value"]) <= allowed[str(event)]
    assert events["propensity"].between(0, 1, inclusive="right").all()
    assert set(events["position"]) == set(range(SIZES["tiny"].slate_size))
    assert not events.duplicated(["request_id", "position", "event"]).any()


def test_a_list_shows_each_item_once_and_every_event_stems_from_a_view() -> None:
    events = fortnight()
    views = events[events["event"] == "view"]
    assert not views.duplicated(["request_id", "item_id"]).any()
    assert (views.groupby("request_id").size() == SIZES["tiny"].slate_size).all()
    key = ["request_id", "position", "user_id", "item_id", "propensity"]
    for cause, effect in (("view", "click"), ("click", "purchase"), ("purchase", "rating")):
        both = events[events["event"] == effect].merge(events[events["event"] == cause], on=key, how="left")
        assert (both["timestamp_x"] > both["timestamp_y"]).all()


def test_volumes_are_those_of_the_size() -> None:
    per_day = fortnight()["event"].value_counts() / 14
    assert 300 < per_day["click"] + per_day["purchase"] + per_day["rating"] < 500
    assert per_day["click"] > per_day["purchase"] > per_day["rating"] > 1


def test_attention_follows_a_power_law() -> None:
    views = fortnight().query("event == 'view'").groupby("item").size().sort_values(ascending=False)
    assert views.head(12).sum() / views.sum() > 0.25
    assert views.head(12).sum() / views.sum() < 0.6


def test_evenings_are_busier_than_mornings() -> None:
    views = fortnight().query("event == 'view'").groupby(fortnight()["hour"] % 24).size()
    assert views[18:22].sum() > 2.5 * views[6:10].sum()


def test_hardly_anybody_buys_a_thing_twice() -> None:
    config = SimulatorConfig(n_users=400, n_items=300, requests_per_day=1_300)
    events = read(Simulator(config), Window.of_days(date(2026, 1, 1), date(2026, 1, 18)))
    bought = events.filter(pc.field("event") == "purchase").to_pandas()
    assert len(bought) > 300
    assert bought.duplicated(["user_id", "item_id"]).mean() < 0.06


def test_inverse_propensities_count_the_items_that_could_have_been_chosen() -> None:
    """E[1 / propensity] at position k is the number of items not yet in the list: so exact are the propensities."""
    views = fortnight().query("event == 'view'")
    items = shop()._catalogue.until(14 * 24)
    on_sale = np.array([items.on_sale(hour).sum() for hour in range(14 * 24)])
    for position in (0, 4, 9):
        rows = views[views["position"] == position]
        error = 1 / rows["propensity"] - (on_sale[rows["hour"]] - position)
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error)), position


def test_clicks_fall_with_position_just_as_examination_does() -> None:
    views = fortnight().query("event == 'view'")
    clicks = fortnight().query("event == 'click'").groupby("position").size()
    source, config = shop(), SIZES["tiny"]
    expected = np.zeros(config.slate_size)
    for hour, rows in views.groupby("hour"):
        n_users, n_items = rows["user"].max() + 1, rows["item"].max() + 1
        at = START + timedelta(hours=int(str(hour)))
        chance = source.click_probability(np.arange(n_users), np.arange(n_items), at)[rows["user"], rows["item"]]
        expected += np.bincount(rows["position"], chance, minlength=config.slate_size)
    looked = np.array([source.examination(position) for position in range(config.slate_size)])
    deviations = (clicks.to_numpy() - expected * looked) / np.sqrt(expected * looked)
    assert np.abs(deviations).max() < 4
    assert clicks[0] > 2 * clicks[9]


@pytest.mark.parametrize(
    ("change", "name"),
    [({"n_items": 5}, "n_items"), ({"zipf_exponent": 0.0}, "zipf_exponent"), ({"popular_share": 0.9}, "popular_share")],
)
def test_a_wrong_setting_is_named(change: dict, name: str) -> None:
    with pytest.raises(SettingError, match=name):
        SimulatorConfig(**change)


def test_a_negative_seed_and_a_time_without_zone_are_refused() -> None:
    with pytest.raises(SettingError, match="seed is -1"):
        Simulator(SIZES["tiny"], seed=-1)
    with pytest.raises(SettingError, match="must be UTC"):
        shop().items(datetime(2026, 1, 3))  # noqa: DTZ001 - the missing zone is what is tested
