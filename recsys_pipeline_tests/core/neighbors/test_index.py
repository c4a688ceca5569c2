"""Tuned indexes: recall against the oracle, honest choice, reload, and the same bytes for the same seed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.errors import ArtifactError, ModelError, SettingError
from recsys_pipeline.core.neighbors import tuning
from recsys_pipeline.core.neighbors.exact import exact_top_k
from recsys_pipeline.core.neighbors.hubness import fit_correction
from recsys_pipeline.core.neighbors.index import IndexConfig, SearchIndex, build_index
from recsys_pipeline.core.neighbors.tuning import FAMILIES, Candidate, choose, with_equal_norms
from recsys_pipeline.core.neighbors.vectors import VectorTable

CONFIG = IndexConfig(exact_below=100, n_queries=200, repeats=1)


def clustered(n: int, seed: int = 0, dim: int = 16) -> np.ndarray:
    """Points around 20 centres, with norms that differ: what factor models give."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(20, dim))
    points = centres[rng.integers(0, 20, n)] + 0.4 * rng.normal(size=(n, dim))
    return (points * np.exp(0.3 * rng.normal(size=(n, 1)))).astype(np.float32)


@pytest.fixture(scope="module")
def table() -> VectorTable:
    return VectorTable([f"item-{row}" for row in range(1500)], clustered(1500))


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return clustered(200, seed=1)


@pytest.mark.parametrize("family", ["auto", *FAMILIES])
def test_every_family_reaches_the_target_and_scores_are_inner_products(
    family: str, table: VectorTable, queries: np.ndarray
) -> None:
    index = build_index(table, queries, dataclasses.replace(CONFIG, family=family), seed=3)
    assert index.report.meets_target
    rows, scores = index.search_rows(queries[:20], 7)
    products = np.take_along_axis(queries[:20] @ table.vectors.T, rows, axis=1)
    np.testing.assert_allclose(scores, products, rtol=1e-4, atol=1e-4)
    assert (np.diff(scores, axis=1) <= 0).all()
    ids, _ = index.search(queries[:20], 7)
    assert ids[3, 2] == table.ids[rows[3, 2]]


def test_reported_recall_is_that_of_ids_against_the_oracle(table: VectorTable, queries: np.ndarray) -> None:
    index = build_index(table, queries, dataclasses.replace(CONFIG, family="ivf", recall_target=0.5), seed=3)
    held_out = queries[np.random.default_rng(3).permutation(200)[100:]]
    truth, _ = exact_top_k(held_out, table.vectors, 10)
    found, _ = index.search_rows(held_out, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)])
    assert index.report.recall == pytest.approx(recall)
    assert index.report.recall < 1


def test_small_tables_stay_exact(queries: np.ndarray) -> None:
    index = build_index(VectorTable(["a", "b"], clustered(2)), queries, IndexConfig(), seed=0)
    assert index.report.chosen.family == "flat"
    assert index.report.recall == 1
    assert index.search(queries[:1], 10)[0].shape == (1, 2)


def test_equal_scores_are_ordered_by_row(queries: np.ndarray) -> None:
    same = VectorTable(["a", "b", "c"], np.ones((3, 16), np.float32))
    ids, _ = build_index(same, queries, IndexConfig(), seed=0).search(queries, 3)
    assert (ids == ["a", "b", "c"]).all()


