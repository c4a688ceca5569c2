"""Lineage version by version: which of several versions with one content a manifest meant."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.lineage.graph import read_graph
from recsys_pipeline.adapters.lineage.makings import Making, Makings
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME
from recsys_pipeline_tests.adapters.test_lineage import DAY, NEXT, made


def making(artifact: Artifact) -> Making:
    return Making(artifact.manifest.ref, artifact.path.name)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


def test_a_page_stands_on_the_models_that_it_was_made_with(store: ArtifactStore) -> None:
    """The check came to the same content with both models: it is no bridge from the page to the older one."""
    fold = made(store, "folds/x")
    old, new = (made(store, "models/als", fold, reg=reg) for reg in (0.1, 0.2))
    first, check = (made(store, "reports/parity", model, text="nothing to say") for model in (old, new))
    assert first.manifest.ref == check.manifest.ref
    page = made(store, "reports/daily", check, made(store, "reports/ranking", new))
    makings = Makings(read_graph(store))
    assert making(old) not in makings.upstream(making(page))
    assert makings.inputs(making(page))[0] == making(check)
    assert makings.downstream(making(old)) == (making(first),)
    assert makings.same_content(making(check)) == [making(first)]


def test_a_page_of_the_older_models_stands_on_them_though_it_is_newer(store: ArtifactStore) -> None:
    """What a reader stands on says more than clocks and pointers do: the older version was made current again."""
    fold = made(store, "folds/x")
    models = {reg: made(store, "models/als", fold, reg=reg) for reg in (0.1, 0.2)}
    checks = {reg: made(store, "reports/parity", model, text="same") for reg, model in models.items()}
    ranking = made(store, "reports/ranking", models[0.1])
    page = made(store, "reports/daily", ranking, checks[0.1])
    makings = Makings(read_graph(store))
    assert makings.inputs(making(page)) == (making(ranking), making(checks[0.1]))


def test_where_nothing_else_tells_them_apart_the_newest_is_meant(store: ArtifactStore) -> None:
    one, two = (made(store, "dataset/items", text="same", note=note) for note in "ab")
    reader = made(store, "folds/x", two)
    found = Makings(read_graph(store)).inputs(making(reader))
    assert found in ((making(one),), (making(two),))
    assert found == (making(max((one, two), key=lambda artifact: artifact.path.name)),), "of one second: by name"


def test_other_days_are_the_past_and_no_ground(store: ArtifactStore) -> None:
    """Yesterday's page stands on yesterday's model, which says nothing of which one today's check was made with."""
    old, new = (made(store, "models/als", partition=NEXT, reg=reg) for reg in (0.1, 0.2))
    checks = [made(store, "reports/parity", model, partition=NEXT, text="same") for model in (old, new)]
    yesterday = made(store, "reports/daily", old, partition=DAY)
    page = made(store, "reports/daily", yesterday, new, checks[1], partition=NEXT)
    assert making(checks[1]) in Makings(read_graph(store)).inputs(making(page))


def test_what_is_gone_has_no_name(store: ArtifactStore) -> None:
    data = made(store, "dataset/items")
    reader = made(store, "folds/x", data)
    (data.path / MANIFEST_NAME).unlink()
    makings = Makings(read_graph(store))
    assert makings.inputs(making(reader)) == (Making(data.manifest.ref),)
    assert makings.version(Making(data.manifest.ref)) is None
    assert makings.shown(data.manifest.ref) == Making(data.manifest.ref)
