"""`recsys lineage` on a day of the tiny marketplace: the tree, JSON and the page tell what the manifests say."""

import json
import re
from pathlib import Path

import pytest

from recsys_pipeline_tests.deployment import DAY, Deployment, versions

ALS = f"models/als@{DAY}"


def test_the_tree_tells_each_artifact_once_in_full(first_day: Deployment) -> None:
    told = first_day.recsys("lineage", f"reports/daily@{DAY}")
    assert told.code == 0
    everything = first_day.everything()
    page = everything["reports/daily", DAY].manifest
    reached, todo = {page.ref}, [page]
    while todo:
        fresh = set(todo.pop().recipe.inputs) - reached
        reached |= fresh
        todo += [everything[ref.key, ref.partition].manifest for ref in fresh]
    assert len(reached) > 20
    days = sorted(ref.partition for ref in reached if ref.key == "dataset/interactions")
    assert f"dataset/interactions@{days[0]}..{days[-1]} {len(days)} days" in told.text
    for ref in {ref for ref in reached if ref.key != "dataset/interactions"}:
        assert told.text.count(f"{ref.key}@{ref.partition} {ref.digest[:12]}") == 1, ref.key
    assert "went into nothing" in told.text


def test_up_and_down_take_one_direction(first_day: Deployment) -> None:
    up, down = (first_day.recsys("lineage", "models/als", way).text for way in ("--up", "--down"))
    assert f"folds/prequential@{DAY}" in up
    assert "neighbors/" not in up
    assert f"neighbors/als_index@{DAY}" in down
    assert "dataset/" not in down


def test_json_has_every_edge_of_the_manifests(first_day: Deployment) -> None:
    document = json.loads(first_day.recsys("lineage", f"reports/daily@{DAY}", "--json").text)
    assert {one["key"] for one in document["artifacts"]} >= {"dataset/interactions", "models/als", "reports/ranking"}
    shown = {one["digest"] for one in document["artifacts"]}
    expected = {
        (ref.key, ref.partition, ref.digest, artifact.manifest.digest)
        for artifact in versions(Path(first_day.store.root))
        for ref in artifact.manifest.recipe.inputs
        if artifact.manifest.digest in shown
    }
    ends = [(edge["input"], edge["output"]["digest"]) for edge in document["edges"]]
    assert sorted((ref["key"], ref["partition"], ref["digest"], output) for ref, output in ends) == sorted(expected)
    (als,) = (one for one in document["artifacts"] if one["key"] == "models/als")
    assert als["versions"][0]["metrics"]["train_rows"] > 0
    assert document["asked"]["key"] == "reports/daily"


def test_the_page_shows_the_manifest_of_every_artifact(first_day: Deployment, tmp_path: Path) -> None:
    told = first_day.recsys("lineage", "models/als", "--html", str(tmp_path / "new" / "als.html"))
    assert told.code == 0
    text = (tmp_path / "new" / "als.html").read_text()
    manifest = first_day.artifacts(DAY)["models/als"].manifest
    card = re.search(r'<article[^>]*aria-label="models/als">.*?</article>', text, re.DOTALL)
    assert card
    for part in (manifest.digest, manifest.run_id, "embedding_size", "arrays.safetensors"):
        assert part in card[0]
    assert "days</text>" in text, "earlier days are one box"
    assert f"{ALS} was made from 14 artifacts, directly or not, and went into" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("models/alss", "no artifact is named models/alss (is it models/als?)"),
        ("models/als@1999-01-01", f"models/als has no artifact for 1999-01-01: it has {DAY}"),
        ("ffffffffffffffff", "no artifact has a digest that starts with"),
    ],
)
@pytest.mark.parametrize("verb", ["lineage", "reproduce"])
def test_an_unknown_name_is_one_line(first_day: Deployment, verb: str, name: str, said: str) -> None:
    told = first_day.recsys(verb, name)
    assert told.code == 1
    assert said in told.text
