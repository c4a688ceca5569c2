"""The marketplace's items: they arrive, sell out and change price, and are shown only while on sale."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from recsys_pipeline.core.dataset.schema import ITEMS, validate_items
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator, SimulatorConfig
from recsys_pipeline.core.dataset.simulator.catalogue import STYLES, Catalogue
from recsys_pipeline.core.time import Window

START = datetime(2026, 1, 1, tzinfo=UTC)
TINY = SIZES["tiny"]


@pytest.fixture(scope="module")
def shop() -> Simulator:
    return Simulator(TINY, seed=2)


@pytest.mark.parametrize("days", [-100, 0, 1, 9.3])
def test_the_catalogue_meets_the_contract_and_knows_nothing_later(shop: Simulator, days: float) -> None:
    as_of = START + timedelta(days=days)
    table = shop.items(as_of)
    assert table.schema.equals(ITEMS)
    assert validate_items(table, as_of).quarantine.num_rows == 0
    assert table["price"].to_numpy().min() > 0


def test_items_arrive_daily_and_stay_in_place(shop: Simulator) -> None:
    early, late = shop.items(START), shop.items(START + timedelta(days=10))
    assert early.num_rows == TINY.n_items
    assert late.num_rows == TINY.n_items + 10 * TINY.items_per_day
    for column in ("item_id", "title", "categories", "created_at", "image"):
        assert late[column].slice(0, early.num_rows).equals(early[column]), column


def test_the_shelf_is_never_empty_and_items_never_come_back(shop: Simulator) -> None:
    available = [shop.items(START + timedelta(days=day))["available"].to_numpy() for day in (0, 100, 200)]
    assert all(0.6 * TINY.n_items < state.sum() < 1.5 * TINY.n_items for state in available)
    assert not (available[1][: TINY.n_items] & ~available[0]).any()
    assert (available[0] & ~available[1][: TINY.n_items]).any()


def test_prices_change(shop: Simulator) -> None:
    before, after = (shop.items(START + timedelta(days=days))["price"].to_numpy()[:100] for days in (1, 8))
    changed = before != after
    assert 0 < changed.mean() < 0.5
    np.testing.assert_allclose(np.minimum(before, after)[changed], 0.8 * np.maximum(before, after)[changed], atol=0.01)


def test_items_are_shown_neither_before_creation_nor_after_they_sold_out(shop: Simulator) -> None:
    window = Window.of_days(date(2026, 1, 12), date(2026, 1, 16))
    events = shop.interactions(window).read_all().to_pandas()
    items = shop.items(window.end).to_pandas().set_index("item_id")
    assert (events["timestamp"] >= events["item_id"].map(items["created_at"])).all()
    stay = shop._catalogue.until(15 * 24).stay
    gone = START + np.array([timedelta(hours=int(hour)) for hour in stay.leaves])
    assert (events["timestamp"].to_numpy() < gone[events["item_id"].str[1:].astype(int)]).all()
    assert not items["available"].all()
    arrived_inside = items.index[items["created_at"] >= START]
    assert events["item_id"].isin(arrived_inside).any()


def test_availability_flips_at_the_moment_of_selling_out(shop: Simulator) -> None:
    stay = shop._catalogue.until(24 * 30).stay
    item = int(np.argmin(stay.leaves))
    gone = START + timedelta(hours=int(stay.leaves[item]))
    assert shop.items(gone)["available"][item].as_py()
    assert not shop.items(gone + timedelta(microseconds=1))["available"][item].as_py()


def test_popularity_follows_zipf() -> None:
    config = SimulatorConfig(n_items=2_000, zipf_exponent=0.9)
    log_popularity = np.sort(Catalogue(config, seed=0).until(-1).log_popularity)[::-1]
    rank = np.arange(1, len(log_popularity) + 1)
    middle = slice(10, 1_000)
    slope = np.polyfit(np.log(rank[middle]), log_popularity[middle], 1)[0]
    assert slope == pytest.approx(-0.9, abs=0.08)


def test_items_of_a_style_are_alike() -> None:
    items = Catalogue(SIZES["demo"], seed=0).until(-1)
    means = np.stack([items.vector[items.style == style].mean(axis=0) for style in range(len(STYLES))])
    assert (np.argmax(items.vector @ means.T, axis=1) == items.style).mean() > 0.9
