"""Lineage from manifests: every version, gone inputs, order without clocks, names as people type them."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.adapters.lineage.graph import Edge, LineageGraph, Version, read_graph
from recsys_pipeline.adapters.store.artifact_store import POINTER_NAME, Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME, Manifest, Recipe, with_checksum, without_checksum
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef

DAY, NEXT = "2026-01-05", "2026-01-06"


def made(store: ArtifactStore, key: str, *inputs: Artifact, partition: str = DAY, text: str = "", **config: object):
    """Build an artifact of one file; equal text has an equal digest."""

    def build(directory: Path) -> Built:
        (directory / "data.txt").write_text(text or f"{key} {partition} {config}")
        (directory / "deep").mkdir()
        for name in (POINTER_NAME, MANIFEST_NAME):  # data of such names is no pointer and no manifest
            (directory / "deep" / name).write_text("data")
        return Built({"rows": 3})

    refs = tuple(artifact.manifest.ref for artifact in inputs)
    return store.build(Recipe(key, partition, refs, config, "v1", {"numpy": "2"}), build)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path}"
    return ArtifactStore(url, cache=tmp_path / "cache")


@pytest.fixture
def chain(store: ArtifactStore) -> dict[str, Artifact]:
    """Two days of data, a model of the second day made twice, and what was made from each of the two."""
    data = made(store, "dataset/snapshot")
    later = made(store, "dataset/snapshot", data, partition=NEXT)
    fold = made(store, "folds/prequential", later, partition=NEXT)
    old = made(store, "models/als", fold, partition=NEXT, reg=0.1)
    index = made(store, "neighbors/als_index", old, partition=NEXT)
    new = made(store, "models/als", fold, partition=NEXT, reg=0.2)
    return {"data": data, "later": later, "fold": fold, "old": old, "index": index, "new": new}


def test_every_version_is_a_node_and_every_input_an_edge(store: ArtifactStore, chain: dict[str, Artifact]) -> None:
    graph = read_graph(store)
    ref = {name: artifact.manifest.ref for name, artifact in chain.items()}
    assert set(graph.nodes) == set(ref.values())
    assert set(graph.edges()) == {
        Edge(ref["data"], ref["later"]),
        Edge(ref["later"], ref["fold"]),
        Edge(ref["fold"], ref["old"]),
        Edge(ref["fold"], ref["new"]),
        Edge(ref["old"], ref["index"]),
    }
    assert graph.unreadable == ()
    for name, artifact in chain.items():
        (version,) = graph.nodes[ref[name]].versions
        assert version.manifest == artifact.manifest
        assert version.name == artifact.path.name
        assert version.is_current == (name != "old")
    assert graph.upstream(ref["index"]) == (ref["old"], ref["fold"], ref["later"], ref["data"])
    assert set(graph.downstream(ref["later"])) == {ref["fold"], ref["old"], ref["new"], ref["index"]}
    assert graph.downstream(ref["new"]) == ()


def test_an_input_whose_manifest_is_gone_is_a_node_without_versions(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    data = made(store, "dataset/items")
    fold = made(store, "folds/x", data)
    (data.path / MANIFEST_NAME).unlink()
    graph = read_graph(store)
    assert graph.nodes[data.manifest.ref].is_gone
    assert not graph.nodes[fold.manifest.ref].is_gone
    assert graph.upstream(fold.manifest.ref) == (data.manifest.ref,)
    with pytest.raises(ArtifactError, match="no artifact is named dataset/items"):
        graph.find("dataset/items")


def test_a_damaged_manifest_is_named_and_hides_nothing_else(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    data, other = made(store, "dataset/items"), made(store, "dataset/looks")
    (data.path / MANIFEST_NAME).write_text('{"recipe": ')
    graph = read_graph(store)
    assert list(graph.nodes) == [other.manifest.ref]
    assert len(graph.unreadable) == 1
    assert str(data.path / MANIFEST_NAME) in graph.unreadable[0]


def test_two_recipes_that_came_to_the_same_content_are_one_node(store: ArtifactStore) -> None:
    one, two = made(store, "dataset/items", partition=DAY), made(store, "dataset/items", partition=NEXT)
    first = made(store, "folds/x", one, text="same")
    second = made(store, "folds/x", two, text="same")
    assert first.manifest.ref == second.manifest.ref
    node = read_graph(store).nodes[first.manifest.ref]
    assert {version.name for version in node.versions} == {first.path.name, second.path.name}
    assert set(node.inputs) == {one.manifest.ref, two.manifest.ref}
    assert node.shown is not None
    assert node.shown.name == second.path.name, "the current one"


def test_an_empty_store_has_an_empty_graph(store: ArtifactStore) -> None:
    graph = read_graph(store)
    assert (graph.edges(), graph.in_order()) == ([], [])
    with pytest.raises(ArtifactError, match="the store is empty"):
        graph.find("models/als")


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_inputs_come_before_outputs_whatever_the_clocks_say(seed: int, size: int) -> None:
    rng = random.Random(seed)
    refs = [ArtifactRef(f"models/m{n % 7}", f"2026-01-{1 + n % 28:02d}", f"{n:064x}") for n in range(size)]
    rng.shuffle(refs)
    versions = []
    for at, ref in enumerate(refs):
        inputs = tuple(rng.sample(refs[:at], rng.randint(0, min(at, 4))))
        recipe = Recipe(ref.key, ref.partition, inputs, {}, "v1", {})
        when = f"2026-01-01T00:00:{rng.randrange(60):02d}+00:00"
        versions.append(Version("v", Manifest(recipe, ref.digest, {}, created_at=when), True))
    rng.shuffle(versions)
    graph = LineageGraph.of(versions)
    order = graph.in_order()
    place = {ref: at for at, ref in enumerate(order)}
    assert len(place) == len(order) == size
    assert all(place[edge.input] < place[edge.output] for edge in graph.edges())
    rng.shuffle(versions)
    assert LineageGraph.of(versions).in_order() == order, "the order of reading has no say either"
    for ref in refs:
        assert {other for other in refs if ref in graph.downstream(other)} == set(graph.upstream(ref))


def test_a_ring_is_refused_by_name() -> None:
    one, two = ArtifactRef("models/a", DAY, "a" * 64), ArtifactRef("models/b", DAY, "b" * 64)
    versions = [
        Version("v", Manifest(Recipe(ref.key, DAY, (other,), {}, "v1", {}), ref.digest, {}), True)
        for ref, other in ((one, two), (two, one))
    ]
    with pytest.raises(ArtifactError, match=f"ring: models/a@{DAY}, models/b@{DAY}"):
        LineageGraph.of(versions).in_order()


def test_an_artifact_is_found_as_people_name_it(store: ArtifactStore, chain: dict[str, Artifact]) -> None:
    graph = read_graph(store)
    ref = {name: artifact.manifest.ref for name, artifact in chain.items()}
    assert graph.find("dataset/snapshot") == ref["later"], "the newest partition"
    assert graph.find(f"dataset/snapshot@{DAY}") == ref["data"]
    assert graph.find("models/als") == ref["new"], "the current version"
    assert graph.find(ref["old"].digest) == graph.find(ref["old"].digest[:10].upper()) == ref["old"]
    assert graph.find(f"models/als@{NEXT}@{ref['old'].digest[:8]}") == ref["old"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "models/asl",
            r"no artifact is named models/asl \(is it models/als\?\): the store has dataset/snapshot, folds/",
        ),
        ("speed/x", "no artifact is named speed/x: the store has dataset/snapshot"),
        ("models/als@2026-02-01", f"models/als has no artifact for 2026-02-01: it has {NEXT}"),
        ("zzzz", "no artifact has a digest that starts with 'zzzz'; the store has dataset/snapshot"),
        ("ab", "'ab' is too short for a digest"),
        (f"models/als@{NEXT}@zz", rf"models/als@{NEXT}@zz is not there: models/als@{NEXT}@\w+, models/als@"),
    ],
)
def test_an_unknown_name_says_what_there_is(
    store: ArtifactStore, chain: dict[str, Artifact], name: str, said: str
) -> None:
    assert chain
    with pytest.raises(ArtifactError, match=said):
        read_graph(store).find(name)


def test_one_digest_of_two_days_is_ambiguous_until_a_day_is_named(store: ArtifactStore) -> None:
    one, two = (made(store, "dataset/items", partition=day, text="catalogue") for day in (DAY, NEXT))
    graph, digest = read_graph(store), one.manifest.digest
    assert digest == two.manifest.digest
    with pytest.raises(ArtifactError, match=f"could be any of 2: dataset/items@{DAY}@{digest[:12]}, dataset/items@"):
        graph.find(digest)
    assert graph.find(f"dataset/items@{DAY}@{digest}") == one.manifest.ref


def test_without_a_pointer_two_versions_of_a_partition_are_ambiguous(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    for reg in (0.1, 0.2):
        made(store, "models/als", reg=reg)
    (tmp_path / "models" / "als" / DAY / POINTER_NAME).unlink()
    with pytest.raises(ArtifactError, match=f"models/als@{DAY} could be any of 2"):
        read_graph(store).find(f"models/als@{DAY}")


def test_the_manifest_of_a_newer_release_is_said_to_be_unreadable(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    path = made(store, "dataset/items").path / MANIFEST_NAME
    path.write_text(json.dumps(with_checksum({**without_checksum(json.loads(path.read_text())), "signature": "x"})))
    assert "signature" in read_graph(store).unreadable[0]
