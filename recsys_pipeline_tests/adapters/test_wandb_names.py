"""Names in W&B: valid by its client's own rules for any key and partition, stable, and never shared."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wandb.sdk.artifacts._validators import validate_aliases, validate_artifact_name

from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.wandb.names import (
    NAME_LENGTH,
    artifact_name,
    artifact_type,
    artifact_url,
    content_alias,
    partition_alias,
    readable_id,
    run_identity,
    run_url,
)
from recsys_pipeline.adapters.wandb.outbox import Outbox, Stored
from recsys_pipeline.adapters.wandb.tracker import Tracker

TEXT = st.text(min_size=1, max_size=200)
STORED = st.builds(
    Stored, source=TEXT, key=TEXT, partition=TEXT, digest=st.text("0123456789abcdef", min_size=64, max_size=64)
)


def stored(**changes: str) -> Stored:
    facts = {"source": "simulator-demo", "key": "models/als", "partition": "2026-01-05", "digest": "a" * 64}
    return Stored(**{**facts, **changes})


@given(STORED)
def test_names_are_valid_for_anything(one: Stored) -> None:
    for name in (artifact_name(one), partition_alias(one.partition), content_alias(one)):
        assert validate_artifact_name(name) == name
        assert validate_aliases([name]) == [name]
        assert 0 < len(name) <= NAME_LENGTH


@given(STORED, STORED)
def test_different_things_have_different_names(one: Stored, other: Stored) -> None:
    if (one.key, one.source) != (other.key, other.source):
        assert artifact_name(one) != artifact_name(other)
    if one.partition != other.partition:
        assert partition_alias(one.partition) != partition_alias(other.partition)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (stored(key="models/als", source="b-x"), stored(key="models/als-b", source="x")),
        (stored(key="a/b/c"), stored(key="a/b-c")),
    ],
)
def test_names_that_would_meet_do_not(one: Stored, other: Stored) -> None:
    assert artifact_name(one) != artifact_name(other)


def test_daily_and_hourly_names_are_what_people_expect() -> None:
    one = stored()
    assert (artifact_type(one), artifact_name(one)) == ("models", "models-als-simulator-demo")
    assert partition_alias(one.partition) == "2026-01-05"
    assert content_alias(one) == "2026-01-05.aaaaaaaaaaaaaaaa"
    assert partition_alias("2026-01-05-13:00").startswith("2026-01-05-13-00-")


@pytest.mark.parametrize("partition", ["latest", "champion", "v3"])
def test_a_partition_never_takes_an_alias_that_means_something_else(partition: str) -> None:
    assert partition_alias(partition) != partition


def test_a_run_is_told_by_source_recipe_and_dagster_run() -> None:
    one, other = (Recipe("models/als", "2026-01-05", (), {"reg": reg}, "v", {}) for reg in (0.1, 0.2))
    ids = {run_identity(*facts) for facts in [("a", one, "d"), ("b", one, "d"), ("a", other, "d"), ("a", one, "e")]}
    assert len(ids) == 4
    assert run_identity("a", one, "d") in ids


def test_an_id_begins_with_what_people_tell_runs_apart_by(tmp_path: Path) -> None:
    hourly = Recipe("speed/user_vectors", "2026-01-05-13:00", (), {}, "v", {})
    assert run_identity("a", hourly, "d").startswith("user_vectors-2026-01-05-13-00-speed-")
    with Tracker(tmp_path, "p").run("als_ndcg@2026-01-05-3", "reports", {}):
        pass
    (entry,) = Outbox(tmp_path / "outbox").ready()
    assert entry.facts.id.startswith("als_ndcg-2026-01-05-3-")
    assert len(readable_id("n" * 200, "e" * 16)) <= NAME_LENGTH - len("-99"), "another attempt is numbered"


def test_pages_are_where_the_server_has_them() -> None:
    assert run_url("https://api.wandb.ai", "me", "p", "id") == "https://wandb.ai/me/p/runs/id"
    assert run_url("http://127.0.0.1:1/", "me", "p", "id") == "http://127.0.0.1:1/me/p/runs/id"
    assert artifact_url("https://api.wandb.ai", "me", "p", stored()) == (
        "https://wandb.ai/me/p/artifacts/models/models-als-simulator-demo/2026-01-05.aaaaaaaaaaaaaaaa"
    )
