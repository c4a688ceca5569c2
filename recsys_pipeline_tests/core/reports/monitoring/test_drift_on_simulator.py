"""A fortnight of the marketplace without any alarm, and planted faults that are found on the day they begin."""

import dataclasses
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.reports.monitoring.drift import Drift, DriftLimits, drift_report
from recsys_pipeline.core.reports.monitoring.priors import Profile, ProfileConfig
from recsys_pipeline.core.reports.monitoring.profile_inputs import first_timers, read_catalogue, read_events
from recsys_pipeline.core.reports.monitoring.profiles import (
    CatalogueState,
    Events,
    FirstTimers,
    activity_profile,
    catalogue_profile,
    retrieval_profile,
)
from recsys_pipeline.core.reports.monitoring.retrieval_sample import Retrieval
from recsys_pipeline.core.time import Window, microseconds

FIRST, DAYS, EMBEDDING_SIZE = 2, 15, 8
CONFIG = ProfileConfig()


@dataclasses.dataclass(frozen=True)
class Day:
    """What a profile is made from; the lists come from the truth, seen through a model's noise of the day."""

    events: Events
    catalogue: CatalogueState
    newcomers: FirstTimers
    retrieval: Retrieval

    def profile(self) -> Profile:
        activity = activity_profile(self.events, self.catalogue, self.newcomers, CONFIG, 0)
        offer = catalogue_profile(self.catalogue, CONFIG, 0)
        return activity | offer | retrieval_profile(self.retrieval, self.catalogue, CONFIG, 0)


def read_days(folder: Path, seed: int) -> list[Day]:
    shop, files, days = Simulator(SIZES["tiny"], seed), [], []
    start = shop.config.start_date
    for number in range(FIRST + DAYS):
        window = Window.of_day(start + timedelta(days=number))
        file = folder / f"{number:02d}.parquet"
        pq.write_table(shop.interactions(window).read_all(), file)
        pq.write_table(shop.items(window.end), folder / "items.parquet")
        ids, catalogue = read_catalogue(folder / "items.parquet", microseconds(window.end))
        user_ids = [f"u{row:06d}" for row in range(shop.config.n_users + number + 1)]
        events = read_events(file, user_ids, ids, WEB_LOG)
        if number >= FIRST:
            truth = shop.expected_utility(user_ids, ids, window.end - timedelta(hours=1))
            retrieval = factorised(truth, events, np.random.default_rng([seed, number]))
            days.append(Day(events, catalogue, first_timers(file, files, WEB_LOG), retrieval))
        files.append(file)
    return days


def factorised(truth: np.ndarray, events: Events, rng: np.random.Generator) -> Retrieval:
    """Vectors whose products are the true utilities with a little noise, as of a model that is fitted anew each day."""
    left, weights, right = np.linalg.svd(truth + 0.1 * rng.normal(size=truth.shape), full_matrices=False)
    root = np.sqrt(weights[:EMBEDDING_SIZE])
    users, items = left[:, :EMBEDDING_SIZE] * root, right[:EMBEDDING_SIZE].T * root
    chosen = events.is_interaction
    return Retrieval(
        users.astype(np.float32), items.astype(np.float32), events.user[chosen], events.item[chosen],
        np.arange(len(items)), np.unique(events.user), np.arange(len(items), dtype=np.uint64),
    )  # fmt: skip


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> list[Day]:
    return read_days(tmp_path_factory.mktemp("fortnight"), seed=0)


def drifted(before: Day, now: Day) -> dict[str, Drift]:
    return {row.feature: row for row in drift_report(before.profile(), now.profile(), DriftLimits()).breaches}


def test_fourteen_quiet_days_in_a_row_alarm_nobody(fortnight: list[Day]) -> None:
    """With the default limits; more marketplaces were measured by hand, see docs/decisions/drift.md."""
    pairs = list(itertools.pairwise(day.profile() for day in fortnight))
    assert len(pairs) == 14
    assert [drift_report(*pair, DriftLimits()).breaches for pair in pairs] == [[]] * 14


def dear(day: Day) -> Day:
    """All prices are three times what they were, as where a currency is mistaken."""
    return dataclasses.replace(day, catalogue=dataclasses.replace(day.catalogue, price=3 * day.catalogue.price))


def without_lamps(day: Day) -> Day:
    """The largest category is on offer no more."""
    names, counts = np.unique(day.catalogue.category[day.catalogue.available].astype(str), return_counts=True)
    gone = day.catalogue.category == names[counts.argmax()]
    catalogue = dataclasses.replace(day.catalogue, available=day.catalogue.available & ~gone)
    return dataclasses.replace(day, catalogue=catalogue)


def scaled(day: Day) -> Day:
    """The model's scores are doubled."""
    vectors = day.retrieval.user_vectors * np.float32(2)
    return dataclasses.replace(day, retrieval=dataclasses.replace(day.retrieval, user_vectors=vectors))


def collapsed(day: Day) -> Day:
    """The model says the same of every item but for a little noise."""
    noise = 1e-3 * np.random.default_rng(0).normal(size=day.retrieval.item_vectors.shape)
    vectors = (day.retrieval.item_vectors.mean(axis=0) + noise).astype(np.float32)
    return dataclasses.replace(day, retrieval=dataclasses.replace(day.retrieval, item_vectors=vectors))


def without_clicks(day: Day) -> Day:
    """The tracking of everything but impressions and one purchase in five is broken."""
    keep = ~day.events.is_interaction | ((day.events.event == "purchase") & (day.events.user % 5 == 0))
    events = Events(*(getattr(day.events, field.name)[keep] for field in dataclasses.fields(Events)))
    return dataclasses.replace(day, events=events)


def at_night(day: Day) -> Day:
    """A clock is nine hours late."""
    late = day.events.timestamp_us - 9 * 3_600_000_000
    return dataclasses.replace(day, events=dataclasses.replace(day.events, timestamp_us=late))


def sold_out(day: Day) -> Day:
    """Nothing is on offer."""
    nothing = np.zeros(len(day.catalogue.available), bool)
    return dataclasses.replace(day, catalogue=dataclasses.replace(day.catalogue, available=nothing))


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (dear, {"catalogue_price", "interaction_price", "recommended_price"}),
        (without_lamps, {"catalogue_category", "recommended_category"}),
        (scaled, {"score", "user_norm"}),
        (collapsed, {"score", "item_norm", "neighbor_distance"}),
        (without_clicks, {"event"}),
        (at_night, {"hour_of_day"}),
        (sold_out, {"empty_lists", "items_on_offer", "catalogue_category", "score"}),
    ],
)
@pytest.mark.filterwarnings("ignore:drift of .* is not defined")
def test_a_planted_fault_is_found(fortnight: list[Day], plant: Callable[[Day], Day], found: set[str]) -> None:
    assert drifted(fortnight[-2], plant(fortnight[-1])).keys() >= found
