"""What goes and what stays: after a collection everything that is left is whole, and what is served can go back."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.adapters.lineage.graph import read_graph
from recsys_pipeline.adapters.serving.releases import DECISION, RELEASE, champion, rollback
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.deletion import delete
from recsys_pipeline.adapters.store.retention import Retention, collect
from recsys_pipeline.core.dataset.snapshots import Snapshot
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline_tests.adapters.stored_days import LATER, day_name, history_of, made


def test_more_days_than_there_are_dates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--keep-days 99999999: keep at most 100000 days"):
        collect(ArtifactStore(str(tmp_path), tmp_path), keep_days=99_999_999)


def assert_whole(store: ArtifactStore, found: Retention) -> None:
    graph = read_graph(store)
    left = {(ref.key, ref.partition, one.name) for ref, node in graph.nodes.items() for one in node.versions}
    assert left == {tuple(place) for place in found.kept}, "what was to stay stays, and nothing else"
    assert graph.unreadable == ()
    for place in found.kept:
        artifact = store.version(*place)
        artifact.verify()
        if place.key == "dataset/snapshot":
            Snapshot.load(artifact.path, store.local_root)
    for key in {ref.key for ref in graph.nodes}:
        for partition in store.partitions(key):
            assert store.get(key, partition).has_all_files(), "every pointer points to something whole"


@settings(max_examples=7)
@given(
    n_days=st.integers(1, 6),
    keep_days=st.integers(1, 5),
    rejected=st.sets(st.integers(1, 5), max_size=4),
    redone=st.sets(st.integers(0, 5), max_size=3),
    shown=st.sets(st.integers(0, 5), max_size=3),
    go_back=st.booleans(),
)
def test_after_a_collection_everything_left_is_whole(
    n_days: int, keep_days: int, rejected: set[int], redone: set[int], shown: set[int], go_back: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(f"{folder}/store", cache=Path(folder) / "cache")
        history_of(store, n_days, rejected, redone)
        if go_back and n_days - len(rejected & set(range(n_days))) > 1:
            rollback(store)
        served, days = champion(store), {day_name(number) for number in shown if number < n_days}
        found = collect(store, keep_days, days, now=LATER)
        assert delete(store, found.doomed) == len(found.doomed)
        assert_whole(store, found)
        assert store.partitions("dataset/interactions") == [day_name(number) for number in range(n_days)]
        assert days <= set(store.partitions("reports/daily"))
        assert (now := champion(store)) is not None
        assert served is not None
        assert now.manifest.ref == served.manifest.ref
        graph = read_graph(store)
        assert not any(graph.nodes[ref].is_gone for ref in now.manifest.recipe.inputs), "it could be made again"
        assert collect(store, keep_days, days, now=LATER).doomed == (), "a second collection finds nothing"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


def keys_of(found: Retention, day: str) -> set[str]:
    return {one.place.key for one in found.doomed if one.place.partition == day}


def test_old_days_go_and_their_events_stay(store: ArtifactStore) -> None:
    history_of(store, 6, set(), set())
    found = collect(store, keep_days=2, now=LATER)
    assert keys_of(found, day_name(0)) == {"models/als", "reports/ranking", "reports/daily", RELEASE}, (
        "the gate compares with the best decision of four weeks"
    )
    assert keys_of(found, day_name(4)) == set()
    assert found.n_bytes > 0


def test_an_old_champion_stays_with_what_it_was_made_from_and_the_way_back(store: ArtifactStore) -> None:
    history_of(store, 8, {3, 4, 5, 6, 7}, set())
    found = collect(store, keep_days=2, now=LATER)
    for number in (1, 2):
        assert not keys_of(found, day_name(number)) & {RELEASE, DECISION, "models/als", "dataset/snapshot"}
    assert RELEASE in keys_of(found, day_name(0))
    delete(store, found.doomed)
    assert rollback(store).day == day_name(1)


def test_hours_since_the_champions_day_stay(store: ArtifactStore) -> None:
    history_of(store, 6, {2, 3, 4, 5}, set())
    for number in range(6):
        made(store, "speed/interactions", f"{day_name(number)}-13:00")
    gone = {one.place.partition for one in collect(store, keep_days=1, now=LATER).doomed if "speed" in one.place.key}
    assert gone == {f"{day_name(number)}-13:00" for number in (0, 1)}


def test_days_with_a_page_keep_their_reports(store: ArtifactStore) -> None:
    history_of(store, 5, set(), set())
    found = collect(store, keep_days=1, shown_days={day_name(1)}, now=LATER)
    assert keys_of(found, day_name(1)) == {"models/als", RELEASE}
    assert "reports/daily" in keys_of(found, day_name(0))


def test_what_was_not_sent_stays(store: ArtifactStore) -> None:
    history_of(store, 4, set(), set())
    waiting = store.get("models/als", day_name(0)).manifest.ref
    assert "models/als" not in keys_of(collect(store, 1, unsent=[waiting], now=LATER), day_name(0))
    assert "models/als" in keys_of(collect(store, 1, now=LATER), day_name(0))


def test_what_another_home_may_show_or_not_have_sent_stays(store: ArtifactStore) -> None:
    history_of(store, 4, set(), set())
    made = datetime.fromisoformat(store.get("models/als", day_name(0)).manifest.created_at)
    assert collect(store, 1, now=LATER, others_since=made).doomed == ()
    long_since = keys_of(collect(store, 1, now=LATER, others_since=made + timedelta(days=1)), day_name(0))
    assert "models/als" in long_since
    assert "reports/daily" not in long_since, "a page stands for as long as people like"


def test_what_was_just_made_stays(store: ArtifactStore) -> None:
    history_of(store, 4, set(), set())
    assert collect(store, keep_days=1).doomed == ()


def test_versions_that_nothing_points_to_go(store: ArtifactStore) -> None:
    made(store, "models/als", day_name(0), text="first")
    made(store, "models/als", day_name(0), text="second")
    found = collect(store, keep_days=5, now=LATER)
    assert [one.is_current for one in found.doomed] == [False]
    delete(store, found.doomed)
    assert store.get("models/als", day_name(0)).manifest.recipe.config["text"] == "second"


def test_lineage_tells_what_is_gone(store: ArtifactStore) -> None:
    history_of(store, 4, set(), set())
    delete(store, collect(store, keep_days=1, shown_days={day_name(0)}, now=LATER).doomed)
    graph = read_graph(store)
    page = graph.find(f"reports/ranking@{day_name(0)}")
    gone = [ref for ref in graph.upstream(page) if graph.nodes[ref].is_gone]
    assert [ref.key for ref in gone] == ["models/als"]


def test_with_a_damaged_pointer_every_version_of_the_partition_stays(store: ArtifactStore) -> None:
    history_of(store, 4, set(), set())
    pointer = Path(store.root) / "dataset/interactions" / day_name(0) / "current"
    pointer.write_bytes(b"\xe9" + pointer.read_bytes()[1:])
    found = collect(store, keep_days=1, now=LATER)
    assert "dataset/interactions" not in keys_of(found, day_name(0))


@pytest.mark.parametrize("name", ["manifest.json", "snapshot.json"])
def test_nothing_goes_while_it_is_not_known_what_a_kept_thing_links_to(store: ArtifactStore, name: str) -> None:
    history_of(store, 4, set(), {1})
    damaged = store.get("dataset/snapshot", day_name(3)).path / name
    damaged.write_text(damaged.read_text().replace("2026-01-0", "2026-01-8"))
    with pytest.raises(ArtifactError, match=rf"{damaged} .*materialize dataset/snapshot {day_name(3)} again"):
        collect(store, keep_days=1, now=LATER)


def test_at_least_a_day_stays(store: ArtifactStore) -> None:
    with pytest.raises(SettingError, match="--keep-days 0"):
        collect(store, keep_days=0)