def test_a_tie_at_the_cut_goes_to_the_lower_row() -> None:
    """faiss alone gives rows 3 and 1: as a better vector comes, it drops the lowest row of the tie."""
    vectors = np.array([[1, 0], [1, 0], [1, 0], [2, 0]], np.float32)
    query = np.array([[1, 0]], np.float32)
    index = build_index(VectorTable(list("abcd"), vectors), np.repeat(query, 2, axis=0), IndexConfig(), seed=0)
    assert index.search_rows(query, 2)[0].tolist() == [[3, 0]]
    assert index.search(query, 2)[0].tolist() == [["d", "a"]]
    assert exact_top_k(query, vectors, 2)[0].tolist() == [[3, 0]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n_values", [1, 3, 20])
def test_every_family_cuts_thousands_of_equals_as_the_oracle_does(
    family: str, n_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it finds everything: an approximate index that looks everywhere must give the lists of the exact one."""
    monkeypatch.setattr(tuning, "FOUND_AT_ONCE", 3000)  # parts of a few queries
    rng = np.random.default_rng(n_values)
    vectors = rng.integers(-3, 4, (n_values, 8)).astype(np.float32)[rng.integers(0, n_values, 600)]
    queries = rng.integers(-3, 4, (40, 8)).astype(np.float32)
    index = tuning.build(family, vectors, seed=0)
    tuning.set_parameter(index, {"hnsw": "efSearch", "flat": ""}.get(family, "nprobe"), 4096)
    for k in (1, 7, 600):
        rows, scores = tuning.search(index, queries, k)
        if family == "hnsw":  # a graph may not reach all of its equals: those that it finds stand in order
            order = np.lexsort((rows, -scores), axis=1)
            np.testing.assert_array_equal(rows, np.take_along_axis(rows, order, axis=1))
        else:
            truth, best = exact_top_k(queries, vectors, k)
            np.testing.assert_array_equal(rows, truth)
            np.testing.assert_allclose(scores, best, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_reload_answers_the_same_and_builds_repeat_to_the_byte(
    family: str, table: VectorTable, queries: np.ndarray, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, family=family)
    built = build_index(table, queries, config, seed=3)
    built.save(tmp_path / "one")
    build_index(table, queries, config, seed=3).save(tmp_path / "two")
    for name in ("index.faiss", "ids.json", "index.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    loaded = SearchIndex.load(tmp_path / "one")
    assert loaded.report == built.report
    for ours, theirs in zip(loaded.search(queries, 5), built.search(queries, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_broken_artifacts_are_named(table: VectorTable, queries: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"index\.json"):
        SearchIndex.load(tmp_path)
    build_index(table, queries, dataclasses.replace(CONFIG, family="flat"), seed=3).save(tmp_path)
    path = tmp_path / "index.faiss"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="no readable index"):
        SearchIndex.load(tmp_path)
    (tmp_path / "ids.json").write_text("[")
    with pytest.raises(ArtifactError, match=r"ids\.json"):
        SearchIndex.load(tmp_path)


def test_bad_settings_and_queries_are_refused(table: VectorTable, queries: np.ndarray) -> None:
    with pytest.raises(SettingError, match="family must be one of 'auto', 'flat'"):
        parse_config(IndexConfig, {"family": "tree"})
    with pytest.raises(ModelError, match="1500 vectors and 1 queries"):
        build_index(table, queries[:1], CONFIG, seed=0)
    index = build_index(table, queries, dataclasses.replace(CONFIG, family="flat"), seed=0)
    with pytest.raises(ModelError, match="16: rebuild"):
        index.search(queries[:, :4].copy(), 1)
    with pytest.raises(ModelError, match="not finite"):
        index.search(queries * np.float32(np.nan), 1)
    with pytest.raises(SettingError, match="k = 0"):
        index.search(queries, 0)


def candidate(family: str, recall: float, low: float, cost: float) -> Candidate:
    return Candidate(family, "", 0, recall, low, cost, queries_per_second=1.0)


def test_choice_is_the_cheapest_that_reaches_the_target_for_certain() -> None:
    exact, quick = candidate("flat", 1.0, 1.0, 1000.0), candidate("hnsw", 0.97, 0.96, 300.0)
    lucky, cheap = candidate("ivf", 0.955, 0.94, 100.0), candidate("ivf", 0.5, 0.4, 10.0)
    assert choose([exact, cheap, lucky, quick], 0.95) is quick
    assert choose([cheap, lucky], 0.95) is lucky
    assert choose([exact, dataclasses.replace(quick, cost=1000.0)], 0.95) is exact


def test_equal_norms_leave_products_as_they_are(queries: np.ndarray) -> None:
    vectors = clustered(300)
    wide = with_equal_norms(vectors)
    np.testing.assert_allclose(np.linalg.norm(wide, axis=1), np.linalg.norm(vectors, axis=1).max(), rtol=1e-5)
    padded = np.pad(queries, ((0, 0), (0, 1)))
    np.testing.assert_allclose(padded @ wide.T, queries @ vectors.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["flat", "ivf_equal_norms"])
def test_a_corrected_index_ranks_as_csls_and_has_fewer_hubs(family: str, tmp_path: Path) -> None:
    """Some vectors are near to every query: plain inner products put them into all lists."""
    rng = np.random.default_rng(0)
    vectors, queries = (
        np.column_stack([clustered(n, seed), np.ones(n, np.float32)]) for n, seed in ((400, 5), (300, 6))
    )
    vectors[:, -1] = 4 * rng.exponential(size=400)
    table = VectorTable([str(row) for row in range(400)], vectors)
    config = dataclasses.replace(CONFIG, family=family, hubness="csls", n_queries=300, recall_target=0.9)
    index = build_index(table, queries, config, seed=3)
    assert index.report.hubness < 0.7 * index.report.hubness_uncorrected
    references, held_out = np.split(queries[np.random.default_rng(3).permutation(300)], 2)
    corrected = fit_correction("csls", references @ vectors.T)(held_out @ vectors.T)
    index.save(tmp_path)
    rows, _ = SearchIndex.load(tmp_path).search_rows(held_out, 10)
    threshold = np.sort(corrected, axis=1)[:, -10, None] - 1e-4
    assert (np.take_along_axis(corrected, rows, axis=1) >= threshold).mean() > 0.9
