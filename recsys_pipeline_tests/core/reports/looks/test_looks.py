"""Metrics of looks against a plain reading of their definitions, and baselines that know their place."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.folds.triplets import LooksTrain, TripletConfig, draw_negatives, split_looks
from recsys_pipeline.core.models.stl import StlConfig, untrained
from recsys_pipeline.core.reports.looks.look_scorers import (
    TowerScorer,
    colour_histograms,
    histogram_scorer,
    look_scorers,
    popularity_scorer,
    random_scorer,
)
from recsys_pipeline.core.reports.looks.looks import evaluate_looks, recommended_products
from recsys_pipeline_tests.look_fixtures import look_data

DATA = look_data()
FOLDS = split_looks(DATA, TripletConfig(test_share=0.4), 0)
ROWS, NEGATIVES = FOLDS.test, FOLDS.test_negatives


def fixed(scores: np.ndarray):
    """A scorer that reads from a `[looks, products]` table."""
    return lambda rows: scores[rows]


def figures(scorer, data: LookData = DATA, rows=ROWS, negatives=NEGATIVES, **options) -> dict[tuple[str, int], float]:
    found = evaluate_looks({"model": scorer}, data, rows, negatives, 0, n_resamples=20, **options)
    return {(row.metric, row.k): row.value for row in found}


def plain_figures(scores: np.ndarray, ks: tuple[int, ...]) -> dict[tuple[str, int], float]:
    """The definitions, one pair and one competitor at a time."""
    collected: dict[tuple[str, int], list[float]] = {}
    for place, row in enumerate(ROWS.tolist()):
        own = set(DATA.product[DATA.scene == DATA.scene[row]].tolist())
        true, category = int(DATA.product[row]), DATA.product_category[DATA.product[row]]
        others = [p for p in range(len(DATA.product_ids)) if p not in own]
        kin = [p for p in others if DATA.product_category[p] == category]

        def above(product: int, row: int = row, true: int = true) -> float:
            return float(scores[row, product] > scores[row, true]) + 0.5 * float(
                scores[row, product] == scores[row, true]
            )

        collected.setdefault(("same_category_accuracy", 0), []).append(
            1 - float(np.mean([above(p) for p in NEGATIVES[place]]))
        )
        for scope, among in (("", others), ("category_", kin)):
            rank = 1 + sum(above(p) for p in among)
            collected.setdefault((f"{scope}auc", 0), []).append(1 - (rank - 1) / len(among))
            first = 1 + sum(scores[row, p] > scores[row, true] for p in among)
            places = range(first, first + 1 + sum(scores[row, p] == scores[row, true] for p in among))
            collected.setdefault((f"{scope}mrr", 0), []).append(float(np.mean([1 / place for place in places])))
            for k in ks:
                hits = [place <= k for place in places]
                collected.setdefault((f"{scope}hit_rate", k), []).append(float(np.mean(hits)))
    return {name: float(np.mean(values)) for name, values in collected.items()}


@pytest.mark.parametrize("levels", [1000, 5], ids=["few ties", "many ties"])
def test_figures_follow_their_definitions(levels: int) -> None:
    scores = np.random.default_rng(levels).integers(0, levels, (len(DATA), len(DATA.product_ids))).astype(np.float32)
    found = figures(fixed(scores), ks=(3, 10))
    expected = plain_figures(scores, (3, 10))
    assert found.keys() == expected.keys() | {("hubness", 10)}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_perfect_and_worst_scores() -> None:
    scores = np.zeros((len(DATA), len(DATA.product_ids)), np.float32)
    scores[np.arange(len(DATA)), DATA.product] = 1
    best, worst = figures(fixed(scores)), figures(fixed(-scores))
    for name, value in best.items():
        if name[0] != "hubness":
            assert value == 1, name
    assert worst["auc", 0] == worst["category_auc", 0] == worst["same_category_accuracy", 0] == 0


def test_other_products_of_the_scene_never_count_against_the_model() -> None:
    scores = np.zeros((len(DATA), len(DATA.product_ids)), np.float32)
    for row in range(len(DATA)):
        scores[row, DATA.product[DATA.scene == DATA.scene[row]]] = 2
        scores[row, DATA.product[row]] = 1
    assert figures(fixed(scores))["mrr", 0] == 1


def test_hubness_is_the_skewness_of_k_occurrence() -> None:
    scores = np.random.default_rng(0).random((len(DATA), len(DATA.product_ids)), np.float32)
    lists = recommended_products(fixed(scores), DATA, ROWS, 10, same_category=False)
    counts = [int((lists == product).sum()) for product in range(len(DATA.product_ids))]
    assert figures(fixed(scores))["hubness", 10] == pytest.approx(scipy.stats.skew(counts))
    popular = figures(popularity_scorer(DATA, FOLDS.train))["hubness", 10]
    assert popular > figures(fixed(scores))["hubness", 10]


def test_intervals_draw_scenes_not_pairs() -> None:
    scores = np.random.default_rng(1).random((len(DATA), len(DATA.product_ids)), np.float32)
    scores += 2.0 * (DATA.scene % 2)[:, None] * (np.arange(len(DATA.product_ids)) == DATA.product[:, None])
    by_scene = evaluate_looks({"model": fixed(scores)}, DATA, ROWS, NEGATIVES, 0)
    alone = replace(DATA, scene=np.arange(len(DATA), dtype=np.int32) % len(DATA.scene_ids))
    by_pair = evaluate_looks({"model": fixed(scores)}, alone, ROWS, NEGATIVES, 0)
    width = {
        name: next(r.high - r.low for r in rows if r.metric == "same_category_accuracy")
        for name, rows in (("scene", by_scene), ("pair", by_pair))
    }
    assert width["scene"] > 1.2 * width["pair"]
    for row in by_scene:
        if row.metric != "hubness":
            assert row.low <= row.value <= row.high
            assert row.n == len(ROWS)


def test_undefined_metrics_are_nan_with_a_warning() -> None:
    lonely = replace(DATA, product_category=np.arange(len(DATA.product_ids), dtype=np.int32))
    negatives = draw_negatives(lonely, ROWS, 3, np.random.default_rng(0))
    with pytest.warns(UserWarning, match="same_category_accuracy"):
        found = figures(random_scorer(DATA, 0), lonely, ROWS, negatives)
    assert math.isnan(found["same_category_accuracy", 0])
    assert math.isnan(found["category_hit_rate", 10])
    assert found["auc", 0] > 0
    with pytest.warns(UserWarning, match="hubness is NaN"), pytest.warns(UserWarning, match="no pair defines"):
        empty = figures(random_scorer(DATA, 0), rows=ROWS[:0], negatives=NEGATIVES[:0])
    assert all(math.isnan(value) for value in empty.values())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused_instead_of_coming_out_perfect(bad: float) -> None:
    scores = np.zeros((len(DATA), len(DATA.product_ids)), np.float32)
    scores[ROWS[3], DATA.product[ROWS[3]]] = bad
    scene = DATA.scene_ids[DATA.scene[ROWS[3]]]
    with pytest.raises(ModelError, match=f"model: a score of scene '{scene}'"):
        figures(fixed(scores))


def test_chance_scores_half() -> None:
    found = figures(random_scorer(DATA, 0))
    assert found["same_category_accuracy", 0] == pytest.approx(0.5, abs=0.12)  # 3 standard deviations of 60 pairs
    assert found["auc", 0] == pytest.approx(0.5, abs=0.12)  # 3 standard deviations of 60 pairs


def test_random_scores_do_not_depend_on_their_company() -> None:
    scorer = random_scorer(DATA, 3)
    np.testing.assert_array_equal(scorer(ROWS)[2:4], scorer(ROWS[2:4]))


def test_popularity_counts_train_looks_alone() -> None:
    counts = popularity_scorer(DATA, FOLDS.train)(ROWS[:1])[0]
    assert counts.sum() == len(FOLDS.train)
    assert counts[5] == (DATA.product[FOLDS.train] == 5).sum()


def test_the_histogram_sees_colours_outside_the_box() -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[0, :4, :4] = 255
    everything = colour_histograms(images, np.full((1, 4), np.nan, np.float32))[0]
    assert (everything[0], everything[-1]) == (0.75, 0.25)
    outside = colour_histograms(images, np.array([[0, 0, 0.5, 0.5]], np.float32))[0]
    assert outside[0] == 1
    assert figures(histogram_scorer(DATA))["auc", 0] > 0.7  # .75 is perfect: half of the others are as bright


def test_all_baselines_are_in_one_table() -> None:
    config = StlConfig(embedding_size=4, widths=(4, 8), epochs=1)
    fresh = untrained(LooksTrain(DATA, FOLDS.train, FOLDS.validation), config, 0)
    scorers = look_scorers(TowerScorer(fresh, DATA), fresh, FOLDS.train, 0, ["csls", "mutual_proximity"])
    found = evaluate_looks(scorers, DATA, ROWS, NEGATIVES, 0, n_resamples=5)
    assert list(dict.fromkeys(row.model for row in found)) == [
        "random",
        "popularity",
        "colour_histogram",
        "untrained",
        "stl",
        "stl_csls",
        "stl_mutual_proximity",
    ]
    assert len({(row.metric, row.k) for row in found}) == len(found) / 7


def test_recommended_products_leave_out_the_rest_of_the_scene() -> None:
    scores = np.ones((len(DATA), len(DATA.product_ids)), np.float32)
    lists = recommended_products(fixed(scores), DATA, ROWS, 20)
    for row, shown in zip(ROWS, lists, strict=True):
        rest = set(DATA.product[DATA.scene == DATA.scene[row]].tolist()) - {int(DATA.product[row])}
        assert not rest & set(shown.tolist())
        assert (DATA.product_category[shown[shown >= 0]] == DATA.product_category[DATA.product[row]]).all()
        assert shown[-1] == -1  # twelve products per category do not fill twenty places


def test_mismatched_folds_and_cutoffs_say_so() -> None:
    with pytest.raises(SettingError, match="same folds"):
        figures(random_scorer(DATA, 0), negatives=NEGATIVES[1:])
    with pytest.raises(SettingError, match="cut-off"):
        figures(random_scorer(DATA, 0), ks=())
