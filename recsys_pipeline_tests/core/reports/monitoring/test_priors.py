"""Profiles: bounded, seeded, complete again from their files, and built from arrays whose answer is known."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.schema import INTERACTIONS, ITEMS
from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.hashing import mix
from recsys_pipeline.core.reports.monitoring.priors import (
    EMPTY_LISTS,
    Distribution,
    Profile,
    ProfileConfig,
    Share,
    draw,
)
from recsys_pipeline.core.reports.monitoring.profile_inputs import first_timers, positions, read_catalogue, read_events
from recsys_pipeline.core.reports.monitoring.profiles import (
    CatalogueState,
    FirstTimers,
    activity_profile,
    catalogue_profile,
    retrieval_profile,
)
from recsys_pipeline.core.reports.monitoring.retrieval_sample import Retrieval, neighbor_distances, top_list, top_lists
from recsys_pipeline.core.time import microseconds

CONFIG = ProfileConfig()
END = datetime(2026, 1, 3, tzinfo=UTC)
CATALOGUE = CatalogueState(
    category=np.array(["lamp", "sofa", None, "lamp"], object),
    price=np.array([10.0, np.nan, 30.0, 40.0]),
    age_days=np.array([1.0, 2.0, 3.0, 4.0]),
    available=np.array([True, True, True, False]),
)


TIE_KEY = mix(np.arange(9, dtype=np.uint64))


def retrieval(seen: list[tuple[int, int]], n_users: int = 5, n_items: int = 4, seed: int = 0) -> Retrieval:
    rng = np.random.default_rng(seed)
    user, item = np.array(seen, np.int64).reshape(-1, 2).T
    users, items = (rng.normal(size=(n, 3)).astype(np.float32) for n in (n_users, n_items))
    rows = np.where(np.arange(n_items) < len(CATALOGUE.price), np.arange(n_items), -1)
    return Retrieval(users, items, user, item, rows, np.arange(n_users), TIE_KEY[:n_items])


def test_a_draw_is_bounded_seeded_and_leaves_out_what_is_not_finite() -> None:
    values, unit = np.arange(1000.0), np.arange(1000)
    values[::2] = np.nan
    drawn = draw("price", values, unit, 100, seed=3)
    assert (len(drawn), drawn.population) == (100, 500)
    assert np.array_equal(drawn.values, drawn.unit)
    assert np.array_equal(drawn.values, draw("price", values, unit, 100, seed=3).values)
    for other in (draw("price", values, unit, 100, seed=4), draw("score", values, unit, 100, seed=3)):
        assert not np.array_equal(drawn.values, other.values)


def test_a_profile_comes_back_from_its_files(tmp_path: Path) -> None:
    profile = Profile(
        {
            "price": draw("price", np.array([2.5, 1.0]), np.array([4, 5]), 10, 0),
            "category": draw("category", np.array(["lamp", "Stühle"], object), np.array([1, 1]), 10, 0),
            "empty": draw("empty", np.empty(0), np.empty(0, np.int64), 10, 0),
        },
        {"cold_users": Share(1, 3)},
        {"age": "no dates"},
    )
    profile.save(tmp_path)
    again = Profile.load(tmp_path)
    assert repr(again) == repr(profile)
    assert [found.values.dtype for found in again.distributions.values()] == [np.float64, object, np.float64]
    (tmp_path / "samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="materialize it again"):
        Profile.load(tmp_path)


@pytest.mark.parametrize(
    "build",
    [lambda: Share(3, 2), lambda: Distribution(np.array([np.inf]), np.array([0]), 1)],
    ids=["share", "infinite"],
)
def test_what_cannot_be_is_refused(build: Callable[[], object]) -> None:
    with pytest.raises(DataError):
        build()


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=30),
    st.sets(st.integers(0, 5)),
    st.integers(1, 7),
)
def test_lists_equal_their_readable_twin(seen: list[tuple[int, int]], offer: set[int], k: int) -> None:
    source, offered = retrieval(seen, n_items=6), np.array(sorted(offer), np.int64)
    users = np.array([0, 2, 3])
    top, scores, candidates = top_lists(source, users, offered, k)
    for row, user in enumerate(users):
        expected = top_list(source, int(user), offered, k)
        assert top[row][top[row] >= 0].tolist() == [item for item, _ in expected]
        assert scores[row][: len(expected)] == pytest.approx([score for _, score in expected], rel=1e-5, abs=1e-6)
        assert candidates[row] == len(top_list(source, int(user), offered, 99))


def test_neighbor_distances_by_hand() -> None:
    """Right angles but for the first two, which differ by 60 degrees; a zero vector has no direction."""
    vectors = np.array([[2, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 0, 3], [0, 0, 0]], np.float32)
    among = np.arange(4)
    found = neighbor_distances(vectors, among, among)
    assert found == pytest.approx([0.5, 0.5, 1.0, np.nan], nan_ok=True)
    assert np.isnan(neighbor_distances(vectors, np.array([2]), np.array([2]))).all()


def test_the_retrieval_part_counts_candidates_and_empty_lists() -> None:
    """Three items are on offer; user 0 has seen all of them, user 1 one."""
    seen = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 3)]
    profile = retrieval_profile(retrieval(seen), CATALOGUE, CONFIG, 0)
    assert profile.shares[EMPTY_LISTS] == Share(1, 5)
    assert sorted(profile.distributions["candidate_share"].values) == pytest.approx([0, 2 / 3, 1, 1, 1])
    assert set(profile.distributions["recommended_category"].values) == {"lamp", "sofa"}
    assert len(profile.distributions["score"]) == 2 + 3 * 3
    assert len(profile.distributions["item_norm"]) == 3, "of what is on offer"


def test_a_user_without_a_vector_gets_no_list() -> None:
    source = retrieval([])
    source.active_users[:] = [-1, -1, 0, 1, 1]
    assert retrieval_profile(source, None, CONFIG, 0).shares[EMPTY_LISTS].total == 2


def test_without_users_or_items_nothing_breaks() -> None:
    vectors, none = np.zeros((0, 3), np.float32), np.empty(0, np.int64)
    nobody = Retrieval(vectors, vectors, none, none, none, none, TIE_KEY[:0])
    profile = retrieval_profile(nobody, None, CONFIG, 0)
    assert profile.shares[EMPTY_LISTS].total == 0
    assert {len(found) for found in profile.distributions.values()} == {0}


def test_what_the_catalogue_lacks_is_absent_with_a_reason() -> None:
    full = catalogue_profile(CATALOGUE, CONFIG, 0)
    assert full.distributions["catalogue_price"].values.tolist() == [10.0, 30.0]
    assert full.shares["items_without_price"] == Share(1, 3)
    assert full.shares["items_on_offer"] == Share(3, 4)
    assert full.absent == {}
    nothing = np.full(4, np.nan)
    bare = CatalogueState(np.full(4, None, object), nothing, nothing, CATALOGUE.available)
    assert catalogue_profile(bare, CONFIG, 0).absent == {
        "catalogue_category": "no item on offer has a category",
        "catalogue_price": "no item on offer has a price",
        "catalogue_age_days": "no item on offer has a date of creation",
    }


EVENTS = [("ann", "a", "view", 1), ("ann", "a", "click", 2), ("bob", "b", "purchase", 30), ("bob", "x", "click", 31)]


def write_day(path: Path, events: list[tuple[str, str, str, int]], day: int = 2) -> Path:
    rows = [
        {"user_id": user, "item_id": item, "event": event, "value": 3.0,
         "timestamp": datetime(2026, 1, day, minute // 60, minute % 60, tzinfo=UTC)}
        for user, item, event, minute in events
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), path)
    return path


def test_the_inputs_are_read_as_they_stand(tmp_path: Path) -> None:
    items = [
        {"item_id": "a", "title": "A", "categories": ["lamp", "light"], "price": 5.0, "available": True,
         "created_at": datetime(2026, 1, 1, 12, tzinfo=UTC)},
        {"item_id": "b", "title": "B", "categories": [], "price": None, "available": False, "created_at": None},
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(items, schema=ITEMS), tmp_path / "items.parquet")
    ids, catalogue = read_catalogue(tmp_path / "items.parquet", microseconds(END))
    assert ids == ["a", "b"]
    assert catalogue.category.tolist() == ["lamp", None]
    assert catalogue.age_days == pytest.approx([1.5, np.nan], nan_ok=True)
    events = read_events(write_day(tmp_path / "day.parquet", EVENTS), ["bob", "ann"], ids, WEB_LOG)
    assert (events.user.tolist(), events.item.tolist()) == ([1, 1, 0, 0], [0, 0, 1, -1])
    profile = activity_profile(events, catalogue, FirstTimers(None, None), CONFIG, 0)
    assert profile.distributions["interaction_category"].values.tolist() == ["lamp"], (
        "impressions and strangers are out"
    )
    assert profile.distributions["interaction_price"].values.tolist() == [5.0]
    assert profile.distributions["events_per_user"].values.tolist() == [2.0, 2.0]
    assert profile.absent == {"cold_users": "there is no earlier day", "new_items": "there is no earlier day"}


def test_first_timers_had_no_interaction_before(tmp_path: Path) -> None:
    today = write_day(tmp_path / "2.parquet", EVENTS)
    assert first_timers(today, [], WEB_LOG) == FirstTimers(None, None)
    earlier = write_day(tmp_path / "1.parquet", [("ann", "a", "view", 1), ("bob", "a", "click", 2)], day=1)
    assert first_timers(today, [earlier], WEB_LOG) == FirstTimers(Share(1, 2), Share(2, 3)), (
        "an impression is no interaction"
    )


def test_an_empty_day_has_empty_distributions(tmp_path: Path) -> None:
    events = read_events(write_day(tmp_path / "day.parquet", []), ["bob"], [], WEB_LOG)
    profile = activity_profile(events, CATALOGUE, first_timers(tmp_path / "day.parquet", [], WEB_LOG), CONFIG, 0)
    assert {len(found) for found in profile.distributions.values()} == {0}
    assert set(profile.distributions) == {"event", "hour_of_day", "events_per_user", "interaction_value"}


def test_positions_are_those_of_the_list() -> None:
    assert positions(np.array(["c", "a", "z"], object), ["a", "b", "c"]).tolist() == [2, 0, -1]
    assert positions(np.array([], object), []).tolist() == []
